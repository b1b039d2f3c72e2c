//! Tasks of tau2-bench as tasks of ours.

use std::collections::BTreeMap;

use agoge_dialogue::{Message, Role, ToolCall};
use agoge_world::{AgentScript, Assertion, Matching, Split, Task, UserScript};
use serde::Deserialize;
use serde_json::Value;

use super::error::Tau2Error;
use super::row::{
    Action, Criteria, Data, FunctionCall, HistoryMessage, Initial, Instructions, RewardType, Row,
    Scenario, object,
};

/// The token by which a user of tau2-bench closes a dialogue.
const STOP: &str = "###STOP###";

/// A task as it stands in `tasks.jsonl`.
#[derive(Clone, Debug, PartialEq)]
pub struct GivenTask {
    /// The task.
    pub task: Task,
    /// True when it is in the split `train`: it serves demonstrations and reinforcement learning.
    pub training: bool,
    /// True when the reward of tau2-bench would count a model's opinion. It is reported apart here.
    pub judged: bool,
}

impl GivenTask {
    /// Returns the line of `tasks.jsonl`.
    #[must_use]
    pub fn line(&self) -> String {
        let mut row = serde_json::to_value(&self.task).unwrap_or_default();
        if self.training {
            row["split"] = "train".into();
        }
        row.to_string()
    }
}

/// Reads the tasks of one domain.
#[derive(Clone, Debug)]
pub struct TaskReader<'a> {
    domain: &'a str,
    schema: &'a Value,
}

impl<'a> TaskReader<'a> {
    /// Reads tasks of a domain whose state has this schema.
    #[must_use]
    pub fn new(domain: &'a str, schema: &'a Value) -> Self {
        Self { domain, schema }
    }

    /// Reads one task, without its split. `number` is its place in the file, from 1.
    ///
    /// # Errors
    /// [`Tau2Error::Task`], naming the field.
    pub fn read(&self, number: usize, row: &Value) -> Result<GivenTask, Tau2Error> {
        let id = match &row["id"] {
            Value::String(id) => id.clone(),
            Value::Number(id) => id.to_string(),
            _ => String::new(),
        };
        let failed = |message: String| Tau2Error::Task {
            number,
            id: id.clone(),
            message,
        };
        if id.is_empty() {
            return Err(failed("`id` is missing".into()));
        }
        self.task(&id, row).map_err(failed)
    }

    fn task(&self, id: &str, row: &Value) -> Result<GivenTask, String> {
        let row: Row = Row::deserialize(row).map_err(|error| error.to_string())?;
        let scenario: Scenario =
            object(row.user_scenario, "user_scenario")?.ok_or("`user_scenario` is missing")?;
        let initial: Initial = object(row.initial_state, "initial_state")?.unwrap_or_default();
        let criteria: Criteria =
            object(row.evaluation_criteria, "evaluation_criteria")?.unwrap_or_default();
        let (intent, branch) = self.family(id);
        let mut task = Task {
            id: id.to_owned(),
            intent,
            branch,
            user: script(scenario),
            records: self.records(initial.initialization_data)?,
            start: calls(initial.initialization_actions),
            history: history(initial.message_history),
            matching: Matching::Substring,
            ..Task::default()
        };
        let judged = judged_by(&mut task, criteria);
        task.agent = agent(&task);
        Ok(GivenTask {
            task,
            training: false,
            judged,
        })
    }

    /// The intent and the family of a task. Those of telecom are named `[intent]problem|problem[PERSONA:..]`: personas of one
    /// set of problems are one family. Other tasks are families of their own.
    fn family(&self, id: &str) -> (String, String) {
        let intent = id
            .strip_prefix('[')
            .and_then(|rest| rest.split_once(']'))
            .map_or(self.domain, |(intent, _)| intent);
        let branch = id.split("[PERSONA:").next().unwrap_or(id);
        (intent.to_owned(), branch.to_owned())
    }

    /// The records that a task changes before the first word.
    fn records(
        &self,
        data: Option<Data>,
    ) -> Result<BTreeMap<String, BTreeMap<String, Value>>, String> {
        let Some(data) = data else {
            return Ok(BTreeMap::new());
        };
        let both = [data.agent_data, data.user_data].into_iter().flatten();
        let mut records: BTreeMap<String, BTreeMap<String, Value>> = BTreeMap::new();
        for (collection, given) in both.flatten() {
            let given = self.by_id(&collection, given)?;
            records.entry(collection).or_default().extend(given);
        }
        Ok(records)
    }

    /// The given records of a collection by id.
    fn by_id(&self, collection: &str, given: Value) -> Result<BTreeMap<String, Value>, String> {
        let schema = &self.schema["properties"][collection];
        let place = format!("`initial_state.initialization_data`: `{collection}`");
        match given {
            Value::Object(fields) if schema["x-agoge-singleton"] == true => {
                Ok([(String::new(), Value::Object(fields))].into())
            }
            Value::Object(records) => Ok(records.into_iter().collect()),
            Value::Array(items) => {
                let field = schema["x-agoge-list"].as_str().unwrap_or("id");
                let with_id = |item: Value| match item[field].as_str() {
                    Some(id) => Ok((id.to_owned(), item)),
                    None => Err(format!("{place}: an item has no `{field}`")),
                };
                items.into_iter().map(with_id).collect()
            }
            _ => Err(format!("{place} must be an object")),
        }
    }
}

/// The user's side. The instruction has the layout that tau2-bench shows to its own user model.
fn script(scenario: Scenario) -> UserScript {
    let (instruction, opening) = match scenario.instructions {
        Instructions::Text(text) => (text.clone(), text),
        Instructions::Structured(of) => {
            let mut lines = vec![format!("Domain: {}", of.domain)];
            let parts = [
                ("Reason for call", Some(&of.reason_for_call)),
                ("Known info", of.known_info.as_ref()),
                ("Unknown info", of.unknown_info.as_ref()),
                ("Task instructions", Some(&of.task_instructions)),
            ];
            for (name, text) in parts {
                lines.extend(text.map(|text| format!("{name}:\n{}", indented(text))));
            }
            (lines.join("\n"), of.reason_for_call)
        }
    };
    UserScript {
        instruction,
        opening,
        closing: format!("Thank you. {STOP}"),
        confirm: "Yes, please.".into(),
        unknown: "I do not know that.".into(),
        persona: scenario.persona.unwrap_or_default(),
        ..UserScript::default()
    }
}

/// The agent's last text, which says the outputs. With it and the user's opening, gold makes a demonstration.
fn agent(task: &Task) -> AgentScript {
    let mut answer = match task.gold.is_empty() {
        true => "I am sorry, I cannot do that.",
        false => "That is done.",
    }
    .to_owned();
    if !task.outputs.is_empty() {
        answer.push_str(&format!(" The answer: {}.", task.outputs.join(", ")));
    }
    AgentScript {
        answer,
        ..AgentScript::default()
    }
}

/// A text with a tab before each line that is not blank.
fn indented(text: &str) -> String {
    let line = |line: &str| match line.trim().is_empty() {
        true => line.to_owned(),
        false => format!("\t{line}"),
    };
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

fn calls(given: Option<Vec<FunctionCall>>) -> Vec<ToolCall> {
    let call = |call: FunctionCall| ToolCall::new(&call.func_name, call.arguments);
    given.into_iter().flatten().map(call).collect()
}

fn history(given: Option<Vec<HistoryMessage>>) -> Vec<Message> {
    let message = |given: HistoryMessage| Message {
        role: given.role,
        content: given.content.unwrap_or_default(),
        tool_calls: given.tool_calls.unwrap_or_default(),
        tool_call_id: given.id.filter(|_| given.role == Role::Tool),
        reasoning: None,
    };
    given.into_iter().flatten().map(message).collect()
}

/// Gives a task what it is judged by. Returns true when a model's opinion would count in tau2-bench.
fn judged_by(task: &mut Task, criteria: Criteria) -> bool {
    let usual = || vec![RewardType::Db, RewardType::Communicate];
    let basis = criteria.reward_basis.unwrap_or_else(usual);
    let actions = criteria.actions.unwrap_or_default();
    if basis.contains(&RewardType::Action) {
        task.calls = actions.iter().map(required).collect();
    }
    task.gold = actions
        .into_iter()
        .map(|action| ToolCall::new(&action.name, action.arguments))
        .collect();
    task.outputs = criteria.communicate_info.unwrap_or_default();
    task.judge = criteria.nl_assertions.unwrap_or_default();
    let assertion = |call: FunctionCall| Assertion {
        name: call.func_name,
        arguments: call.arguments,
        is: call.assert_value,
    };
    let assertions = criteria.env_assertions.into_iter().flatten();
    task.asserts = assertions.map(assertion).collect();
    task.basis = basis.iter().filter_map(|kind| kind.basis()).collect();
    basis.contains(&RewardType::NlAssertion)
}

/// A required call with the arguments that are compared.
fn required(action: &Action) -> ToolCall {
    let compared = |name: &String| {
        let names = action.compare_args.as_ref();
        names.is_none_or(|names| names.contains(name))
    };
    let arguments = action.arguments.iter();
    let arguments = arguments.filter(|(name, _)| compared(name));
    ToolCall::new(
        &action.name,
        arguments.map(|(k, v)| (k.clone(), v.clone())).collect(),
    )
}

/// Returns the split of a task by the names of the splits that it is in: `train` is for training, anything else is held out.
pub(super) fn split(given: &mut GivenTask, is_train: bool) {
    given.training = is_train;
    given.task.split = Some(if is_train {
        Split::TrainRl
    } else {
        Split::Heldout
    });
}

#[cfg(test)]
mod tests;
