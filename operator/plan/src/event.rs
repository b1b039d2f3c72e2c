//! Events for people, derived from two statuses. Only transitions make one; an unchanged state makes none.

use agoge_crds::conditions as c;
use agoge_crds::{Condition, RunStatus};

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// True when something is wrong.
    pub warning: bool,
    /// True for a start without trouble: the conditions show it, and an API server need not keep it twice.
    pub routine: bool,
    /// One word.
    pub reason: String,
    /// For a person.
    pub message: String,
}

/// Returns the transitions between two statuses of one object.
#[must_use]
pub fn events(before: &RunStatus, after: &RunStatus) -> Vec<Event> {
    let turned = |type_: &str| -> Option<&Condition> {
        let new = c::get(&after.conditions, type_)?;
        let old = c::get(&before.conditions, type_);
        let same = old.is_some_and(|old| old.status == new.status && old.reason == new.reason);
        (!same).then_some(new)
    };
    let mut events = vec![];
    for (type_, when, warning) in [
        (c::ACCEPTED, "False", true),
        (c::PROGRESSING, "True", false),
        (c::SUSPENDED, "True", false),
        (c::COMPLETE, "True", false),
        (c::FAILED, "True", true),
    ] {
        if let Some(condition) = turned(type_).filter(|condition| condition.status == when) {
            let calm = [
                c::reason::STARTING,
                c::reason::RUNNING,
                c::reason::STOPPING,
                c::reason::AWAITING_PROMOTION,
            ];
            let empty = [c::reason::NOTHING_LEARNED, c::reason::TRAJECTORIES_CUT];
            let reason = condition.reason.as_str();
            let warning = warning
                || type_ == c::PROGRESSING && !calm.contains(&reason)
                || type_ == c::COMPLETE && empty.contains(&reason);
            let routine = condition.reason == c::reason::STARTING
                || condition.reason == c::reason::RUNNING && smooth(before);
            events.push(Event {
                warning,
                routine,
                reason: condition.reason.clone(),
                message: condition.message.clone(),
            });
        }
    }
    events
}

/// Returns true if nothing was in its way so far.
fn smooth(before: &RunStatus) -> bool {
    c::get(&before.conditions, c::PROGRESSING)
        .is_none_or(|was| [c::reason::STARTING, c::reason::RUNNING].contains(&was.reason.as_str()))
}
