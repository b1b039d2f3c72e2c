//! One replay of a task's gold that goes on after a call that fails, as the benchmarks' own evaluators do.

use agoge_dialogue::{Message, ToolCall};
use agoge_sandbox::{Change, Overlay};
use agoge_world::{Episode, GoldError, Lost, StartError, Task, ToolResult, World};

/// A gold call that is not as an ordinary one is: it raised an error, or was declined.
#[derive(Clone, Debug)]
pub(crate) struct Refused {
    /// The number of the call, from 1.
    pub number: u32,
    /// The tool's answer.
    pub answer: String,
}

/// A played gold.
#[derive(Clone, Debug)]
pub(crate) struct Played {
    /// The beginning.
    pub begun: Episode,
    /// The end.
    pub episode: Episode,
    /// The records before each gold call.
    pub before: Vec<Overlay>,
    /// The calls that failed.
    pub refused: Vec<Refused>,
    /// The fingerprint of the final state.
    pub fingerprint: String,
    /// The changes from the beginning.
    pub changes: Vec<Change>,
}

/// The end of an attempt to play a task.
pub(crate) enum Attempt {
    /// It was played to its end.
    Played(Box<Played>),
    /// It cannot begin, for this reason.
    NotBegun(String),
}

/// Plays a task's gold to its end.
///
/// # Errors
/// The sandbox gave no result.
pub(crate) fn play(world: &mut World, task: &Task) -> Result<Attempt, Lost> {
    let begun = match world.begin(task) {
        Ok(begun) => begun,
        Err(StartError::Lost(lost)) => return Err(lost),
        Err(why) => return Ok(Attempt::NotBegun(why.to_string())),
    };
    let mut episode = begun.clone();
    let (mut before, mut refused) = (Vec::new(), Vec::new());
    for (number, call) in (1..).zip(&task.gold) {
        before.push(episode.overlay.clone());
        let result = world.call(&mut episode, call);
        match GoldError::check(number, call, &result, task.refusal) {
            Ok(()) => {}
            Err(GoldError::Lost(lost)) => return Err(lost),
            Err(_) => refused.push(Refused {
                number: u32::try_from(number).unwrap_or(u32::MAX),
                answer: result.content,
            }),
        }
    }
    let domain = world.domain();
    Ok(Attempt::Played(Box::new(Played {
        fingerprint: episode.fingerprint(domain),
        changes: episode.diff(domain),
        begun,
        before,
        refused,
        episode,
    })))
}

impl Played {
    /// Returns true when gold changes any record.
    pub fn acts(&self) -> bool {
        !self.changes.is_empty()
    }

    /// The gold calls with their results.
    pub fn calls(&self) -> &[(ToolCall, ToolResult)] {
        &self.episode.calls
    }

    /// The task with `fails` as the tools answer, so that its gold can be replayed.
    pub fn playable(&self, task: &Task) -> Task {
        Task {
            fails: self.refused.iter().map(|one| one.number).collect(),
            ..task.clone()
        }
    }
}

/// The words of a dialogue in which the agent says all that it must.
pub(crate) fn all_said(task: &Task) -> Vec<Message> {
    let mut messages = task.history.clone();
    messages.push(Message::user(&task.user.instruction));
    messages.push(Message::assistant(&task.outputs.join(" ; ")));
    messages
}
