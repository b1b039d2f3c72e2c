//! The form of a task in tau2-bench's files.

use agoge_dialogue::{Role, ToolCall};
use agoge_world::Basis;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

#[derive(Deserialize)]
pub(super) struct Row {
    pub user_scenario: Value,
    #[serde(default)]
    pub initial_state: Value,
    #[serde(default)]
    pub evaluation_criteria: Value,
}

#[derive(Deserialize)]
pub(super) struct Scenario {
    #[serde(default)]
    pub persona: Option<String>,
    pub instructions: Instructions,
}

#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Instructions {
    Structured(Structured),
    Text(String),
}

#[derive(Deserialize)]
pub(super) struct Structured {
    pub domain: String,
    pub reason_for_call: String,
    #[serde(default)]
    pub known_info: Option<String>,
    #[serde(default)]
    pub unknown_info: Option<String>,
    pub task_instructions: String,
}

#[derive(Default, Deserialize)]
pub(super) struct Initial {
    #[serde(default)]
    pub initialization_data: Option<Data>,
    #[serde(default)]
    pub initialization_actions: Option<Vec<FunctionCall>>,
    #[serde(default)]
    pub message_history: Option<Vec<HistoryMessage>>,
}

#[derive(Deserialize)]
pub(super) struct Data {
    #[serde(default)]
    pub agent_data: Option<Map<String, Value>>,
    #[serde(default)]
    pub user_data: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
pub(super) struct FunctionCall {
    pub func_name: String,
    #[serde(default)]
    pub arguments: Map<String, Value>,
    #[serde(default = "yes")]
    pub assert_value: bool,
}

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
pub(super) struct HistoryMessage {
    pub role: Role,
    #[serde(default)]
    pub content: Option<String>,
    #[serde(default)]
    pub tool_calls: Option<Vec<ToolCall>>,
    /// The call that a tool's message answers.
    #[serde(default)]
    pub id: Option<String>,
}

#[derive(Default, Deserialize)]
pub(super) struct Criteria {
    #[serde(default)]
    pub actions: Option<Vec<Action>>,
    #[serde(default)]
    pub env_assertions: Option<Vec<FunctionCall>>,
    #[serde(default)]
    pub communicate_info: Option<Vec<String>>,
    #[serde(default)]
    pub nl_assertions: Option<Vec<String>>,
    #[serde(default)]
    pub reward_basis: Option<Vec<RewardType>>,
}

#[derive(Deserialize)]
pub(super) struct Action {
    pub name: String,
    #[serde(default)]
    pub arguments: Map<String, Value>,
    #[serde(default)]
    pub compare_args: Option<Vec<String>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum RewardType {
    Db,
    EnvAssertion,
    NlAssertion,
    Action,
    Communicate,
}

impl RewardType {
    /// The basis of ours; none for a model's opinion, which is reported apart.
    pub fn basis(self) -> Option<Basis> {
        match self {
            Self::Db => Some(Basis::State),
            Self::EnvAssertion => Some(Basis::Asserts),
            Self::Action => Some(Basis::Calls),
            Self::Communicate => Some(Basis::Outputs),
            Self::NlAssertion => None,
        }
    }
}

/// Reads an object that tau2-bench may keep as a text of JSON; `None` for null.
pub(super) fn object<T: DeserializeOwned>(value: Value, name: &str) -> Result<Option<T>, String> {
    let wrong = |error: serde_json::Error| format!("`{name}`: {error}");
    match value {
        Value::Null => Ok(None),
        Value::String(text) => serde_json::from_str(&text).map_err(wrong),
        value => serde_json::from_value(value).map_err(wrong),
    }
}
