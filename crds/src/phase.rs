//! The phase: a one-word summary derived from the conditions, only here.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Condition;
use crate::conditions::{self, is_true};

/// The phase of an object.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum Phase {
    /// Accepted or not yet reconciled; nothing runs.
    #[default]
    Pending,
    /// Something it needs is missing or not ready, or its spec is refused.
    Waiting,
    /// Its children run.
    Running,
    /// Suspended; nothing runs and the clock is stopped.
    Suspended,
    /// A child failed; it is retried after a pause.
    Retrying,
    /// Finished. Terminal.
    Complete,
    /// Failed for good. Terminal.
    Failed,
}

impl Phase {
    /// Derives the phase from conditions.
    #[must_use]
    pub fn of(conditions: &[Condition]) -> Self {
        if is_true(conditions, conditions::FAILED) {
            Self::Failed
        } else if is_true(conditions, conditions::COMPLETE) {
            Self::Complete
        } else if is_true(conditions, conditions::SUSPENDED) {
            Self::Suspended
        } else if conditions::get(conditions, conditions::ACCEPTED)
            .is_some_and(|c| c.status != "True")
        {
            Self::Waiting
        } else if conditions::reason(conditions, conditions::PROGRESSING)
            == Some(conditions::reason::BACKING_OFF)
        {
            Self::Retrying
        } else if is_true(conditions, conditions::PROGRESSING)
            && !is_true(conditions, conditions::RECONCILING)
        {
            Self::Running
        } else {
            Self::Pending
        }
    }

    /// Tells whether the phase is terminal.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Complete | Self::Failed)
    }
}
