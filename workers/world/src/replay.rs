//! Replays calls from the initial state.

use agoge_dialogue::ToolCall;

use crate::episode::{Episode, World};

/// A gold call that failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("call {number} ({name}): {message}")]
pub struct GoldError {
    /// The number of the call, from 1.
    pub number: usize,
    /// The tool.
    pub name: String,
    /// The tool's answer.
    pub message: String,
}

/// Runs calls from the initial state and returns the episode after them.
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
