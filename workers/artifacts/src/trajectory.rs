//! Played episodes as the store keeps them: dialogue, verdict, and every token with its mask and log-probability.

use agoge_checker::Verdict;
use agoge_dialogue::Message;
pub use agoge_world::End;
use agoge_world::UserFault;
use serde::{Deserialize, Serialize};

/// A token: its text, 1 when it is trained and 0 otherwise, and its log-probability as sampled.
pub type Token = (String, u8, f32);

/// A played episode for a reader.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Trajectory {
    /// The task's id.
    pub task: String,
    /// The task's branch of the policy.
    pub branch: String,
    /// The player of the agent: an arm of the evaluation, or a step of training.
    pub arm: String,
    /// 1 or 0; `None` when an error ended it that was not the agent's.
    pub reward: Option<f64>,
    /// The end.
    pub end: End,
    /// The checkers' verdict.
    pub verdict: Option<Verdict>,
    /// The dialogue.
    pub messages: Vec<Message>,
    /// The agent's tokens.
    pub tokens: Vec<Token>,
    /// The ids of these tokens, in the vocabulary of the agent's model. Records of older versions have none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<u32>,
    /// Turns in which the user broke its instruction.
    pub user_faults: Vec<UserFault>,
}
