//! The evaluation of models on a qualified suite.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::shared::EndpointBinding;

/// The evaluation of models on the held-out tasks of a suite.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SuiteEvaluation {
    /// The models that play the agent, each on the same tasks. Without a temperature of its own an agent has 0 for one trial, and
    /// 0.7 for several.
    #[schemars(length(min = 1, max = 8))]
    pub agents: Vec<EndpointBinding>,
    /// The model that plays the user by the task's scenario; unset plays the user by the task's script.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<EndpointBinding>,
    /// The agent's first words, as a user model is told of them; unset is `Hi! How can I help you today?`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 500))]
    pub greeting: Option<String>,
    /// The model that judges the tasks' statements in words. Its opinion is reported apart, and is part of a reward only where the
    /// basis of a task names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judge: Option<EndpointBinding>,
    /// Trials of each task: k of pass^k.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 64))]
    pub trials: u32,
    /// Held-out tasks at most.
    #[serde(default = "tasks")]
    #[schemars(range(min = 1, max = 10_000))]
    pub tasks: u32,
    /// Offers tools by the API's own `tools`, instead of describing them in the prompt.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub native_calls: bool,
    /// Turns of an agent in one episode, calls included; unset is the domain's limit, or 12.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub max_turns: Option<u32>,
    /// Generated tokens of one answer of an agent; unset is the domain's limit, or 160.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_tokens: Option<u32>,
    /// Generated tokens of one turn of a user model; unset is the domain's limit, or 256.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_user_tokens: Option<u32>,
    /// Seed of the first trial's sampling; each further trial has the next one.
    #[serde(default)]
    #[schemars(range(min = 0, max = 9_007_199_254_740_991_i64))]
    pub seed: u64,
}

fn one() -> u32 {
    1
}

fn tasks() -> u32 {
    200
}

impl SuiteEvaluation {
    /// One trial of each task with its script, by these models.
    #[must_use]
    pub fn of(agents: Vec<EndpointBinding>) -> Self {
        Self {
            agents,
            user: None,
            greeting: None,
            judge: None,
            trials: one(),
            tasks: tasks(),
            native_calls: false,
            max_turns: None,
            max_tokens: None,
            max_user_tokens: None,
            seed: 0,
        }
    }

    /// Every model that takes part, with the field that names it.
    pub fn bindings(&self) -> impl Iterator<Item = (String, &EndpointBinding)> {
        let agents = self.agents.iter().enumerate();
        let agents = agents.map(|(n, binding)| (format!("agents[{n}]"), binding));
        let named = [("user", &self.user), ("judge", &self.judge)];
        let others = named
            .into_iter()
            .filter_map(|(name, binding)| Some((name.to_owned(), binding.as_ref()?)));
        agents.chain(others)
    }
}
