//! A finished dialogue as a training transcript, with the same ids that sampling it would have given.

use std::collections::HashSet;

use crate::{Message, Renderer, Role, ToolSpec, Transcript, Vocab, usable};

/// The transcript in which `speaker`'s turns are trained: exactly the tokens it would have sampled, its stop token
/// included, after the same prefix that a rollout gives it. `speaker` is `Assistant` or `User`.
#[must_use]
pub fn supervise(
    renderer: &dyn Renderer,
    vocab: &dyn Vocab,
    system: &str,
    tools: &[ToolSpec],
    messages: &[Message],
    speaker: Role,
) -> Transcript {
    let mut transcript = Transcript::default();
    transcript.push_context(&renderer.open(vocab, system, tools));
    for run in messages.chunk_by(|a, b| a.role == b.role) {
        if run[0].role != speaker {
            transcript.push_context(&renderer.append_all(vocab, run));
            continue;
        }
        for message in run {
            transcript.push_context(&renderer.prefix(vocab, speaker));
            let ids = renderer.turn(vocab, message);
            let zeros = vec![0.0; ids.len()];
            transcript.push_sampled(&ids, &zeros, 0);
            transcript.push_context(&renderer.after_turn(vocab, speaker));
        }
    }
    transcript
}

/// Returns the messages of a dialogue that the user sees: what both say, also beside calls, and its own calls with their
/// results; without the agent's calls and results, reasoning and turns that could not be read.
#[must_use]
pub fn user_view(messages: &[Message]) -> Vec<Message> {
    let own = calls_of_user(messages);
    let sees = |message: &Message| match message.role {
        Role::User if !message.tool_calls.is_empty() => Some(Message {
            reasoning: None,
            ..message.clone()
        }),
        Role::Tool => answers(message, &own).then(|| message.clone()),
        _ => heard(message),
    };
    usable(messages).iter().filter_map(sees).collect()
}

/// Returns the messages of a dialogue that the agent sees: all but the user's calls and their results. What the user says
/// beside a call is seen. A dialogue in which the user calls nothing stays as it is.
#[must_use]
pub fn agent_view(messages: &[Message]) -> Vec<Message> {
    let own = calls_of_user(messages);
    let sees = |message: &Message| match message.role {
        Role::User if !message.tool_calls.is_empty() => {
            let says = !message.content.trim().is_empty();
            says.then(|| Message::user(&message.content))
        }
        Role::Tool if answers(message, &own) => None,
        _ => Some(message.clone()),
    };
    messages.iter().filter_map(sees).collect()
}

/// Returns the ids of the user's calls. Ids count over both parties.
#[must_use]
pub fn calls_of_user(messages: &[Message]) -> HashSet<&str> {
    let users = messages.iter().filter(|m| m.role == Role::User);
    let calls = users.flat_map(|message| &message.tool_calls);
    calls.map(|call| call.id.as_str()).collect()
}

/// Returns true when the message is the result of one of these calls.
#[must_use]
pub fn answers(message: &Message, calls: &HashSet<&str>) -> bool {
    let id = message.tool_call_id.as_deref();
    id.is_some_and(|id| calls.contains(id))
}

/// Returns the part of a message that the user hears; `None` where nothing is said.
#[must_use]
pub fn heard(message: &Message) -> Option<Message> {
    let content = &message.content;
    match message.role {
        Role::User => Some(Message::user(content)),
        Role::Assistant if !content.is_empty() || message.tool_calls.is_empty() => {
            Some(Message::assistant(content))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ToolCall;

    fn call(role: Role, id: &str, content: &str) -> Message {
        let call = ToolCall {
            id: id.into(),
            ..ToolCall::new("look", serde_json::Map::new())
        };
        Message {
            role,
            content: content.into(),
            ..Message::calls(vec![call])
        }
    }

    #[test]
    fn each_side_sees_the_words_of_both_and_only_its_own_calls() {
        let agents = [
            call(Role::Assistant, "2", ""),
            Message::tool_result("2", "of the agent"),
            Message::assistant("It is on."),
        ];
        let users = [
            call(Role::User, "1", "One moment."),
            Message::tool_result("1", "of the user"),
        ];
        let hello = Message::user("Hello.");
        let all = [&[hello.clone()][..], &users, &agents].concat();
        let heard = [&[hello.clone(), Message::user("One moment.")][..], &agents].concat();
        assert_eq!(agent_view(&all), heard);
        let seen = [&[hello.clone()][..], &users, &agents[2..]].concat();
        assert_eq!(user_view(&all), seen);
        // Without calls of the user the agent sees the dialogue as it is.
        let usual = [&[hello][..], &agents].concat();
        assert_eq!(agent_view(&usual), usual);
    }
}
