//! Gold calls that the tools refuse: tau2-bench makes them too and goes on.

use agoge_world::{StartError, World};

use super::error::Tau2Error;
use super::task::GivenTask;

/// A gold call that its tool refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The task.
    pub task: String,
    /// The number of the call, from 1.
    pub number: u32,
    /// The tool.
    pub tool: String,
    /// The tool's answer.
    pub answer: String,
}

/// Replays the gold of each task and records the refused calls in [`Task::fails`](agoge_world::Task::fails).
///
/// # Errors
/// A task that cannot begin, and a call that was stopped.
pub fn mark_refused(world: &mut World, tasks: &mut [GivenTask]) -> Result<Vec<Refused>, Tau2Error> {
    let mut found = Vec::new();
    for GivenTask { task, .. } in tasks {
        let begun = world.begin(task);
        let mut episode = begun.map_err(|source: StartError| Tau2Error::Begin {
            id: task.id.clone(),
            source,
        })?;
        task.fails.clear();
        for (number, call) in (1u32..).zip(&task.gold) {
            let result = world.call(&mut episode, call);
            if result.killed {
                return Err(Tau2Error::Stopped {
                    id: task.id.clone(),
                    number,
                    reason: result.content,
                });
            }
            if !result.worked() {
                task.fails.push(number);
                found.push(Refused {
                    task: task.id.clone(),
                    number,
                    tool: call.name.clone(),
                    answer: result.content,
                });
            }
        }
    }
    Ok(found)
}
