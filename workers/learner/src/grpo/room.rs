//! Room for a rollout: a prompt that does not fit its limit is refused before the first step.

use agoge_dialogue::{Message, Renderer, Role, Vocab};
use agoge_world::{Domain, ScriptedUser, Task};

use crate::LearnerError;
use crate::rollout::system;

/// Checks that the agent's first turn fits into `limit` tokens for at least one task.
///
/// # Errors
/// [`LearnerError::NoRoom`] with both numbers: every rollout would end before its first token, and no step would learn.
pub fn check_room(
    renderer: &dyn Renderer,
    vocab: &dyn Vocab,
    domain: &Domain,
    tasks: &[Task],
    limit: u32,
) -> Result<(), LearnerError> {
    let opening = renderer.open(vocab, system(domain, renderer), &domain.tools);
    let prefix = renderer.prefix(vocab, Role::Assistant);
    let message = |task: &Task| {
        let message = Message::user(&ScriptedUser::new(task, &domain.error_text).open());
        renderer.append(vocab, &message).len()
    };
    let shortest = tasks.iter().map(message).min().unwrap_or(0);
    let prompt = opening.len() + shortest + prefix.len();
    match prompt >= limit as usize {
        true => Err(LearnerError::NoRoom { prompt, limit }),
        false => Ok(()),
    }
}
