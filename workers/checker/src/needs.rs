//! The abilities of a tool backend that verdicts and qualification depend on.
use agoge_world::{Capabilities, World};

/// The needs of a verdict: it compares an episode's changes with those of gold, which is replayed from the initial state.
pub const JUDGING: Capabilities = Capabilities::DIFF.and(Capabilities::REPLAY);

/// The needs of qualification: it judges, continues gold from each of its calls in other ways, and holds disagreeing repeats
/// against the checker.
pub const QUALIFYING: Capabilities = JUDGING
    .and(Capabilities::FORK)
    .and(Capabilities::DETERMINISTIC);

// Qualification takes a world and no other backend, so nothing is left unchecked and the question is settled here.
const _: () = assert!(World::CAPABILITIES.has(QUALIFYING));
