//! Conditions: their types and reasons, and the merge that keeps `lastTransitionTime` while nothing changes.
//!
//! Every condition carries the generation it was judged at. Accepted and Progressing are always present, the others only
//! while they are True, as kstatus requires for Reconciling and Stalled; fewer conditions are also cheaper to write and
//! read. `docs/status.md` explains every word of this file.

use k8s_openapi::jiff::Timestamp;

use crate::{Condition, Time};

/// The spec is valid and the objects it refers to exist.
pub const ACCEPTED: &str = "Accepted";
/// Work is in progress.
pub const PROGRESSING: &str = "Progressing";
/// Suspended on request, and nothing runs any more.
pub const SUSPENDED: &str = "Suspended";
/// Finished.
pub const COMPLETE: &str = "Complete";
/// Failed for good.
pub const FAILED: &str = "Failed";
/// kstatus: children are still starting.
pub const RECONCILING: &str = "Reconciling";
/// kstatus: no progress is possible without help.
pub const STALLED: &str = "Stalled";

/// Reasons, which programs may rely on.
pub mod reason {
    /// The spec is valid and every reference was found.
    pub const ACCEPTED: &str = "Accepted";
    /// A rule of the API refuses the spec.
    pub const INVALID_SPEC: &str = "InvalidSpec";
    /// The SynthesisJob it names does not exist (yet).
    pub const SYNTHESIS_JOB_NOT_FOUND: &str = "SynthesisJobNotFound";
    /// The SynthesisJob it names is not complete (yet).
    pub const SYNTHESIS_JOB_NOT_READY: &str = "SynthesisJobNotReady";
    /// The SynthesisJob it names has failed.
    pub const SYNTHESIS_JOB_FAILED: &str = "SynthesisJobFailed";
    /// The CheckerSuite it names does not exist (yet).
    pub const SUITE_NOT_FOUND: &str = "CheckerSuiteNotFound";
    /// The CheckerSuite it names is not qualified (yet).
    pub const SUITE_NOT_READY: &str = "CheckerSuiteNotReady";
    /// The CheckerSuite it names has failed.
    pub const SUITE_FAILED: &str = "CheckerSuiteFailed";
    /// The suite's mutation score is below the run's threshold.
    pub const SUITE_BELOW_THRESHOLD: &str = "SuiteBelowThreshold";
    /// The suite's digest is not the one pinned.
    pub const DIGEST_CHANGED: &str = "DigestChanged";
    /// Children are being started.
    pub const STARTING: &str = "Starting";
    /// Children run.
    pub const RUNNING: &str = "Running";
    /// Children are asked to stop and have not stopped yet.
    pub const STOPPING: &str = "Stopping";
    /// A child failed and is retried after a pause.
    pub const BACKING_OFF: &str = "BackingOff";
    /// A plan pair awaits manual approval.
    pub const AWAITING_PROMOTION: &str = "AwaitingPromotion";
    /// `runPolicy.suspend` is set.
    pub const SUSPENDED: &str = "Suspended";
    /// No work is left.
    pub const FINISHED: &str = "Finished";
    /// Every target was reached.
    pub const TARGETS_REACHED: &str = "TargetsReached";
    /// Tokens, cost or wall time are used up; finished instances were kept.
    pub const BUDGET_EXHAUSTED: &str = "BudgetExhausted";
    /// The last allowed generation is done and a target was not reached.
    pub const GENERATIONS_EXHAUSTED: &str = "GenerationsExhausted";
    /// A fixed list of tasks is done and some of them were rejected.
    pub const TASKS_EXHAUSTED: &str = "TasksExhausted";
    /// No instance was accepted.
    pub const NOTHING_ACCEPTED: &str = "NothingAccepted";
    /// The checkers qualified.
    pub const QUALIFIED: &str = "Qualified";
    /// Too few checkers qualified.
    pub const NOT_QUALIFIED: &str = "NotQualified";
    /// Every stage is done.
    pub const STAGES_COMPLETE: &str = "StagesComplete";
    /// No policy of the run passes a held-out task.
    pub const NOTHING_LEARNED: &str = "NothingLearned";
    /// No policy of the run passes a held-out task, and limits end most of its rollouts.
    pub const TRAJECTORIES_CUT: &str = "TrajectoriesCut";
    /// The user model made more mistakes than allowed.
    pub const USER_MODEL_NOT_CERTIFIED: &str = "UserModelNotCertified";
    /// A child failed more often than `backoffLimit` allows.
    pub const BACKOFF_LIMIT_EXCEEDED: &str = "BackoffLimitExceeded";
    /// The run was active for longer than `activeDeadlineSeconds`.
    pub const DEADLINE_EXCEEDED: &str = "DeadlineExceeded";
    /// A child failed in a way that a retry cannot fix.
    pub const CHILD_FAILED: &str = "ChildFailed";
    /// A child's result could not be read.
    pub const BAD_RESULT: &str = "BadResult";
}

/// Maximum length of a message in bytes, which keeps a status small.
pub const MAX_MESSAGE: usize = 512;

/// Returns the condition of a type.
#[must_use]
pub fn get<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|c| c.type_ == type_)
}

/// Tells whether the condition of a type is present and `True`.
#[must_use]
pub fn is_true(conditions: &[Condition], type_: &str) -> bool {
    get(conditions, type_).is_some_and(|c| c.status == "True")
}

/// Returns the reason of the condition of a type, if it is present.
#[must_use]
pub fn reason<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a str> {
    get(conditions, type_).map(|c| c.reason.as_str())
}

/// Sets one condition: merged by type, as the API server merges the list map. `lastTransitionTime` moves only when the
/// status does; an equal condition is left alone. Returns whether anything changed.
pub fn set(
    conditions: &mut Vec<Condition>,
    (type_, status, reason, message): (&str, bool, &str, &str),
    generation: Option<i64>,
    now: Timestamp,
) -> bool {
    let status = if status { "True" } else { "False" };
    let fresh = Condition {
        type_: type_.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message: shorten(message, MAX_MESSAGE),
        observed_generation: generation,
        last_transition_time: Time(now),
    };
    match conditions.iter_mut().find(|c| c.type_ == type_) {
        None => conditions.push(fresh),
        Some(old) => {
            let since = if old.status == status {
                old.last_transition_time.clone()
            } else {
                fresh.last_transition_time.clone()
            };
            let fresh = Condition {
                last_transition_time: since,
                ..fresh
            };
            if *old == fresh {
                return false;
            }
            *old = fresh;
        }
    }
    true
}

/// Shortens a text to at most `limit` bytes and marks the cut. Control characters, which are frequent in logs, become
/// spaces.
#[must_use]
pub fn shorten(text: &str, limit: usize) -> String {
    const CUT: char = '…';
    let plain: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if plain.len() <= limit {
        return plain;
    }
    let end = plain.floor_char_boundary(limit.saturating_sub(CUT.len_utf8()));
    let mut short = plain[..end].to_owned();
    short.push(CUT);
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn the_transition_time_moves_with_the_status_and_with_nothing_else() {
        let mut conditions = vec![];
        assert!(set(
            &mut conditions,
            (PROGRESSING, true, reason::STARTING, "a"),
            Some(1),
            at(10)
        ));
        assert!(
            !set(
                &mut conditions,
                (PROGRESSING, true, reason::STARTING, "a"),
                Some(1),
                at(20)
            ),
            "no change, no write"
        );
        assert!(set(
            &mut conditions,
            (PROGRESSING, true, reason::RUNNING, "b"),
            Some(1),
            at(30)
        ));
        assert_eq!(conditions[0].last_transition_time, Time(at(10)));
        assert!(set(
            &mut conditions,
            (PROGRESSING, false, reason::FINISHED, "b"),
            Some(2),
            at(40)
        ));
        assert_eq!(conditions[0].last_transition_time, Time(at(40)));
        assert_eq!(conditions[0].observed_generation, Some(2));
        assert_eq!(conditions.len(), 1, "one of a type");
    }

    #[test]
    fn a_message_is_bounded_and_holds_no_control_characters() {
        let short = shorten(&"ü".repeat(2000), MAX_MESSAGE);
        assert!(
            short.len() <= MAX_MESSAGE && short.len() > MAX_MESSAGE - 4 && short.ends_with("ü…")
        );
        assert_eq!(shorten("a\u{1b}[31m\nb", MAX_MESSAGE), "a [31m b");
    }
}
