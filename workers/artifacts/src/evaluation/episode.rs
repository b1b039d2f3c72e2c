//! A finished episode of an evaluation: one line of `episodes.jsonl`.

use agoge_checker::Verdict;
use agoge_dialogue::Message;
use agoge_world::End;
use serde::{Deserialize, Serialize};

/// The longest reason that is kept, in characters.
const REASON: usize = 300;

/// A finished episode.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Episode {
    /// The task, by id.
    pub task: String,
    /// The trial of it, from 0.
    pub trial: u32,
    /// The branch of the policy.
    pub branch: String,
    /// 1 or 0; none where the episode proves nothing about the model.
    pub reward: Option<f64>,
    /// The reason it ended.
    pub end: End,
    /// The checkers' verdict.
    pub verdict: Option<Verdict>,
    /// The dialogue.
    pub messages: Vec<Message>,
    /// Tokens of agent and user, prompts and answers.
    pub tokens: u64,
    /// A warning: the model wrote calls that were not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unread: Option<String>,
}

impl Episode {
    /// Returns why the episode proves nothing about the model; none where it has a reward.
    #[must_use]
    pub fn void(&self) -> Option<String> {
        if self.reward.is_some() {
            return None;
        }
        let why = match &self.end {
            End::User(why) => format!("the user failed: {why}"),
            end => match (end.outside(), &self.verdict) {
                (Some(why), _) => why.to_owned(),
                (None, Some(verdict)) => verdict.why(),
                (None, None) => "there is no verdict".to_owned(),
            },
        };
        Some(why.chars().take(REASON).collect())
    }

    /// Returns true when the task of this episode passed.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.reward.is_some_and(|reward| reward >= 1.0)
    }
}
