//! Reads `tasks.jsonl`: the tasks as given, one a line. `id`, `user` and `gold` are needed; all else may be left out.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use agoge_dialogue::{Message, ToolCall, ToolSpec};
use agoge_sandbox::{SINGLETON, State};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::schema;
use crate::task::{Fact, Split, Task, UserScript};

/// The suggested fix of an unreadable line.
const FORMAT: &str = "see docs/domain.md for the fields of a task";
/// The problems that are shown; more would be noise.
const SHOWN: usize = 20;

/// The fields of a line that a task has as they are.
const AS_THEY_ARE: [&str; 15] = [
    "id",
    "template",
    "intent",
    "condition",
    "wording",
    "branch",
    "corner",
    "refusal",
    "agent",
    "outputs",
    "match",
    "checker",
    "compare",
    "judge",
    "basis",
];
/// The fields of a line that are read one by one.
const READ: [&str; 9] = [
    "split", "user", "gold", "fails", "records", "start", "history", "asserts", "calls",
];
/// The fields of a user.
const OF_USER: [&str; 10] = [
    "instruction",
    "persona",
    "opening",
    "topic",
    "offTopic",
    "facts",
    "closing",
    "confirm",
    "unknown",
    "goOn",
];

/// The fields of a fact.
const OF_FACT: [&str; 7] = [
    "name", "value", "parts", "held", "asked", "answer", "choices",
];

/// A task as given.
pub(crate) struct Given {
    /// The task.
    pub task: Task,
    /// True when it is given for training as a whole: for demonstrations and for reinforcement learning.
    pub training: bool,
}

/// The parts of a domain that tasks name.
pub(crate) struct Known<'a> {
    /// The agent's tools.
    pub agent: &'a [ToolSpec],
    /// The user's tools.
    pub user: &'a [ToolSpec],
    /// All functions, private ones included.
    pub functions: &'a BTreeSet<String>,
    /// The data.
    pub state: &'a State,
    /// True when servers hold tools whose names are known only when they run.
    pub served: bool,
}

/// A problem of a line.
#[derive(Debug)]
pub(crate) struct Flaw {
    /// The line, from 1.
    pub line: u32,
    /// The problem.
    pub message: String,
    /// The suggested fix.
    pub remedy: String,
}

/// A problem and its suggested fix.
type Problem = (String, String);

/// Returns the rows of a JSONL text, each with its line, from 1; blank lines are passed over.
pub fn rows(text: &str) -> impl Iterator<Item = (u32, &str)> {
    let lines = (1_u32..).zip(text.lines());
    lines.filter(|(_, row)| !row.trim().is_empty())
}

/// Reads all rows. One without a problem gives a task.
pub(crate) fn read(text: &str, known: &Known<'_>) -> (Vec<Given>, Vec<Flaw>) {
    let (mut given, mut flaws) = (Vec::new(), Vec::new());
    let mut lines: HashMap<String, u32> = HashMap::new();
    for (line, row) in rows(text) {
        let read = task(row, known).and_then(|one| match lines.insert(one.task.id.clone(), line) {
            Some(before) => Err((
                format!("`id`: the task of line {before} is `{}` too", one.task.id),
                "give it an id of its own".into(),
            )),
            None => Ok(one),
        });
        match read {
            Ok(one) => given.push(one),
            Err((message, remedy)) => flaws.push(Flaw {
                line,
                message,
                remedy,
            }),
        }
    }
    flaws.truncate(SHOWN);
    (given, flaws)
}

fn task(row: &str, known: &Known<'_>) -> Result<Given, Problem> {
    let value = agoge_notation::json(row).map_err(|flaw| (flaw.message, flaw.remedy.into()))?;
    let Value::Object(row) = value else {
        return Err(("a task is an object".into(), FORMAT.into()));
    };
    only(&row, &[&AS_THEY_ARE[..], &READ[..]].concat(), "")?;
    for needed in ["id", "user", "gold"] {
        if !row.contains_key(needed) {
            return Err((format!("it has no `{needed}`"), FORMAT.into()));
        }
    }
    let mut task = plain(&row)?;
    if task.id.trim().is_empty() {
        return Err(("`id` is empty".into(), "give it a name".into()));
    }
    let training = row.get("split").and_then(Value::as_str) == Some("train");
    task.split = row.get("split").map(split).transpose()?;
    task.user = user(row.get("user").unwrap_or(&Value::Null))?;
    (task.gold, task.fails) = gold(&row, known)?;
    task.calls = some_calls(&row, known)?;
    task.start = calls(&row, "start")?;
    task.history = history(&row)?;
    task.asserts = field(&row, "asserts")?;
    task.records = records(&row, known.state)?;
    let started = task.start.iter().map(|call| ("start", &call.name));
    let asserted = task.asserts.iter().map(|one| ("asserts", &one.name));
    for (place, name) in started.chain(asserted) {
        function(place, name, known)?;
    }
    Ok(Given { task, training })
}

/// Reads the fields that a task has as they are.
fn plain(row: &Map<String, Value>) -> Result<Task, Problem> {
    Ok(Task {
        id: field(row, "id")?,
        template: field(row, "template")?,
        intent: field(row, "intent")?,
        condition: field(row, "condition")?,
        wording: field(row, "wording")?,
        branch: field(row, "branch")?,
        corner: field(row, "corner")?,
        refusal: field(row, "refusal")?,
        agent: field(row, "agent")?,
        outputs: field(row, "outputs")?,
        matching: field(row, "match")?,
        checker: field(row, "checker")?,
        compare: field(row, "compare")?,
        judge: field(row, "judge")?,
        basis: field(row, "basis")?,
        ..Task::default()
    })
}

/// Returns the value of a field, or that of its type's default where it is left out.
fn field<T: DeserializeOwned + Default>(
    row: &Map<String, Value>,
    name: &str,
) -> Result<T, Problem> {
    match row.get(name) {
        None => Ok(T::default()),
        Some(value) => read_as(value, name),
    }
}

fn read_as<T: DeserializeOwned>(value: &Value, place: &str) -> Result<T, Problem> {
    T::deserialize(value).map_err(|error| (format!("`{place}`: {error}"), FORMAT.into()))
}

/// Refuses fields that are not among these.
fn only(map: &Map<String, Value>, known: &[&str], place: &str) -> Result<(), Problem> {
    match map.keys().find(|key| !known.contains(&key.as_str())) {
        None => Ok(()),
        Some(key) => Err((
            format!("there is no field `{place}{key}`"),
            format!("leave it out; the fields are {}", known.join(", ")),
        )),
    }
}

/// Reads a split: one of the four, or `train` and `test`.
///
/// # Errors
/// The problem and its suggested fix.
pub fn split(value: &Value) -> Result<Split, (String, String)> {
    match value.as_str() {
        Some("train") => Ok(Split::TrainRl),
        Some("test") => Ok(Split::Heldout),
        _ => Split::deserialize(value).map_err(|_| {
            let remedy = "write train, test, trainSft, trainRl, heldout or unseen";
            (format!("`split`: there is no split {value}"), remedy.into())
        }),
    }
}

/// Reads a user: an object, or the instruction alone.
fn user(value: &Value) -> Result<UserScript, Problem> {
    match value {
        Value::String(instruction) => Ok(UserScript {
            instruction: instruction.clone(),
            ..UserScript::default()
        }),
        Value::Object(map) => {
            only(map, &OF_USER, "user.")?;
            let facts = map.get("facts").and_then(Value::as_array);
            for (number, fact) in (1..).zip(facts.into_iter().flatten()) {
                if let Value::Object(fact) = fact {
                    only(fact, &OF_FACT, &format!("user.facts[{number}]."))?;
                }
            }
            let mut script: UserScript = read_as(value, "user")?;
            if script.instruction.trim().is_empty() && script.opening.trim().is_empty() {
                return Err((
                    "`user` has neither `instruction` nor `opening`".into(),
                    "write the instruction of a user model there".into(),
                ));
            }
            script.facts = script.facts.into_iter().map(Fact::completed).collect();
            Ok(script)
        }
        _ => Err((
            "`user` must be a text or an object".into(),
            "write the instruction of a user model there".into(),
        )),
    }
}

/// A call as a line writes it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CallRow {
    #[serde(default)]
    id: String,
    name: String,
    #[serde(default)]
    arguments: Map<String, Value>,
    /// True for a gold call that the tool refuses.
    #[serde(default)]
    fails: bool,
}

/// Reads the calls of a field that is not the gold.
fn calls(row: &Map<String, Value>, name: &str) -> Result<Vec<ToolCall>, Problem> {
    let rows: Vec<CallRow> = field(row, name)?;
    if rows.iter().any(|call| call.fails) {
        let message = format!("`{name}`: only gold calls have `fails`");
        return Err((message, "leave it out".into()));
    }
    let call = |row: CallRow| ToolCall {
        id: row.id,
        name: row.name,
        arguments: row.arguments,
    };
    Ok(rows.into_iter().map(call).collect())
}

/// Reads the gold calls and the numbers of those that the tool refuses: `fails` of a call, or of the task.
fn gold(row: &Map<String, Value>, known: &Known<'_>) -> Result<(Vec<ToolCall>, Vec<u32>), Problem> {
    let rows: Vec<CallRow> = field(row, "gold")?;
    let mut fails: BTreeSet<u32> = field(row, "fails")?;
    if let Some(beyond) = fails.iter().find(|n| **n == 0 || **n as usize > rows.len()) {
        let message = format!("`fails` names call {beyond} of {}", rows.len());
        return Err((message, "count the gold calls from 1".into()));
    }
    let mut calls = Vec::new();
    for (number, gold) in (1_u32..).zip(rows) {
        if gold.fails {
            fails.insert(number);
        }
        let place = format!("gold[{number}]");
        let tool = tool(&place, &gold.name, known)?;
        let refused = fails.contains(&number);
        let arguments = match tool {
            Some(tool) if !refused => {
                schema::arguments(tool, &gold.arguments).map_err(|error| misfit(&place, &error))?
            }
            _ => gold.arguments,
        };
        calls.push(ToolCall {
            id: gold.id,
            name: gold.name,
            arguments,
        });
    }
    Ok((calls, fails.into_iter().collect()))
}

/// Reads the calls that the agent must have made, each with the arguments that matter.
fn some_calls(row: &Map<String, Value>, known: &Known<'_>) -> Result<Vec<ToolCall>, Problem> {
    let mut calls = calls(row, "calls")?;
    for (number, call) in (1_u32..).zip(&mut calls) {
        let place = format!("calls[{number}]");
        if let Some(tool) = tool(&place, &call.name, known)? {
            call.arguments = schema::some_arguments(tool, &call.arguments)
                .map_err(|error| misfit(&place, &error))?;
        }
    }
    Ok(calls)
}

fn misfit(place: &str, error: &str) -> Problem {
    let message = format!("`{place}`: {error}");
    (message, "correct the arguments, or the tool".into())
}

/// Returns the tool of this name, of either party; `None` where servers may hold it.
fn tool<'a>(place: &str, name: &str, known: &Known<'a>) -> Result<Option<&'a ToolSpec>, Problem> {
    let found = known
        .agent
        .iter()
        .chain(known.user)
        .find(|tool| tool.name == name);
    match found {
        None if !known.served => Err((
            format!("`{place}`: there is no tool `{name}`"),
            "name a function of tools.py or user_tools.py".into(),
        )),
        found => Ok(found),
    }
}

/// Checks that a function is there, as it is named or as a private one.
fn function(place: &str, name: &str, known: &Known<'_>) -> Result<(), Problem> {
    let there = |name: &str| known.functions.contains(name);
    match known.served || there(name) || there(&format!("_{name}")) {
        true => Ok(()),
        false => Err((
            format!("`{place}`: there is no function `{name}`, nor `_{name}`"),
            "name a function of tools.py or user_tools.py".into(),
        )),
    }
}

/// Reads the dialogue before the first word. Its calls and results are numbered when it is played.
fn history(row: &Map<String, Value>) -> Result<Vec<Message>, Problem> {
    let messages: Vec<Message> = field(row, "history")?;
    match messages
        .iter()
        .position(|m| m.role == agoge_dialogue::Role::System)
    {
        None => Ok(messages),
        Some(at) => Err((
            format!("`history[{}]` is a system message", at + 1),
            "leave it out; the policy is the system message".into(),
        )),
    }
}

/// Reads the fields that are merged into records. A record that is alone in its collection may be written without its id.
fn records(
    row: &Map<String, Value>,
    state: &State,
) -> Result<BTreeMap<String, BTreeMap<String, Value>>, Problem> {
    let mut records: BTreeMap<String, BTreeMap<String, Value>> = field(row, "records")?;
    for (collection, given) in &mut records {
        if !state.collections().any(|one| one == collection) {
            let known: Vec<&str> = state.collections().collect();
            let remedy = format!("name one of state.json: {}", known.join(", "));
            return Err((
                format!("`records`: there is no collection `{collection}`"),
                remedy,
            ));
        }
        let alone = state.get(collection, SINGLETON).is_some();
        if alone && !given.contains_key(SINGLETON) {
            let fields = std::mem::take(given).into_iter().collect();
            given.insert(SINGLETON.to_owned(), Value::Object(fields));
        }
    }
    Ok(records)
}

#[cfg(test)]
mod tests;
