//! Whose tool traffic a message is. Each side's model sees the calls and results of its own side only.

use std::collections::HashSet;

use agoge_dialogue::{Message, Role, answers, calls_of_user};

/// The ids of the calls that the user made in a dialogue.
pub(super) struct UserCalls<'m>(HashSet<&'m str>);

impl<'m> UserCalls<'m> {
    /// Collects them.
    pub(super) fn of(messages: &'m [Message]) -> Self {
        Self(calls_of_user(messages))
    }

    /// Returns true when a message is calls of the user or the result of one.
    pub(super) fn has(&self, message: &Message) -> bool {
        match message.role {
            Role::User => !message.tool_calls.is_empty(),
            Role::Tool => answers(message, &self.0),
            Role::System | Role::Assistant => false,
        }
    }
}
