//! The user's next turn that is right: what the scripted user says, and what a user model is judged by.
//!
//! 1. A question for facts is answered by them, and one that names the right facts is confirmed.
//! 2. When the task is finished, the user closes: the agent has said every output, made the last gold call and those that
//!    the task requires. A refusal needs no gold call, and a task without outputs needs every one.
//! 3. Any other question gets a yes, unless it asks for something that the user does not know.
//! 4. A statement that does not finish the task, such as an announcement or a request in words that the rules do not know,
//!    is answered as well: by the facts held back of which it speaks, else by a few words that let the agent go on.
//! 5. The second such statement in a row, without a call in between, ends the dialogue: nothing more can come.

use agoge_dialogue::{Message, Role, ToolCall, result_of};
use serde_json::Value;

use super::reading::{Asked, names, reading, tells};
use crate::bound::text;
use crate::folder::ERROR_TEXT;
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
/// the user has nothing to answer. `error_text` is [`Domain::error_text`](crate::Domain::error_text).
pub(crate) fn due(task: &Task, error_text: &str, messages: &[Message]) -> Due {
    let Some(said) = last_said(messages) else {
        return Due::Unknown;
    };
    // It made a call of its own since, and reports it.
    if messages
        .last()
        .is_some_and(|last| last.role != Role::Assistant)
    {
        return Due::GoOn(Vec::new());
    }
    match reading(&task.user, said) {
        Asked::Facts(facts) => Due::Facts(facts),
        Asked::Confirmation => Due::Confirm,
        Asked::Unknown | Asked::Consent if finished(task, error_text, messages) => {
            Due::CloseOrAnswer
        }
        Asked::Unknown => Due::Unknown,
        Asked::Consent => Due::Confirm,
        Asked::Nothing if finished(task, error_text, messages) => Due::Close,
        Asked::Nothing => {
            let facts = meant(task, messages, said);
            if facts.is_empty() && was_idle(task, error_text, messages) {
                Due::Close
            } else {
                Due::GoOn(facts)
            }
        }
    }
}

/// Returns true when the agent has said every output.
pub(crate) fn all_said(task: &Task, messages: &[Message]) -> bool {
    let texts = texts(messages, Role::Assistant);
    let said = |output: &String| texts.iter().any(|text| text.says(output));
    task.outputs.iter().all(said)
}

/// Returns the texts of a role's messages, read to be asked what they say.
pub(super) fn texts(messages: &[Message], role: Role) -> Vec<Text> {
    let own = messages.iter().filter(|m| m.role == role);
    own.map(|m| Text::new(&m.content)).collect()
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

/// The last message, when it is a text of the agent. Calls that the user made since, and their results, do not count.
pub(super) fn last_said(messages: &[Message]) -> Option<&str> {
    let mut before = messages;
    let last = loop {
        let (last, earlier) = before.split_last()?;
        if !is_of_users_call(last, earlier) {
            break last;
        }
        before = earlier;
    };
    (last.role == Role::Assistant && last.tool_calls.is_empty()).then_some(last.content.as_str())
}

/// Returns true for a user's message that calls tools, and for the result of such a call.
fn is_of_users_call(message: &Message, before: &[Message]) -> bool {
    match message.role {
        Role::User => !message.tool_calls.is_empty(),
        Role::Tool => {
            let calls = |m: &&Message| !m.tool_calls.is_empty();
            let caller = before.iter().rev().find(calls);
            caller.is_some_and(|caller| caller.role == Role::User)
        }
        _ => false,
    }
}

fn finished(task: &Task, error_text: &str, messages: &[Message]) -> bool {
    let called = |call: &ToolCall| made(call, error_text, messages, false);
    let mut gold = (1..).zip(&task.gold);
    let acted = |(number, call)| made(call, error_text, messages, task.fails_at(number));
    if task.outputs.is_empty() {
        return gold.all(acted);
    }
    let acted = task.refusal || gold.last().is_none_or(acted);
    acted && task.calls.iter().all(called) && all_said(task, messages)
}

/// Returns true when this call was made and did not fail, unless it `may_fail`.
fn made(gold: &ToolCall, error_text: &str, messages: &[Message], may_fail: bool) -> bool {
    let failed = |call: &ToolCall| {
        let result = result_of(&call.id, messages);
        result.is_some_and(|result| is_error(&result.content, error_text))
    };
    let calls = messages.iter().flat_map(|m| &m.tool_calls);
    calls
        .filter(|call| is_call(gold, call))
        .any(|call| may_fail || !failed(call))
}

/// Returns true for the result of a call that failed, as the domain words it. Under the usual wording, and under one that
/// tells nothing of a failure, a result that begins with `Error:` is one, too.
fn is_error(content: &str, error_text: &str) -> bool {
    if error_text == ERROR_TEXT || error_text == "{}" {
        return content.starts_with("error:") || content.starts_with("Error:");
    }
    match error_text.split_once("{}") {
        None => content == error_text,
        Some((before, after)) => {
            let rest = content.strip_prefix(before);
            rest.is_some_and(|rest| rest.ends_with(after))
        }
    }
}

/// The facts that are held back, were not told yet, and of which the agent's text speaks.
fn meant(task: &Task, messages: &[Message], said: &str) -> Vec<usize> {
    let heard = Text::new(said);
    let told = texts(messages, Role::User);
    let facts = task.user.facts.iter().enumerate();
    let open = facts.filter(|(_, fact)| {
        let known = || tells(fact, &heard) || told.iter().any(|text| fact.is_told(text));
        fact.held && names(fact, &heard) && !known()
    });
    open.map(|(n, _)| n).collect()
}

/// Returns true when the agent's text before was an idle one, too, and no call came in between.
fn was_idle(task: &Task, error_text: &str, messages: &[Message]) -> bool {
    let Some(before) = messages.len().checked_sub(2) else {
        return false;
    };
    let after_text = before
        .checked_sub(1)
        .is_some_and(|at| messages[at].role == Role::Assistant);
    after_text
        && messages[before].role == Role::User
        && due(task, error_text, &messages[..before]) == Due::GoOn(Vec::new())
}
