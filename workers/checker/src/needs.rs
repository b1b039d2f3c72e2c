//! The abilities of a tool backend that verdicts and qualification depend on, and what is left unchecked without them.
use agoge_world::{Capabilities, Domain, World};

/// The needs of a verdict: gold is replayed from the initial state. Where the backend shows its changes they are compared with
/// gold's; else the results of gold's calls are, see [`sees_state`].
pub const JUDGING: Capabilities = Capabilities::REPLAY;

/// The needs of a full qualification: it judges changes, continues gold from each of its calls in other ways, and holds
/// disagreeing repeats against the checker. A domain without [`Capabilities::DIFF`] qualifies by results and messages alone.
pub const QUALIFYING: Capabilities = JUDGING
    .and(Capabilities::DIFF)
    .and(Capabilities::FORK)
    .and(Capabilities::DETERMINISTIC);

// The sandbox leaves nothing unchecked.
const _: () = assert!(World::CAPABILITIES.has(QUALIFYING));

/// Returns true when all changes of an episode are seen, so that the final state can be compared.
pub fn sees_state(domain: &Domain) -> bool {
    domain.capabilities().has(Capabilities::DIFF)
}

/// Returns a warning that says what qualification could not check, where the domain's tools lack abilities for it.
pub(crate) fn unchecked(domain: &Domain) -> Option<String> {
    let missing = domain.capabilities().missing(QUALIFYING);
    if missing.is_empty() {
        return None;
    }
    let what = match sees_state(domain) {
        true => "some runs could not be compared",
        false => {
            "a tool server does not show its state, so that only results and messages were checked: a wrong change that no \
             gold call reads is not noticed, and a right solution by other calls fails"
        }
    };
    Some(format!(
        "the tools lack abilities ({}): {what}",
        missing.join(", ")
    ))
}
