//! Replays calls from the initial state.

use agoge_dialogue::ToolCall;

use crate::episode::{Episode, World};

/// A call that fails.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("call {number} ({name}): {message}")]
pub struct GoldError {
    /// Which, from 1.
    pub number: usize,
    /// The tool.
    pub name: String,
    /// What it answered.
    pub message: String,
}

/// The episode after `calls`.
///
/// # Errors
/// The first call that fails.
pub fn replay(world: &mut World, calls: &[ToolCall]) -> Result<Episode, GoldError> {
    let mut episode = Episode::default();
    for (n, call) in calls.iter().enumerate() {
        let result = world.call(&mut episode, call);
        if result.error {
            return Err(GoldError {
                number: n + 1,
                name: call.name.clone(),
                message: result.content,
            });
        }
    }
    Ok(episode)
}
