//! Attempts at an instance, each at the gate where it ended.

use agoge_checker::{Cause, Verdict};
use agoge_dialogue::Message;
use agoge_world::{Split, Task};
use serde::{Deserialize, Serialize};

/// The gates of an instance, in their order. An attempt names the gate where it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Gate {
    /// A scenario: what the user wants, knows and holds back.
    Scenario,
    /// Gold actions that execute on the domain.
    Gold,
    /// A checker that passes the fixed qualification.
    Checker,
    /// Not a duplicate of another instance.
    Novelty,
    /// A rollout that passes the checker.
    Rollout,
    /// All gates are passed.
    Accepted,
}

impl Gate {
    /// All gates, in their order.
    pub const ALL: [Self; 6] = [
        Self::Scenario,
        Self::Gold,
        Self::Checker,
        Self::Novelty,
        Self::Rollout,
        Self::Accepted,
    ];

    /// The name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Scenario => "scenario",
            Self::Gold => "gold",
            Self::Checker => "checker",
            Self::Novelty => "novelty",
            Self::Rollout => "rollout",
            Self::Accepted => "accepted",
        }
    }
}

/// One attempt at an instance, accepted or not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// Unique in its job.
    pub id: String,
    /// The strategy's name.
    pub strategy: String,
    /// The generation of the plan pair; 0 for strategies without evolution.
    pub generation: u32,
    /// The plan pair's digest, for strategies that have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// The gate where it ended.
    pub gate: Gate,
    /// The reason, for a person; `None` when accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The party at fault; `None` when accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// The part of the data the task belongs to.
    pub split: Split,
    /// The task, once it is complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<Task>,
    /// The dialogue of its rollout, if there was one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub messages: Vec<Message>,
    /// The checkers' verdict on the rollout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// Model tokens spent, prompts and answers.
    #[serde(default)]
    pub tokens: u64,
    /// The model's answer at each stage, for the report.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drafts: Vec<Draft>,
}

/// A model's answer at one stage of an attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Draft {
    /// The stage.
    pub stage: String,
    /// The answer, unchanged.
    pub text: String,
}

impl Attempt {
    /// Returns true when its gold executes, its checker qualified and it duplicates nothing.
    #[must_use]
    pub fn valid(&self) -> bool {
        self.gate >= Gate::Rollout
    }

    /// Returns true when it is valid and a rollout passed its checker.
    #[must_use]
    pub fn accepted(&self) -> bool {
        self.gate == Gate::Accepted
    }
}
