//! The calls of a dialogue, made again in the domain.

use agoge_dialogue::{Message, ToolCall, result_of};
use agoge_world::{Episode, Lost, Task, ToolResult, World};
use serde_json::Value;

use super::report::Why;
use super::validate::Wrong;

/// The end of a replay that did not succeed.
pub(super) enum Failed {
    /// The dialogue is refused.
    Wrong(Wrong),
    /// Nothing is known: the sandbox or a server gave no result.
    Lost(Lost),
}

/// Makes the calls again, compares the results and returns the calls that worked.
///
/// # Errors
/// [`Failed`]
pub(super) fn replay(world: &mut World, messages: &[Message]) -> Result<Vec<ToolCall>, Failed> {
    let mut episode = match world.begin(&Task::default()) {
        Ok(episode) => episode,
        Err(error) => return Err(Failed::Lost(Lost(error.to_string()))),
    };
    let mut gold = Vec::new();
    let mut number = 0_usize;
    for message in messages {
        for call in &message.tool_calls {
            number = number.saturating_add(1);
            let result = again(world, &mut episode, call, number)?;
            let written = written(messages, &call.id);
            if !same(written, &result.content) {
                let reason = format!(
                    "call {number} (`{}`): the dialogue has the result {written:?}, and the domain's tool gives {:?}",
                    call.name, result.content
                );
                return Err(Failed::Wrong((Why::Replay, reason)));
            }
            if result.worked() {
                gold.push(ToolCall::new(&call.name, call.arguments.clone()));
            }
        }
    }
    Ok(gold)
}

fn again(
    world: &mut World,
    episode: &mut Episode,
    call: &ToolCall,
    number: usize,
) -> Result<ToolResult, Failed> {
    let result = world.call(episode, call);
    result.known().map_err(Failed::Lost)?;
    match result.killed {
        false => Ok(result),
        true => {
            let reason = format!(
                "call {number} (`{}`) was stopped: {}",
                call.name, result.content
            );
            Err(Failed::Wrong((Why::Stopped, reason)))
        }
    }
}

/// Returns the result that a dialogue has of a call.
fn written<'a>(messages: &'a [Message], id: &str) -> &'a str {
    result_of(id, messages).map_or("", |message| message.content.as_str())
}

/// Returns true for equal texts, and for texts of equal JSON.
fn same(one: &str, other: &str) -> bool {
    let json = |text: &str| serde_json::from_str::<Value>(text).ok();
    one.trim() == other.trim() || json(one).is_some_and(|value| Some(value) == json(other))
}
