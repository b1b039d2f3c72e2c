//! The ends of an episode, and the failures that are not the agent's.

use serde::{Deserialize, Serialize};

/// The reason an episode ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind", content = "detail")]
pub enum End {
    /// The user closed it.
    Closed,
    /// The agent had no turn left.
    TurnLimit,
    /// The agent's transcript or one of its turns reached the token limit.
    TokenLimit,
    /// The agent's messages were unusable: see [`Rules::unusable_in_a_row`](crate::Rules::unusable_in_a_row).
    Nonsense(String),
    /// The user failed to take its turn.
    User(String),
    /// An endpoint, an engine or the sandbox failed.
    Infra(String),
    /// The agent's reasoning used up the tokens of its turn before it said or called anything.
    Reasoning(String),
    /// The provider's content filter stopped the agent's answer, or took no prompt.
    Filtered(String),
    /// The provider refused to let the agent answer.
    Refused(String),
}

impl End {
    /// Returns true when the episode ended by something that is not the agent's answer; it then proves nothing about the
    /// agent, and has no reward.
    #[must_use]
    pub fn is_fault(&self) -> bool {
        matches!(self, Self::User(_)) || self.outside().is_some()
    }

    /// Returns the reason of an end that lies with the model's endpoint, its provider, an engine or the sandbox.
    #[must_use]
    pub fn outside(&self) -> Option<&str> {
        match self {
            Self::Infra(why) | Self::Reasoning(why) | Self::Filtered(why) | Self::Refused(why) => {
                Some(why)
            }
            _ => None,
        }
    }

    /// The reward of an episode: 1 when the user closed it and the checkers passed, else 0; `None` after a fault.
    #[must_use]
    pub fn reward(&self, passed: bool) -> Option<f64> {
        (!self.is_fault()).then(|| f64::from(u8::from(passed && *self == Self::Closed)))
    }
}

/// A failure that is not the agent's, with the party it belongs to. It is never turned into a reward.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The simulated user failed.
    #[error("the user failed: {0}")]
    User(String),
    /// An endpoint, an engine or the sandbox failed.
    #[error("{0}")]
    Infra(String),
    /// The agent's reasoning used up the tokens of its turn.
    #[error("{0}")]
    Reasoning(String),
    /// The provider's content filter stopped the agent's answer.
    #[error("{0}")]
    Filtered(String),
    /// The provider refused to let the agent answer.
    #[error("{0}")]
    Refused(String),
}

impl From<Fault> for End {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::User(reason) => Self::User(reason),
            Fault::Infra(reason) => Self::Infra(reason),
            Fault::Reasoning(reason) => Self::Reasoning(reason),
            Fault::Filtered(reason) => Self::Filtered(reason),
            Fault::Refused(reason) => Self::Refused(reason),
        }
    }
}
