//! The turns of a dialogue that can be imitated.

use crate::message::{Message, Role};

/// Returns the messages without the agent's turns that could not be read, and without the replies that told it so.
///
/// A reply of this kind is a tool message that answers no call: see [`Message::tool_result`] with an empty call.
#[must_use]
pub fn usable(messages: &[Message]) -> Vec<Message> {
    let mut kept: Vec<Message> = Vec::with_capacity(messages.len());
    for message in messages {
        if !is_complaint(message, &kept) {
            kept.push(message.clone());
        } else if kept.last().is_some_and(is_text) {
            kept.pop();
        }
    }
    kept
}

/// Returns true for a tool message that says why the agent's last turn could not be read. Results of calls without ids look
/// alike, but follow such calls.
fn is_complaint(message: &Message, before: &[Message]) -> bool {
    let mut spoken = before.iter().rev();
    let last = spoken.find(|earlier| earlier.role == Role::Assistant);
    let by_place = last.is_some_and(|last| last.tool_calls.iter().any(|call| call.id.is_empty()));
    message.role == Role::Tool && message.tool_call_id.is_none() && !by_place
}

fn is_text(message: &Message) -> bool {
    message.role == Role::Assistant && message.tool_calls.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::ToolCall;

    #[test]
    fn unreadable_turns_and_what_was_said_about_them_are_left_out_and_results_stay() {
        let call = |id: &str| {
            Message::calls(vec![ToolCall {
                id: id.into(),
                ..ToolCall::new("look", serde_json::Map::new())
            }])
        };
        let readable = [
            Message::user("renew it"),
            call("1"),
            Message::tool_result("1", "ok"),
            Message::assistant("It is renewed."),
            Message::user("and the other?"),
            call(""),
            Message::tool_result("", "result by its place"),
            Message::assistant("Done."),
        ];
        let mut all = readable.to_vec();
        let complaint = Message::tool_result("", "error: no JSON");
        // One turn of which nothing was kept, and one that was kept with its text.
        all.insert(5, complaint.clone());
        all.insert(3, Message::assistant("{\"name\": look}"));
        all.insert(4, complaint);
        assert_eq!(usable(&all), readable);
    }
}
