//! The one episode loop: training, certification, evaluation, synthesis and chat play by it, under one set of rules.
//!
//! The user speaks first. Then the agent takes turns until it speaks instead of calling tools, the user answers, and so
//! on until the user closes the dialogue, a limit is reached, or something fails. An endpoint, sandbox or user model that
//! fails is a [`Fault`] and never the agent's: [`End::is_fault`] episodes have no reward.

use agoge_dialogue::{Message, ToolCall};
use serde::{Deserialize, Serialize};

use crate::backend::{Party, Session};
use crate::speaker::{Speaker, Turn, View};
use crate::task::DONE;

/// The limits of an episode, and how often an agent may err.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Rules {
    /// Agent turns, calls included.
    pub max_turns: u32,
    /// Generated tokens of one turn of the agent.
    pub max_agent_tokens: u32,
    /// Generated tokens of one turn of the user.
    pub max_user_tokens: u32,
    /// Tokens of the agent's whole transcript, prompt included; `None` leaves the limit to the model's context.
    pub max_trajectory_tokens: Option<u32>,
    /// The episode ends at this many unusable messages in a row; after fewer the agent is told the reason. At 1 the
    /// first ends it. A message is unusable when it cannot be read.
    pub unusable_in_a_row: u32,
    /// Counts a message as unusable, too, when all its calls name tools that do not exist. Otherwise such a call only
    /// returns an error.
    pub unknown_tools_are_unusable: bool,
}

impl Default for Rules {
    /// The rules for models behind endpoints, which have not been trained on the domain's format.
    fn default() -> Self {
        Self {
            max_turns: 12,
            max_agent_tokens: 160,
            max_user_tokens: 60,
            max_trajectory_tokens: None,
            unusable_in_a_row: 2,
            unknown_tools_are_unusable: true,
        }
    }
}

impl Rules {
    /// The rules for policies in training, their probes and their evaluation: a policy is to learn the format, so its
    /// first unreadable message ends the episode.
    #[must_use]
    pub fn training(max_turns: u32, max_tokens_per_turn: u32, max_trajectory_tokens: u32) -> Self {
        Self {
            max_turns,
            max_agent_tokens: max_tokens_per_turn,
            max_user_tokens: max_tokens_per_turn,
            max_trajectory_tokens: Some(max_trajectory_tokens),
            unusable_in_a_row: 1,
            unknown_tools_are_unusable: false,
        }
    }
}

/// The reason an episode ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind", content = "detail")]
pub enum End {
    /// The user closed it.
    Closed,
    /// The agent had no turn left.
    TurnLimit,
    /// The agent's transcript or one of its turns reached the token limit.
    TokenLimit,
    /// The agent's messages were unusable: see [`Rules::unusable_in_a_row`].
    Nonsense(String),
    /// The user failed to take its turn.
    User(String),
    /// An endpoint, an engine or the sandbox failed.
    Infra(String),
    /// The agent's reasoning used up the tokens of its turn before it said or called anything.
    Reasoning(String),
    /// The provider's content filter stopped the agent's answer, or took no prompt.
    Filtered(String),
    /// The provider refused to let the agent answer.
    Refused(String),
}

impl End {
    /// Returns true when the episode ended by something that is not the agent's answer; it then proves nothing about the
    /// agent, and has no reward.
    #[must_use]
    pub fn is_fault(&self) -> bool {
        matches!(self, Self::User(_)) || self.outside().is_some()
    }

    /// Returns the reason of an end that lies with the model's endpoint, its provider, an engine or the sandbox.
    #[must_use]
    pub fn outside(&self) -> Option<&str> {
        match self {
            Self::Infra(why) | Self::Reasoning(why) | Self::Filtered(why) | Self::Refused(why) => {
                Some(why)
            }
            _ => None,
        }
    }

    /// The reward of an episode: 1 when the user closed it and the checkers passed, else 0; `None` after a fault.
    #[must_use]
    pub fn reward(&self, passed: bool) -> Option<f64> {
        (!self.is_fault()).then(|| f64::from(u8::from(passed && *self == Self::Closed)))
    }
}

/// A failure that is not the agent's, with the party it belongs to. It is never turned into a reward.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The simulated user failed.
    #[error("the user failed: {0}")]
    User(String),
    /// An endpoint, an engine or the sandbox failed.
    #[error("{0}")]
    Infra(String),
    /// The agent's reasoning used up the tokens of its turn.
    #[error("{0}")]
    Reasoning(String),
    /// The provider's content filter stopped the agent's answer.
    #[error("{0}")]
    Filtered(String),
    /// The provider refused to let the agent answer.
    #[error("{0}")]
    Refused(String),
}

impl From<Fault> for End {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::User(reason) => Self::User(reason),
            Fault::Infra(reason) => Self::Infra(reason),
            Fault::Reasoning(reason) => Self::Reasoning(reason),
            Fault::Filtered(reason) => Self::Filtered(reason),
            Fault::Refused(reason) => Self::Refused(reason),
        }
    }
}

/// A finished dialogue.
#[derive(Clone, Debug, PartialEq)]
pub struct Played {
    /// The dialogue with tool calls and results, without system messages. Call ids count from 1.
    pub messages: Vec<Message>,
    /// The reason it ended.
    pub end: End,
    /// The agent's turns, calls included.
    pub turns: u32,
    /// The tool calls.
    pub calls: u32,
    /// The tool calls that returned an error.
    pub failed_calls: u32,
}

/// Plays one episode to its end.
pub async fn play(
    session: &mut dyn Session,
    agent: &mut dyn Speaker,
    user: &mut dyn Speaker,
    rules: &Rules,
) -> Played {
    let mut episode = Running {
        session,
        rules,
        unusable: 0,
        played: Played {
            messages: Vec::new(),
            end: End::TurnLimit,
            turns: 0,
            calls: 0,
            failed_calls: 0,
        },
    };
    let end = episode.run(agent, user).await;
    Played {
        end: end.unwrap_or_else(End::from),
        ..episode.played
    }
}

/// An episode being played.
struct Running<'a> {
    session: &'a mut dyn Session,
    rules: &'a Rules,
    /// Unusable messages in a row.
    unusable: u32,
    played: Played,
}

impl Running<'_> {
    async fn run(&mut self, agent: &mut dyn Speaker, user: &mut dyn Speaker) -> Result<End, Fault> {
        if let Some(end) = self.user_turn(user).await? {
            return Ok(end);
        }
        while self.played.turns < self.rules.max_turns {
            let ended = match agent.turn(self.view(Party::Agent)).await? {
                Turn::Truncated => Some(End::TokenLimit),
                Turn::Malformed { text, reason } => self.malformed(text, reason),
                Turn::Message(message) if message.tool_calls.is_empty() => {
                    self.played.turns += 1;
                    self.unusable = 0;
                    self.played.messages.push(message);
                    self.user_turn(user).await?
                }
                Turn::Message(message) => self.calls(message).await?,
            };
            if let Some(end) = ended {
                return Ok(end);
            }
        }
        Ok(End::TurnLimit)
    }

    fn view(&self, party: Party) -> View<'_> {
        View {
            messages: &self.played.messages,
            tools: self.session.tools(party),
            turns: self.played.turns,
            rules: self.rules,
        }
    }

    async fn user_turn(&mut self, user: &mut dyn Speaker) -> Result<Option<End>, Fault> {
        let message = match user.turn(self.view(Party::User)).await? {
            Turn::Message(message) => message,
            Turn::Malformed { reason, .. } => return Err(Fault::User(reason)),
            Turn::Truncated => return Err(Fault::User("its turn has no end".into())),
        };
        if !message.tool_calls.is_empty() {
            return Err(Fault::User("it called a tool".into()));
        }
        if message.content.trim().is_empty() {
            return Err(Fault::User("the user gave no turn".into()));
        }
        let closes = message.content.contains(DONE);
        self.played.messages.push(message);
        Ok(closes.then_some(End::Closed))
    }

    /// Keeps an unreadable message; ends the episode, or tells the agent the reason.
    fn malformed(&mut self, text: Option<String>, reason: String) -> Option<End> {
        self.unusable += 1;
        // A history never has an empty turn.
        if let Some(text) = text.filter(|text| !text.trim().is_empty()) {
            self.played.messages.push(Message::assistant(&text));
        }
        if self.unusable >= self.rules.unusable_in_a_row {
            return Some(End::Nonsense(reason));
        }
        self.played.turns += 1;
        let reply = Message::tool_result("", &format!("error: {reason}"));
        self.played.messages.push(reply);
        None
    }

    async fn calls(&mut self, mut message: Message) -> Result<Option<End>, Fault> {
        self.played.turns += 1;
        for (number, call) in (self.played.calls + 1..).zip(&mut message.tool_calls) {
            call.id = number.to_string();
        }
        let calls = message.tool_calls.clone();
        self.played.messages.push(message);
        let unknown = self.rules.unknown_tools_are_unusable && self.all_unknown(&calls);
        self.unusable = if unknown { self.unusable + 1 } else { 0 };
        for call in &calls {
            let result = self.session.call(Party::Agent, call).await?;
            self.played.calls += 1;
            self.played.failed_calls += u32::from(result.error);
            let reply = Message::tool_result(&call.id, &result.content);
            self.played.messages.push(reply);
            if result.killed {
                let reason = format!("{} was stopped: {}", call.name, result.content);
                return Err(Fault::Infra(reason));
            }
        }
        let ends = unknown && self.unusable >= self.rules.unusable_in_a_row;
        let name = calls.first().map_or("", |call| call.name.as_str());
        Ok(ends.then(|| End::Nonsense(format!("there is no tool `{name}`"))))
    }

    fn all_unknown(&self, calls: &[ToolCall]) -> bool {
        let tools = self.session.tools(Party::Agent);
        calls
            .iter()
            .all(|call| tools.iter().all(|tool| tool.name != call.name))
    }
}
