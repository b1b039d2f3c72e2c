//! The scripted user: opens, answers what is asked, gives what it holds back only then, closes when nothing more can come.

mod act;
mod due;
mod reading;

use agoge_dialogue::{Message, Role, ToolSpec};

use crate::task::{DONE, Task};
use crate::template;

pub(crate) use act::request;
pub(crate) use due::{Due, all_said, due, is_call};

/// Said to a statement that does not finish the task. It is a yes, an acknowledgement and no wish.
const GO_ON: &str = "yes, ok.";

/// A user's turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserTurn {
    /// The text.
    pub text: String,
    /// True when it closes the dialogue; the text then contains [`DONE`].
    pub done: bool,
}

/// The scripted user of a task.
#[derive(Clone, Debug)]
pub struct ScriptedUser {
    task: Task,
    error_text: String,
}

impl ScriptedUser {
    /// Returns the user of this task. By `error_text`, which is [`Domain::error_text`](crate::Domain::error_text), it tells a
    /// call that failed from one that was made.
    #[must_use]
    pub fn new(task: &Task, error_text: &str) -> Self {
        Self {
            task: task.clone(),
            error_text: error_text.to_owned(),
        }
    }

    /// Returns the first turn: the opening, or the instruction of a user without one.
    #[must_use]
    pub fn open(&self) -> String {
        let script = &self.task.user;
        said(&script.opening, &script.instruction)
    }

    /// Returns the next message of a user with these tools: a call that the agent asked for, a report of what such calls
    /// returned, or words. `messages` is the whole dialogue, with calls and results.
    #[must_use]
    pub fn next(&self, messages: &[Message], tools: &[ToolSpec]) -> Message {
        if messages.is_empty() {
            return Message::user(&self.open());
        }
        if let Some(call) = act::call_due(&self.task, messages, tools) {
            let message = Message::calls(vec![call.clone()]);
            return Message {
                role: Role::User,
                ..message
            };
        }
        let report = match tools.is_empty() {
            true => None,
            false => act::report(messages),
        };
        Message::user(&report.unwrap_or_else(|| self.reply(messages).text))
    }

    /// Answers the agent, whose text is the last of these messages. The messages before it decide whether the task is
    /// finished: they are the whole dialogue, with calls and results.
    #[must_use]
    pub fn reply(&self, messages: &[Message]) -> UserTurn {
        let script = &self.task.user;
        let answers = |facts: &[usize]| {
            let answers = facts.iter().map(|n| script.facts[*n].answer.as_str());
            answers.collect::<Vec<_>>().join(" ")
        };
        let text = match due(&self.task, &self.error_text, messages) {
            Due::Close | Due::CloseOrAnswer => said(&script.closing, DONE),
            Due::Facts(facts) => answers(&facts),
            Due::Confirm => said(&script.confirm, &template::confirm()),
            Due::Unknown => said(&script.unknown, &template::unknown()),
            Due::GoOn(facts) if facts.is_empty() => said(&script.go_on, GO_ON),
            Due::GoOn(facts) => answers(&facts),
        };
        UserTurn {
            done: text.contains(DONE),
            text,
        }
    }
}

/// Returns a text of the script, or another where the script has none.
fn said(text: &str, otherwise: &str) -> String {
    let chosen = if text.trim().is_empty() {
        otherwise
    } else {
        text
    };
    chosen.to_owned()
}

#[cfg(test)]
mod tests;
