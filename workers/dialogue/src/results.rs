//! Results of tools and the calls that they answer. Ids count over both parties of a dialogue.

use crate::message::{Message, Role, ToolCall};

/// Returns the call that a tool's result answers: the latest of its id in the messages before it, of either party. A result
/// without an id answers a call without one.
#[must_use]
pub fn call_of<'m>(result: &Message, before: &'m [Message]) -> Option<&'m ToolCall> {
    let id = result.tool_call_id.as_deref().unwrap_or_default();
    let mut made = before.iter().rev().flat_map(|message| &message.tool_calls);
    made.find(|call| call.id == id)
}

/// Returns the result of the call of this id in a dialogue.
#[must_use]
pub fn result_of<'m>(id: &str, messages: &'m [Message]) -> Option<&'m Message> {
    let mut results = messages.iter().filter(|message| message.role == Role::Tool);
    results.find(|message| message.tool_call_id.as_deref() == Some(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_and_calls_are_told_by_their_ids_in_any_order() {
        let call = |id: &str, name: &str| ToolCall {
            id: id.into(),
            ..ToolCall::new(name, serde_json::Map::new())
        };
        let messages = [
            Message::calls(vec![call("1", "look"), call("2", "renew")]),
            Message::tool_result("2", "renewed"),
            Message::tool_result("1", "unpaid"),
            Message::tool_result("", "error: no JSON"),
        ];
        let name = |at: usize| call_of(&messages[at], &messages[..at]).map(|one| one.name.as_str());
        assert_eq!(
            [name(1), name(2), name(3)],
            [Some("renew"), Some("look"), None]
        );
        let result = |id: &str| result_of(id, &messages).map(|one| one.content.as_str());
        assert_eq!(
            [result("1"), result("3"), result("")],
            [Some("unpaid"), None, None]
        );
    }
}
