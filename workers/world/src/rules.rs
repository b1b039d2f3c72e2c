//! The rules under which every episode is played.

use serde::{Deserialize, Serialize};

/// Messages of a user in a row that call tools, at most, unless the rules say otherwise.
const USER_CALLS: u32 = 10;

/// The limits of an episode, and how often an agent may err.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Rules {
    /// Agent turns, calls included.
    pub max_turns: u32,
    /// Generated tokens of one turn of the agent.
    pub max_agent_tokens: u32,
    /// Generated tokens of one turn of the user.
    pub max_user_tokens: u32,
    /// Tokens of the agent's whole transcript, prompt included; `None` leaves the limit to the model's context.
    pub max_trajectory_tokens: Option<u32>,
    /// The episode ends at this many unusable messages in a row; after fewer the agent is told the reason. At 1 the
    /// first ends it. A message is unusable when it cannot be read.
    pub unusable_in_a_row: u32,
    /// Counts a message as unusable, too, when all its calls name tools that do not exist. Otherwise such a call only
    /// returns an error.
    pub unknown_tools_are_unusable: bool,
    /// Messages of the user in a row that call tools; at one more the user has failed.
    #[serde(skip_serializing_if = "is_usual")]
    pub max_user_calls: u32,
}

fn is_usual(max_user_calls: &u32) -> bool {
    *max_user_calls == USER_CALLS
}

impl Default for Rules {
    /// The rules for models behind endpoints, which have not been trained on the domain's format.
    fn default() -> Self {
        Self {
            max_turns: 12,
            max_agent_tokens: 160,
            max_user_tokens: 60,
            max_trajectory_tokens: None,
            unusable_in_a_row: 2,
            unknown_tools_are_unusable: true,
            max_user_calls: USER_CALLS,
        }
    }
}

impl Rules {
    /// The rules for policies in training, their probes and their evaluation: a policy is to learn the format, so its
    /// first unreadable message ends the episode.
    #[must_use]
    pub fn training(max_turns: u32, max_tokens_per_turn: u32, max_trajectory_tokens: u32) -> Self {
        Self {
            max_turns,
            max_agent_tokens: max_tokens_per_turn,
            max_user_tokens: max_tokens_per_turn,
            max_trajectory_tokens: Some(max_trajectory_tokens),
            unusable_in_a_row: 1,
            unknown_tools_are_unusable: false,
            max_user_calls: USER_CALLS,
        }
    }
}
