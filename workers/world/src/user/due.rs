//! The user's next turn that is right: what the scripted user says, and what a user model is judged by.
//!
//! 1. A question for facts is answered by them, and one that names the right facts is confirmed.
//! 2. When the task is finished, the user closes: the agent has said every output, made the last gold call and those that
//!    the task requires. A refusal needs no gold call, and a task without outputs needs every one.
//! 3. Any other question gets a yes, unless it asks for something that the user does not know.
//! 4. A statement that does not finish the task, such as an announcement or a request in words that the rules do not know,
//!    is answered as well: by the facts held back of which it speaks, else by a few words that let the agent go on.
//! 5. The second such statement in a row, without a call in between, ends the dialogue: nothing more can come.

use agoge_dialogue::{Message, Role, ToolCall};
use serde_json::Value;

use super::reading::{Asked, names, reading, tells};
use crate::bound::text;
use crate::said::Text;
use crate::task::Task;

/// The turn that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// To close.
    Close,
    /// To close, or to answer what the agent asks beyond the task.
    CloseOrAnswer,
    /// To tell these facts, by number.
    Facts(Vec<usize>),
    /// To say yes.
    Confirm,
    /// To say that it does not know.
    Unknown,
    /// To keep the dialogue going, with the facts that the agent may have meant.
    GoOn(Vec<usize>),
}

/// Returns the turn that is due after these messages. The agent's last text counts; when the agent did not speak last,
/// the user has nothing to answer.
pub(crate) fn due(task: &Task, messages: &[Message]) -> Due {
    let Some(said) = last_said(messages) else {
        return Due::Unknown;
    };
    match reading(&task.user, said) {
        Asked::Facts(facts) => Due::Facts(facts),
        Asked::Confirmation => Due::Confirm,
        Asked::Unknown | Asked::Consent if finished(task, messages) => Due::CloseOrAnswer,
        Asked::Unknown => Due::Unknown,
        Asked::Consent => Due::Confirm,
        Asked::Nothing if finished(task, messages) => Due::Close,
        Asked::Nothing => {
            let facts = meant(task, messages, said);
            if facts.is_empty() && was_idle(task, messages) {
                Due::Close
            } else {
                Due::GoOn(facts)
            }
        }
    }
}

/// Returns true when the agent has said every output.
pub(crate) fn all_said(task: &Task, messages: &[Message]) -> bool {
    let agent = messages.iter().filter(|m| m.role == Role::Assistant);
    let texts: Vec<Text> = agent.map(|m| Text::new(&m.content)).collect();
    let said = |output: &String| texts.iter().any(|text| text.says(output));
    task.outputs.iter().all(said)
}

/// Returns true when two calls are of one tool and give the arguments of the first the same values, as they are written:
/// `5` is `"5"`.
pub(crate) fn is_call(gold: &ToolCall, call: &ToolCall) -> bool {
    let given = |(name, value): (&String, &Value)| {
        let other = call.arguments.get(name);
        other.is_some_and(|other| other == value || text(other) == text(value))
    };
    gold.name == call.name && gold.arguments.iter().all(given)
}

/// The last message, when it is a text of the agent.
fn last_said(messages: &[Message]) -> Option<&str> {
    let last = messages.last()?;
    (last.role == Role::Assistant && last.tool_calls.is_empty()).then_some(last.content.as_str())
}

fn finished(task: &Task, messages: &[Message]) -> bool {
    let made = |gold: &ToolCall| made(gold, messages);
    if task.outputs.is_empty() {
        return task.gold.iter().all(made);
    }
    let acted = task.refusal || task.gold.last().is_none_or(made);
    acted && task.calls.iter().all(made) && all_said(task, messages)
}

/// Returns true when the agent made this call and it did not fail.
fn made(gold: &ToolCall, messages: &[Message]) -> bool {
    let failed = |call: &ToolCall| {
        let of_call = |m: &&Message| m.tool_call_id.as_deref() == Some(call.id.as_str());
        let result = messages.iter().find(of_call);
        result.is_some_and(|result| result.content.starts_with("error:"))
    };
    let calls = messages.iter().flat_map(|m| &m.tool_calls);
    calls
        .filter(|call| is_call(gold, call))
        .any(|call| !failed(call))
}

/// The facts that are held back, were not told yet, and of which the agent's text speaks.
fn meant(task: &Task, messages: &[Message], said: &str) -> Vec<usize> {
    let heard = Text::new(said);
    let users = messages.iter().filter(|m| m.role == Role::User);
    let told: Vec<Text> = users.map(|m| Text::new(&m.content)).collect();
    let facts = task.user.facts.iter().enumerate();
    let open = facts.filter(|(_, fact)| {
        let known = || tells(fact, &heard) || told.iter().any(|text| text.mentions(&fact.value));
        fact.held && names(fact, &heard) && !known()
    });
    open.map(|(n, _)| n).collect()
}

/// Returns true when the agent's text before was an idle one, too, and no call came in between.
fn was_idle(task: &Task, messages: &[Message]) -> bool {
    let Some(before) = messages.len().checked_sub(2) else {
        return false;
    };
    messages[before].role == Role::User && due(task, &messages[..before]) == Due::GoOn(Vec::new())
}
