//! The scripted user's own calls: it makes those of the gold that are its own, each when the agent asks for it.

use agoge_dialogue::{Message, Role, ToolCall, ToolSpec};
use serde_json::Value;

use super::due::{is_call, last_said, texts};
use super::reading::{Asked, reading};
use crate::bound::text;
use crate::said::mentions;
use crate::task::Task;

/// Words of tools' names that say little about what they do.
const VERBS: [&str; 14] = [
    "get", "set", "check", "turn", "toggle", "run", "open", "show", "call", "make", "use", "is",
    "do", "the",
];

/// Returns the user's next call, when the agent's last text asks for it.
pub(crate) fn call_due<'a>(
    task: &'a Task,
    messages: &[Message],
    tools: &[ToolSpec],
) -> Option<&'a ToolCall> {
    if tools.is_empty() {
        return None;
    }
    let call = next(task, messages, tools)?;
    let said = last_said(messages)?;
    (!asks_for_news(task, messages, said) && asks(task, call, said)).then_some(call)
}

/// Returns true when the agent asks for a fact that the user has not told yet. A question such as "which device is it?" has a
/// word of `move_device_closer` and does not ask for that call.
fn asks_for_news(task: &Task, messages: &[Message], said: &str) -> bool {
    let Asked::Facts(facts) = reading(&task.user, said) else {
        return false;
    };
    let texts = texts(messages, Role::User);
    let told = |at: &usize| texts.iter().any(|text| task.user.facts[*at].is_told(text));
    !facts.iter().all(told)
}

/// Returns the first gold call of the user that it has not made.
fn next<'a>(task: &'a Task, messages: &[Message], tools: &[ToolSpec]) -> Option<&'a ToolCall> {
    let is_own = |call: &&ToolCall| tools.iter().any(|tool| tool.name == call.name);
    let own: Vec<&ToolCall> = task.gold.iter().filter(is_own).collect();
    let users = messages.iter().filter(|m| m.role == Role::User);
    let made: Vec<&ToolCall> = users.flat_map(|m| &m.tool_calls).collect();
    let count =
        |calls: &[&ToolCall], of: &ToolCall| calls.iter().filter(|call| is_call(of, call)).count();
    let mut due =
        (0..own.len()).filter(|at| count(&made, own[*at]) < count(&own[..=*at], own[*at]));
    due.next().map(|at| own[at])
}

/// Returns true when the agent's text is the task's request for this call, or has a word of the tool's name or a value of
/// its arguments.
fn asks(task: &Task, call: &ToolCall, said: &str) -> bool {
    if task
        .agent
        .ask
        .get(&call.name)
        .is_some_and(|ask| ask == said)
    {
        return true;
    }
    let all: Vec<&str> = call
        .name
        .split('_')
        .filter(|word| !word.is_empty())
        .collect();
    let telling: Vec<&str> = all
        .iter()
        .copied()
        .filter(|word| !VERBS.contains(word))
        .collect();
    let words = if telling.is_empty() { all } else { telling };
    let values = call
        .arguments
        .values()
        .filter(|value| matches!(value, Value::String(_)));
    words.iter().any(|word| mentions(said, word))
        || values.map(text).any(|value| mentions(said, &value))
}

/// Returns the agent's text that asks for a call of the user, where the task has none of its own.
pub(crate) fn request(call: &ToolCall) -> String {
    let mut text = format!("Please {}", call.name.replace('_', " ").trim());
    for (name, value) in &call.arguments {
        text.push_str(&format!(
            ", {} {}",
            name.replace('_', " "),
            self::text(value)
        ));
    }
    text + "."
}

/// Returns the user's report about the calls that it made since the agent's last text; `None` when it made none.
pub(crate) fn report(messages: &[Message]) -> Option<String> {
    let since = messages.iter().rposition(|m| m.role == Role::Assistant)?;
    let own = messages[since + 1..].iter();
    let results: Vec<&str> = own
        .filter(|m| m.role == Role::Tool)
        .map(|m| m.content.trim())
        .filter(|content| !content.is_empty())
        .collect();
    let called = messages.last().is_some_and(|m| m.role == Role::Tool);
    (called && messages[since].tool_calls.is_empty()).then(|| match results.is_empty() {
        true => "I did that.".to_owned(),
        false => format!("I did that. It says: {}", results.join("; ")),
    })
}
