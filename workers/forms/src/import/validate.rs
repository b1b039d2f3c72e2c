//! A dialogue held against a domain, without running anything: turns, tools, arguments, results.

use std::collections::BTreeMap;

use agoge_dialogue::{Message, Role, ToolCall, usable};
use agoge_world::{DONE, Domain, Party, read_arguments};

use super::report::Why;

/// A dialogue that is sound, in the form in which dialogues are kept: no system message, calls numbered from 1, results in the
/// order of their calls, and a last turn in which the user closes it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Sound {
    pub messages: Vec<Message>,
    pub other_system: bool,
    pub greeting: bool,
}

/// The reason why a dialogue is refused.
pub(super) type Wrong = (Why, String);

/// Checks a dialogue.
///
/// # Errors
/// The first reason that is found.
pub(super) fn validate(domain: &Domain, given: &[Message]) -> Result<Sound, Wrong> {
    let mut checking = Checking {
        domain,
        sound: Sound::default(),
        calls: 0,
        open: BTreeMap::new(),
        next: 0,
    };
    for (at, message) in (1..).zip(&usable(given)) {
        checking
            .message(message)
            .map_err(|(why, reason)| (why, format!("message {at}: {reason}")))?;
    }
    checking.closed()?;
    let mut sound = checking.sound;
    let said = sound
        .messages
        .iter()
        .any(|message| message.role == Role::Assistant);
    if !said {
        return Err((Why::Roles, "the agent says nothing".into()));
    }
    close(&mut sound.messages);
    Ok(sound)
}

struct Checking<'a> {
    domain: &'a Domain,
    sound: Sound,
    calls: u32,
    /// The numbers of the calls without a result, by their old id.
    open: BTreeMap<String, u32>,
    /// The results of the last message's calls that have come.
    next: usize,
}

impl Checking<'_> {
    fn message(&mut self, message: &Message) -> Result<(), Wrong> {
        match message.role {
            Role::System => {
                let first = self.sound.messages.is_empty();
                if !first {
                    return Err((
                        Why::Roles,
                        "a system message stands within the dialogue".into(),
                    ));
                }
                self.sound.other_system |= message.content.trim() != self.domain.policy.trim();
                Ok(())
            }
            Role::Tool => self.result(message),
            Role::User => self.turn(message, Party::User),
            Role::Assistant => self.turn(message, Party::Agent),
        }
    }

    fn turn(&mut self, message: &Message, party: Party) -> Result<(), Wrong> {
        self.closed()?;
        let wrong = |reason: &str| Err((Why::Roles, reason.to_owned()));
        if message.content.trim().is_empty() && message.tool_calls.is_empty() {
            return wrong("it neither says nor calls anything");
        }
        let last = self
            .sound
            .messages
            .iter()
            .rev()
            .find(|one| one.role != Role::Tool);
        match (last, party) {
            (None, Party::Agent) if message.tool_calls.is_empty() && !self.sound.greeting => {
                self.sound.greeting = true;
                return Ok(());
            }
            (None, Party::Agent) => {
                return wrong("the agent begins; a dialogue begins with the user");
            }
            (None, Party::User) => {}
            // What the user says in several messages is one turn of it.
            (Some(last), Party::User)
                if last.role == Role::User
                    && last.tool_calls.is_empty()
                    && message.tool_calls.is_empty() =>
            {
                if let Some(last) = self.sound.messages.last_mut() {
                    last.content = format!("{}\n{}", last.content, message.content);
                }
                return Ok(());
            }
            // Whoever calls goes on; whoever speaks waits.
            (Some(last), _) if last.role == message.role && last.tool_calls.is_empty() => {
                return wrong("one side speaks twice in a row; join its texts into one message");
            }
            (Some(last), _) if last.role != message.role && !last.tool_calls.is_empty() => {
                return wrong(
                    "the other side speaks before the calls of this one are answered in words",
                );
            }
            (Some(_), _) => {}
        }
        let mut message = message.clone();
        message.tool_call_id = None;
        self.next = 0;
        for (place, call) in message.tool_calls.iter_mut().enumerate() {
            self.call(call, party)?;
            self.calls = self.calls.saturating_add(1);
            let old = std::mem::replace(&mut call.id, self.calls.to_string());
            // Calls without ids are answered in their order.
            let old = if old.is_empty() {
                format!("#{place}")
            } else {
                old
            };
            if self.open.insert(old.clone(), self.calls).is_some() {
                return Err((Why::Results, format!("two calls have the id `{old}`")));
            }
        }
        self.sound.messages.push(message);
        Ok(())
    }

    /// Checks that a party has a tool and that the arguments fit it.
    fn call(&self, call: &ToolCall, party: Party) -> Result<(), Wrong> {
        let tools = self.domain.tools_of(party);
        let Some(tool) = tools.iter().find(|tool| tool.name == call.name) else {
            let known: Vec<&str> = tools.iter().map(|tool| tool.name.as_str()).collect();
            let known = match known.is_empty() {
                true => "no tool".to_owned(),
                false => known.join(", "),
            };
            return Err((
                Why::Tool,
                format!("there is no tool `{}`; this side has {known}", call.name),
            ));
        };
        match read_arguments(tool, &call.arguments) {
            Ok(_) => Ok(()),
            Err(reason) => Err((Why::Arguments, format!("`{}`: {reason}", call.name))),
        }
    }

    fn result(&mut self, message: &Message) -> Result<(), Wrong> {
        let id = match &message.tool_call_id {
            Some(id) if !id.is_empty() => id.clone(),
            _ => format!("#{}", self.next),
        };
        let Some(number) = self.open.remove(&id) else {
            return Err((
                Why::Results,
                format!("the result of `{id}` answers no call before it"),
            ));
        };
        self.next = self.next.saturating_add(1);
        let result = Message::tool_result(&number.to_string(), &message.content);
        // Results stand in the order of their calls.
        let results = self.sound.messages.iter().rev();
        let later = results.take_while(|one| {
            let own = one
                .tool_call_id
                .as_deref()
                .and_then(|id| id.parse::<u32>().ok());
            own > Some(number)
        });
        let at = self.sound.messages.len().saturating_sub(later.count());
        self.sound.messages.insert(at, result);
        Ok(())
    }

    /// Checks that every call has its result.
    fn closed(&self) -> Result<(), Wrong> {
        match self.open.keys().next() {
            None => Ok(()),
            Some(id) => Err((
                Why::Results,
                format!("the call `{id}` before it has no result"),
            )),
        }
    }
}

/// Lets the user close the dialogue, as every kept dialogue ends.
fn close(messages: &mut Vec<Message>) {
    match messages.last_mut() {
        Some(last) if last.role == Role::User && last.tool_calls.is_empty() => {
            if !last.content.contains(DONE) {
                last.content = format!("{} {DONE}", last.content.trim_end());
            }
        }
        _ => messages.push(Message::user(DONE)),
    }
}
