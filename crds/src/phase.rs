//! The phase: one word for people, derived from the conditions, here and nowhere else.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Condition;
use crate::conditions::{self, is_true};

/// Where an object is in its life.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum Phase {
    /// Accepted or not yet looked at; nothing runs.
    #[default]
    Pending,
    /// Something it needs is missing or not ready, or its spec is refused.
    Waiting,
    /// Its children run.
    Running,
    /// Suspended; nothing runs and the clock stands still.
    Suspended,
    /// A child failed; it is tried again after a pause.
    Retrying,
    /// Done. Terminal.
    Complete,
    /// Given up. Terminal.
    Failed,
}

impl Phase {
    /// The phase that these conditions say.
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

    /// Whether nothing follows.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Complete | Self::Failed)
    }
}
