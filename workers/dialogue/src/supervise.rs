//! A finished dialogue as a training transcript, with the same ids that sampling it would have given.

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

/// Returns the messages of a dialogue that the user sees: what both say, also beside calls, without calls, results, reasoning
/// and turns that could not be read.
#[must_use]
pub fn user_view(messages: &[Message]) -> Vec<Message> {
    usable(messages).iter().filter_map(heard).collect()
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
