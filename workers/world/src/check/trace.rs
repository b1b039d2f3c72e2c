//! A task played by its gold, call by call: results, failures, and the differences that each call makes.

use agoge_dialogue::ToolCall;
use agoge_sandbox::{Change, Outcome};
use serde::Serialize;
use serde_json::{Map, Value};

use super::writes::{Write, writes};
use crate::begin::StartError;
use crate::episode::{Episode, World};
use crate::task::Task;

/// A task played by its gold.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Trace {
    /// The task's id.
    pub task: String,
    /// The branch, as tasks name it; empty for a task that was given.
    pub branch: String,
    /// True when the agent must change nothing.
    pub refusal: bool,
    /// The gold calls.
    pub calls: Vec<TracedCall>,
    /// The texts that the agent must say.
    pub outputs: Vec<String>,
}

/// One call and its effects.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TracedCall {
    /// The tool.
    pub name: String,
    /// The arguments.
    pub arguments: Map<String, Value>,
    /// The text that the agent reads.
    pub result: String,
    /// True when the tool did what was asked.
    pub worked: bool,
    /// True when a limit of the sandbox stopped it.
    pub stopped: bool,
    /// The exception, where the tool raised one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raised: Option<Raised>,
    /// The differences that the call made, field by field.
    pub changes: Vec<Change>,
    /// The records that the call wrote.
    #[serde(skip)]
    pub(crate) writes: Vec<Write>,
}

/// An exception of a tool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Raised {
    /// Its class.
    pub kind: String,
    /// Its message.
    pub message: String,
    /// The line of the tools' source, from 1, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
}

/// Plays the gold of a task from its beginning. A call that fails does not end it.
///
/// # Errors
/// [`StartError`]: the task cannot begin.
pub fn trace(world: &mut World, task: &Task) -> Result<Trace, StartError> {
    let mut episode = world.begin(task)?;
    let calls = task
        .gold
        .iter()
        .map(|call| trace_call(world, &mut episode, call));
    Ok(Trace {
        calls: calls.collect(),
        task: task.id.clone(),
        branch: task.branch.clone(),
        refusal: task.refusal,
        outputs: task.outputs.clone(),
    })
}

/// Makes one call in an episode, and returns it with its effects.
pub fn trace_call(world: &mut World, episode: &mut Episode, call: &ToolCall) -> TracedCall {
    let state = world.domain().state.clone();
    let before = Episode {
        start: episode.start.clone(),
        overlay: episode.overlay.clone(),
        calls: Vec::new(),
        served: episode.served.clone(),
    };
    let result = world.call(episode, call);
    let writes = writes(&state, &before.overlay, &episode.overlay);
    // The result has the message alone, so a call that failed is made once more for its class and line.
    let fails = result.error && !result.killed;
    TracedCall {
        name: call.name.clone(),
        arguments: call.arguments.clone(),
        worked: result.worked(),
        stopped: result.killed,
        result: result.content,
        raised: fails.then(|| raised(world, before, call)).flatten(),
        changes: writes.iter().flat_map(Write::changes).collect(),
        writes,
    }
}

fn raised(world: &mut World, mut before: Episode, call: &ToolCall) -> Option<Raised> {
    match world.run(&mut before, &call.name, &call.arguments) {
        Outcome::Raised {
            kind,
            message,
            line: line @ Some(_),
        } => Some(Raised {
            kind,
            message,
            line,
        }),
        _ => None,
    }
}
