//! Golden rows: what tau2-bench itself does with a task.

use std::collections::BTreeMap;
use std::path::Path;

use agoge_dialogue::ToolCall;
use agoge_world::{Basis, Matching, Task};
use anyhow::{Context, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// One task, its gold calls with their results, and the verdicts on them and on doing nothing.
#[derive(Debug, Deserialize)]
pub struct Row {
    pub task_id: String,
    pub initial_db_hash: String,
    pub initial_user_db_hash: Option<String>,
    pub actions: Vec<Action>,
    pub final_db_hash: String,
    pub final_user_db_hash: Option<String>,
    /// After the gold calls without the synchronisation that follows a call.
    pub gold_nosync_db_hash: String,
    pub gold_nosync_user_db_hash: Option<String>,
    pub db_diff: Vec<Change>,
    pub user_db_diff: Vec<Change>,
    /// None where the evaluator itself failed.
    pub reward: Option<f64>,
    pub reward_breakdown: BTreeMap<String, f64>,
    pub env_assertion_met: Vec<bool>,
    pub db_match: Option<bool>,
    pub reward_if_no_actions: Option<f64>,
    pub reward_breakdown_if_no_actions: BTreeMap<String, f64>,
    pub initial_db_diff: Vec<Change>,
    pub initial_user_db_diff: Vec<Change>,
    pub initialization_actions: Vec<Start>,
}

/// Gold calls of which one is dropped or made twice, and the verdict of tau2-bench.
#[derive(Debug, Deserialize)]
pub struct Edit {
    pub task_id: String,
    pub kind: String,
    pub at: usize,
    pub actions: Vec<Action>,
    pub reward: Option<f64>,
    pub reward_breakdown: BTreeMap<String, f64>,
}

/// A call, and its result or its error.
#[derive(Debug, Deserialize)]
pub struct Action {
    pub name: String,
    pub args: Map<String, Value>,
    #[serde(default)]
    pub result: Option<String>,
    #[serde(default)]
    pub error: Option<String>,
}

/// A call before the first word.
#[derive(Debug, Deserialize)]
pub struct Start {
    pub func_name: String,
    pub arguments: Map<String, Value>,
}

/// A difference of two states.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Change {
    pub op: String,
    pub path: Vec<Value>,
    #[serde(default)]
    pub value: Value,
}

/// Reads a file of rows, one a line.
pub fn read<T: DeserializeOwned>(file: &Path) -> Result<Vec<T>> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let row = |(line, text): (usize, &str)| {
        serde_json::from_str(text).with_context(|| format!("{}:{line}", file.display()))
    };
    (1..).zip(text.lines()).map(row).collect()
}

impl Action {
    pub fn call(&self) -> ToolCall {
        ToolCall::new(&self.name, self.args.clone())
    }

    /// The text that tau2-bench returned.
    pub fn wanted(&self) -> &str {
        let text = self.result.as_deref().or(self.error.as_deref());
        text.unwrap_or_default()
    }
}

impl Row {
    /// A task with what the row tells: folders do not have the file of every task. It has no assertions.
    pub fn task(&self) -> Task {
        let refused = self.actions.iter().map(|action| action.error.is_some());
        let fails = (1..).zip(refused).filter(|(_, refused)| *refused);
        Task {
            id: self.task_id.clone(),
            gold: self.actions.iter().map(Action::call).collect(),
            start: (self.initialization_actions.iter())
                .map(|call| ToolCall::new(&call.func_name, call.arguments.clone()))
                .collect(),
            fails: fails.map(|(number, _)| number).collect(),
            basis: vec![Basis::State],
            matching: Matching::Substring,
            ..Task::default()
        }
    }
}
