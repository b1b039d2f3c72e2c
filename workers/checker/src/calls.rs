//! Calls made: each required call was made and worked, whatever else was done. For calls that leave no trace in the records.
use crate::verdict::Part;
use agoge_dialogue::ToolCall;
use agoge_digest::canonical_numbers;
use agoge_world::{Compare, Episode, Task};
use serde_json::Value;

/// The part's name in a verdict.
pub const NAME: &str = "calls";

/// Checks that every required call was made. Of a call's arguments only those count that the requirement names, each as the
/// task compares it.
pub fn check(task: &Task, required: &[ToolCall], episode: &Episode) -> Part {
    let missing = missing(task, required, episode);
    if missing.is_empty() {
        return Part::passed(NAME);
    }
    let listed: Vec<String> = missing
        .iter()
        .map(|call| match call.arguments.is_empty() {
            true => call.name.clone(),
            false => format!(
                "{} with {}",
                call.name,
                Value::Object(call.arguments.clone())
            ),
        })
        .collect();
    Part::failed(
        NAME,
        format!("the agent never called {}", listed.join(", ")),
    )
}

/// Returns the required calls that were not made, or did not work. An episode has the arguments as the tool read them, so that
/// "3" counts as 3 where the tool takes a number.
pub fn missing<'a>(task: &Task, required: &'a [ToolCall], episode: &Episode) -> Vec<&'a ToolCall> {
    let worked = episode.calls.iter().filter(|(_, result)| result.worked());
    let made: Vec<&ToolCall> = worked.map(|(call, _)| call).collect();
    let met = |wanted: &&ToolCall| {
        made.iter().any(|call| {
            let mut named = wanted.arguments.iter();
            call.name == wanted.name && named.all(|(key, value)| has(task, call, key, value))
        })
    };
    required.iter().filter(|wanted| !met(wanted)).collect()
}

fn has(task: &Task, call: &ToolCall, key: &str, value: &Value) -> bool {
    let given = call.arguments.get(key);
    match task.comparison(&call.name, key) {
        Some(Compare::Ignore) => true,
        Some(rule) => given.is_some_and(|given| rule.alike(given, value)),
        None => given.is_some_and(|given| canonical_numbers(given) == canonical_numbers(value)),
    }
}
