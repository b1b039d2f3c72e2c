//! One session's episode: what a call, a text of the agent and a verdict do to it. No lock, no clock, no network.

use std::sync::Arc;

use agoge_checker::{Judge, Part};
use agoge_dialogue::{Message, Role, ToolCall};
use agoge_sandbox::Change;
use agoge_world::{Episode, Party, ScriptedUser, Split, StartError, ToolResult, World};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::catalog::Entry;
use crate::limits::ServerLimits;
use crate::refused::Refused;

/// A sandbox process and the judge that works in it.
#[derive(Debug)]
pub(crate) struct Stage {
    pub world: World,
    pub judge: Judge,
}

/// An episode in play.
#[derive(Clone, Debug)]
pub(crate) struct Play {
    entry: Arc<Entry>,
    episode: Episode,
    messages: Vec<Message>,
    /// The bytes of all messages.
    bytes: usize,
    /// The calls and texts that count towards the limit.
    taken: u32,
    /// The number of the last call.
    number: usize,
    closed: bool,
}

/// The scripted user's answer to a text of the agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reply {
    /// The user's text.
    pub reply: String,
    /// True when the user has closed the dialogue.
    pub done: bool,
}

/// The verdict on an episode.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Reward {
    /// 1 when all checkers pass, else 0.
    pub reward: f64,
    /// The checkers' parts with their evidence, for people. It shows the right answer: no agent may read it.
    pub parts: Vec<Part>,
}

/// The state of a session, for those who watch it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StateOf {
    /// The task's id.
    pub task: String,
    /// The part of the data.
    pub split: Split,
    /// The tool calls and the agent's texts so far.
    pub steps: u32,
    /// True when the user has closed the dialogue.
    pub done: bool,
    /// The dialogue.
    pub messages: Vec<Message>,
    /// The differences from the state in which the session began.
    pub diff: Vec<Change>,
}

impl Play {
    /// Begins an episode of a task: its own initial state, the dialogue before it, and the user's request.
    ///
    /// # Errors
    /// [`Refused::Stopped`] when the task's start does not work, [`Refused::Lost`] when the sandbox gave no result.
    pub fn begin(stage: &mut Stage, entry: Arc<Entry>) -> Result<Self, Refused> {
        let episode = stage.world.begin(&entry.task).map_err(|error| {
            let why = format!("task {} cannot begin: {error}", entry.task.id);
            match error {
                StartError::Lost(_) => Refused::Lost(why),
                _ => Refused::Stopped(why),
            }
        })?;
        let before = &entry.task.history;
        let number = before.iter().map(|message| message.tool_calls.len()).sum();
        let mut play = Self {
            episode,
            messages: Vec::new(),
            bytes: 0,
            taken: 0,
            number,
            closed: false,
            entry: entry.clone(),
        };
        for message in &entry.task.history {
            play.push(message.clone());
        }
        let opening = &entry.task.user.opening;
        if !opening.trim().is_empty() {
            play.push(Message::user(opening));
        }
        Ok(play)
    }

    /// The task.
    pub fn entry(&self) -> &Arc<Entry> {
        &self.entry
    }

    /// The dialogue so far.
    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// Runs a call of a party. A call that the sandbox lost leaves no trace, so that it can be made again.
    ///
    /// # Errors
    /// A limit, or [`Refused::Stopped`] and [`Refused::Lost`] when the tool gave no result.
    pub fn call(
        &mut self,
        stage: &mut Stage,
        party: Party,
        name: &str,
        arguments: Map<String, Value>,
        limits: &ServerLimits,
    ) -> Result<ToolResult, Refused> {
        if self.closed {
            return Err(Refused::Closed);
        }
        self.step(limits)?;
        let call = ToolCall {
            id: (self.number + 1).to_string(),
            name: name.to_owned(),
            arguments,
        };
        let before = (self.episode.overlay.clone(), self.episode.calls.len());
        let result = stage.world.call_by(party, &mut self.episode, &call);
        if result.lost {
            self.episode.overlay = before.0;
            self.episode.calls.truncate(before.1);
            return Err(Refused::Lost(result.content));
        }
        self.number += 1;
        let answer = Message::tool_result(&call.id, &result.content);
        self.push(Message {
            role: match party {
                Party::Agent => Role::Assistant,
                Party::User => Role::User,
            },
            ..Message::calls(vec![call])
        });
        self.push(answer);
        if result.killed {
            return Err(Refused::Stopped(format!(
                "{name} was stopped: {}",
                result.content
            )));
        }
        Ok(result)
    }

    /// Says a text of the agent to the scripted user, and returns its answer.
    ///
    /// # Errors
    /// A limit, or [`Refused::Closed`].
    pub fn say(
        &mut self,
        stage: &Stage,
        text: &str,
        limits: &ServerLimits,
    ) -> Result<Reply, Refused> {
        if self.closed {
            return Err(Refused::Closed);
        }
        self.step(limits)?;
        self.push(Message::assistant(text));
        let error_text = &stage.world.domain().error_text;
        let turn = ScriptedUser::new(&self.entry.task, error_text).reply(&self.messages);
        self.push(Message::user(&turn.text));
        self.closed = turn.done;
        Ok(Reply {
            reply: turn.text,
            done: turn.done,
        })
    }

    /// Keeps a text of a user whom the client plays itself.
    ///
    /// # Errors
    /// A limit.
    pub fn hear(&mut self, text: &str, limits: &ServerLimits) -> Result<(), Refused> {
        self.step(limits)?;
        self.push(Message::user(text));
        Ok(())
    }

    /// Judges the episode. `said` are the agent's texts in their order, where the client has shown the session none.
    ///
    /// # Errors
    /// [`Refused::Stopped`] and [`Refused::Lost`] when there is no verdict about the agent.
    pub fn verify(&self, stage: &mut Stage, said: &[String]) -> Result<Reward, Refused> {
        let mut messages = self.messages.clone();
        messages.extend(said.iter().map(|text| Message::assistant(text)));
        let task = &self.entry.task;
        let verdict = stage
            .judge
            .check(&mut stage.world, task, &self.episode, &messages);
        if verdict.is_about_the_agent() {
            return Ok(Reward {
                reward: f64::from(u8::from(verdict.pass)),
                parts: verdict.parts,
            });
        }
        let why = format!("there is no verdict on task {}: {}", task.id, verdict.why());
        Err(match verdict.lost {
            Some(_) => Refused::Lost(why),
            None => Refused::Stopped(why),
        })
    }

    /// Returns the state, for those who watch.
    pub fn state(&self, stage: &Stage) -> StateOf {
        StateOf {
            task: self.entry.task.id.clone(),
            split: self.entry.split,
            steps: self.taken,
            done: self.closed,
            messages: self.messages.clone(),
            diff: self.episode.diff(stage.world.domain()),
        }
    }

    /// Counts a step, unless a limit is reached.
    fn step(&mut self, limits: &ServerLimits) -> Result<(), Refused> {
        if self.bytes > limits.session_bytes {
            return Err(Refused::TooLong(limits.session_bytes));
        }
        if self.taken >= limits.calls {
            return Err(Refused::TooManyCalls(limits.calls));
        }
        self.taken += 1;
        Ok(())
    }

    fn push(&mut self, message: Message) {
        let calls = message.tool_calls.iter();
        let calls = calls.map(|call| Value::Object(call.arguments.clone()).to_string().len());
        let bytes = message.content.len().saturating_add(calls.sum());
        self.bytes = self.bytes.saturating_add(bytes);
        self.messages.push(message);
    }
}
