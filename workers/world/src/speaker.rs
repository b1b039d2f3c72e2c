//! The speakers of an episode: the trait, and the two that need no model.

use agoge_dialogue::{Message, ToolSpec};
use async_trait::async_trait;

use crate::end::Fault;
use crate::rules::Rules;
use crate::user::ScriptedUser;

/// The episode as a speaker sees it when it is its turn.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The dialogue so far, its history first, without system messages. Messages are only ever appended, so a speaker may
    /// remember how many it has seen. The agent's has no traffic of the user with tools. The user's has all traffic; a user
    /// model must see no more of it than its own: see [`agoge_dialogue::user_view`].
    pub messages: &'a [Message],
    /// The tools that this speaker may call.
    pub tools: &'a [ToolSpec],
    /// The agent's turns so far, calls included.
    pub turns: u32,
    /// The rules of the episode.
    pub rules: &'a Rules,
}

/// One turn of a speaker.
#[derive(Clone, Debug, PartialEq)]
pub enum Turn {
    /// A message: text, or calls of tools.
    Message(Message),
    /// Output that cannot be read as a message.
    Malformed {
        /// The output as text, kept in the dialogue; `None` when there is none to show.
        text: Option<String>,
        /// The reason, which the speaker is told if it gets another turn.
        reason: String,
    },
    /// The turn, or the whole transcript, reached its token limit before the message ended.
    Truncated,
}

/// Anyone who takes part in a dialogue: a policy, a model behind an endpoint, a script or a person.
#[async_trait(?Send)]
pub trait Speaker {
    /// Takes the next turn.
    ///
    /// # Errors
    /// A [`Fault`] when no turn could be produced and the agent is not to blame.
    async fn turn(&mut self, view: View<'_>) -> Result<Turn, Fault>;
}

#[async_trait(?Send)]
impl Speaker for ScriptedUser {
    async fn turn(&mut self, view: View<'_>) -> Result<Turn, Fault> {
        Ok(Turn::Message(self.next(view.messages, view.tools)))
    }
}

/// An agent that is a function of the view: a baseline, or a script in a test.
#[derive(Clone, Copy, Debug)]
pub struct Script<F>(pub F);

#[async_trait(?Send)]
impl<F: FnMut(View<'_>) -> Message> Speaker for Script<F> {
    async fn turn(&mut self, view: View<'_>) -> Result<Turn, Fault> {
        Ok(Turn::Message((self.0)(view)))
    }
}
