//! Whose tool traffic a message is. Each side's model sees the calls and results of its own side only.

use std::collections::BTreeSet;

use agoge_dialogue::{Message, Role};

/// The ids of the calls that the user made in a dialogue.
pub(super) struct UserCalls<'m>(BTreeSet<&'m str>);

impl<'m> UserCalls<'m> {
    /// Collects them.
    pub(super) fn of(messages: &'m [Message]) -> Self {
        let calling = messages.iter().filter(|message| message.role == Role::User);
        let calls = calling.flat_map(|message| &message.tool_calls);
        Self(calls.map(|call| call.id.as_str()).collect())
    }

    /// Returns true when a message is calls of the user or the result of one.
    pub(super) fn has(&self, message: &Message) -> bool {
        match message.role {
            Role::User => !message.tool_calls.is_empty(),
            Role::Tool => {
                let id = message.tool_call_id.as_deref();
                id.is_some_and(|id| self.0.contains(id))
            }
            Role::System | Role::Assistant => false,
        }
    }
}
