//! The one episode loop: training, certification, evaluation, synthesis and chat play by it, under one set of rules.
//!
//! The user speaks first, unless the task has a history. Then the agent takes turns until it speaks instead of calling
//! tools, the user answers, and so on until the user closes the dialogue, a limit is reached, or something fails. A user
//! with tools of its own may call them before it speaks; the agent sees nothing of that. An endpoint, sandbox or user
//! model that fails is a [`Fault`] and never the agent's: [`End::is_fault`] episodes have no reward.

use agoge_dialogue::{Message, Role, ToolCall, agent_view};

use crate::backend::{Party, Session};
use crate::end::{End, Fault};
use crate::episode::ToolResult;
use crate::history;
use crate::rules::Rules;
use crate::speaker::{Speaker, Turn, View};
use crate::task::{DONE, OUT_OF_SCOPE};

/// A finished dialogue.
#[derive(Clone, Debug, PartialEq)]
pub struct Played {
    /// The dialogue with the tool calls and results of both parties, its history first, without system messages. Call ids
    /// count from 1.
    pub messages: Vec<Message>,
    /// The reason it ended.
    pub end: End,
    /// The agent's turns, calls included.
    pub turns: u32,
    /// The agent's tool calls.
    pub calls: u32,
    /// The agent's tool calls that returned an error.
    pub failed_calls: u32,
}

impl Played {
    /// Returns the dialogue of an episode that could not begin.
    #[must_use]
    pub fn failed(fault: Fault) -> Self {
        Self {
            messages: Vec::new(),
            end: fault.into(),
            turns: 0,
            calls: 0,
            failed_calls: 0,
        }
    }
}

/// Plays one episode to its end.
pub async fn play(
    session: &mut dyn Session,
    agent: &mut dyn Speaker,
    user: &mut dyn Speaker,
    rules: &Rules,
) -> Played {
    let messages = history::numbered(session.history());
    let mut episode = Running {
        rules,
        unusable: 0,
        last_call: count(&messages),
        heard: agent_view(&messages),
        played: Played {
            messages,
            end: End::TurnLimit,
            turns: 0,
            calls: 0,
            failed_calls: 0,
        },
        session,
    };
    let end = episode.run(agent, user).await;
    Played {
        end: end.unwrap_or_else(End::from),
        ..episode.played
    }
}

fn count(messages: &[Message]) -> u32 {
    let calls: usize = messages.iter().map(|m| m.tool_calls.len()).sum();
    u32::try_from(calls).unwrap_or(u32::MAX)
}

/// An episode being played.
struct Running<'a> {
    session: &'a mut dyn Session,
    rules: &'a Rules,
    /// Unusable messages in a row.
    unusable: u32,
    /// The id of the last call of either party.
    last_call: u32,
    /// The messages that the agent sees.
    heard: Vec<Message>,
    played: Played,
}

impl Running<'_> {
    async fn run(&mut self, agent: &mut dyn Speaker, user: &mut dyn Speaker) -> Result<End, Fault> {
        if history::next(&self.played.messages) == Party::User
            && let Some(end) = self.user_turn(user).await?
        {
            return Ok(end);
        }
        while self.played.turns < self.rules.max_turns {
            let ended = match agent.turn(self.view(Party::Agent)).await? {
                Turn::Truncated => Some(End::TokenLimit),
                Turn::Malformed { text, reason } => self.malformed(text, reason),
                Turn::Message(message) if message.tool_calls.is_empty() => {
                    self.played.turns += 1;
                    self.unusable = 0;
                    self.push(message);
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

    /// Adds a message that both parties may see. A speaker sees the texts of the other one, and its own traffic with tools.
    fn push(&mut self, message: Message) {
        self.heard.push(message.clone());
        self.played.messages.push(message);
    }

    /// The user sees the agent's traffic with tools, so that a script can tell how far the agent is; a model must not.
    fn view(&self, party: Party) -> View<'_> {
        let messages = match party {
            Party::Agent => &self.heard,
            Party::User => &self.played.messages,
        };
        View {
            messages,
            tools: self.session.tools(party),
            turns: self.played.turns,
            rules: self.rules,
        }
    }

    /// Lets the user call its tools until it speaks.
    async fn user_turn(&mut self, user: &mut dyn Speaker) -> Result<Option<End>, Fault> {
        for _ in 0..=self.rules.max_user_calls {
            let message = match user.turn(self.view(Party::User)).await? {
                Turn::Message(message) => message,
                Turn::Malformed { reason, .. } => return Err(Fault::User(reason)),
                Turn::Truncated => return Err(Fault::User("its turn has no end".into())),
            };
            let calls = !message.tool_calls.is_empty();
            if calls && self.session.tools(Party::User).is_empty() {
                return Err(Fault::User("it called a tool".into()));
            }
            if !calls && message.content.trim().is_empty() {
                return Err(Fault::User("the user gave no turn".into()));
            }
            let ended = closed(&message.content);
            match calls {
                true => self.user_calls(message).await?,
                false => self.push(message),
            }
            if !calls || ended.is_some() {
                return Ok(ended);
            }
        }
        let most = self.rules.max_user_calls;
        Err(Fault::User(format!(
            "it called tools more than {most} times in a row without speaking"
        )))
    }

    /// Runs the calls of a user's message. The agent hears what it says beside them, and nothing else.
    async fn user_calls(&mut self, mut message: Message) -> Result<(), Fault> {
        let calls = self.number(&mut message);
        if !message.content.trim().is_empty() {
            self.heard.push(Message::user(&message.content));
        }
        message.role = Role::User;
        self.played.messages.push(message);
        for call in &calls {
            let result = self.session.call(Party::User, call).await?;
            let reply = Message::tool_result(&call.id, &result.content);
            self.played.messages.push(reply);
            if result.lost {
                return Err(Fault::Infra(stopped(call, &result)));
            }
            if result.killed {
                return Err(Fault::User(stopped(call, &result)));
            }
        }
        Ok(())
    }

    /// Gives the calls of a message the next ids, and returns them.
    fn number(&mut self, message: &mut Message) -> Vec<ToolCall> {
        for call in &mut message.tool_calls {
            self.last_call = self.last_call.saturating_add(1);
            call.id = self.last_call.to_string();
        }
        message.tool_calls.clone()
    }

    /// Keeps an unreadable message; ends the episode, or tells the agent the reason.
    fn malformed(&mut self, text: Option<String>, reason: String) -> Option<End> {
        self.unusable += 1;
        // A history never has an empty turn.
        if let Some(text) = text.filter(|text| !text.trim().is_empty()) {
            self.push(Message::assistant(&text));
        }
        if self.unusable >= self.rules.unusable_in_a_row {
            return Some(End::Nonsense(reason));
        }
        self.played.turns += 1;
        self.push(Message::tool_result("", &format!("error: {reason}")));
        None
    }

    async fn calls(&mut self, mut message: Message) -> Result<Option<End>, Fault> {
        self.played.turns += 1;
        let calls = self.number(&mut message);
        self.push(message);
        let unknown = self.rules.unknown_tools_are_unusable && self.all_unknown(&calls);
        self.unusable = if unknown { self.unusable + 1 } else { 0 };
        for call in &calls {
            let result = self.session.call(Party::Agent, call).await?;
            self.played.calls += 1;
            self.played.failed_calls += u32::from(result.error);
            self.push(Message::tool_result(&call.id, &result.content));
            if result.killed {
                return Err(Fault::Infra(stopped(call, &result)));
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

/// Returns the end that a user's text makes, if it makes one.
fn closed(text: &str) -> Option<End> {
    if text.contains(OUT_OF_SCOPE) {
        let reason = "it was asked something that its instruction does not answer";
        return Some(End::User(reason.into()));
    }
    text.contains(DONE).then_some(End::Closed)
}

fn stopped(call: &ToolCall, result: &ToolResult) -> String {
    format!("{} was stopped: {}", call.name, result.content)
}
