//! Dialogues that have begun before the first word of an episode.

use agoge_dialogue::{Message, Role};

use crate::backend::Party;

/// Returns a dialogue whose calls are numbered from 1, and each result by its call. A result without an id belongs to the
/// first call before it that has none.
pub(crate) fn numbered(history: &[Message]) -> Vec<Message> {
    let mut numbered = history.to_vec();
    let mut count = 0_u32;
    // The ids as they were, of calls without a result so far, each with its number.
    let mut open: Vec<(String, String)> = Vec::new();
    for message in &mut numbered {
        for call in &mut message.tool_calls {
            count = count.saturating_add(1);
            let number = count.to_string();
            open.push((std::mem::replace(&mut call.id, number.clone()), number));
        }
        if message.role == Role::Tool {
            let id = message.tool_call_id.as_deref().unwrap_or_default();
            let found = open.iter().position(|(old, _)| old == id);
            message.tool_call_id = found.map(|at| open.remove(at).1);
        }
    }
    numbered
}

/// Returns the party whose turn it is after these messages: the other one after a text, the same one after a call or its
/// result. The user begins.
pub(crate) fn next(messages: &[Message]) -> Party {
    let said = |message: &&Message| matches!(message.role, Role::User | Role::Assistant);
    let last = messages.iter().rev().find(said);
    match last {
        None => Party::User,
        Some(message) => match (message.role, message.tool_calls.is_empty()) {
            (Role::User, true) | (Role::Assistant, false) => Party::Agent,
            _ => Party::User,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use agoge_dialogue::ToolCall;

    fn call(id: &str) -> Message {
        Message::calls(vec![ToolCall {
            id: id.into(),
            ..ToolCall::new("look", serde_json::Map::new())
        }])
    }

    #[test]
    fn calls_are_numbered_from_one_and_results_follow_their_calls() {
        let history = [
            Message::user("hello"),
            call("a9"),
            Message::tool_result("a9", "x"),
            call(""),
            Message::tool_result("", "y"),
        ];
        let ids: Vec<String> = numbered(&history)
            .into_iter()
            .filter_map(|m| m.tool_call_id)
            .collect();
        assert_eq!(ids, ["1", "2"]);
    }

    #[test]
    fn the_next_turn_follows_from_the_last_message() {
        let answer = Message::assistant("hi");
        let user_call = Message {
            role: Role::User,
            ..call("1")
        };
        let result = Message::tool_result("1", "x");
        assert_eq!(next(&[]), Party::User);
        assert_eq!(next(&[Message::user("hello")]), Party::Agent);
        assert_eq!(next(&[Message::user("hello"), answer]), Party::User);
        assert_eq!(next(&[call("1"), result.clone()]), Party::Agent);
        assert_eq!(next(&[user_call, result]), Party::User);
    }
}
