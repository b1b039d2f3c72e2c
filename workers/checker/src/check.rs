//! All checkers of a task on one episode: the final state always; outputs, calls and the generated script where the task has
//! them.
use crate::final_state::{self, Gold};
use crate::script::Stopped;
use crate::verdict::{GOLD, Part, Verdict};
use crate::{calls, outputs, script};
use agoge_dialogue::{Message, ToolCall};
use agoge_world::{Episode, GoldError, Task, World};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::Arc;

/// One kind of checker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum Checker {
    /// The final state is that of a gold replay.
    FinalState,
    /// The required outputs were said.
    Outputs,
    /// The required calls were made.
    Calls { required: Vec<ToolCall> },
    /// A generated Python check.
    Script { source: String },
}

/// The checkers of a task.
pub fn checkers_of(task: &Task) -> Vec<Checker> {
    let mut all = vec![Checker::FinalState];
    if !task.outputs.is_empty() {
        all.push(Checker::Outputs);
    }
    if !task.calls.is_empty() {
        all.push(Checker::Calls {
            required: task.calls.clone(),
        });
    }
    all.extend(task.checker.iter().map(|source| Checker::Script {
        source: source.clone(),
    }));
    all
}

/// Checks one episode of a task. Gold is replayed each time; a [`Judge`] does that once per task.
pub fn check(world: &mut World, task: &Task, episode: &Episode, messages: &[Message]) -> Verdict {
    Judge::new().check(world, task, episode, messages)
}

/// Checks episodes and remembers each task's replayed gold.
#[derive(Debug, Default)]
pub struct Judge {
    gold: HashMap<String, Arc<Result<Gold, GoldError>>>,
}

/// Golds remembered before the memory is cleared: some tens of megabytes of small overlays.
const REMEMBERED: usize = 10_000;

impl Judge {
    /// A judge that has seen no task yet.
    pub fn new() -> Judge {
        Judge::default()
    }

    /// The verdict of all checkers of the task.
    pub fn check(
        &mut self,
        world: &mut World,
        task: &Task,
        episode: &Episode,
        messages: &[Message],
    ) -> Verdict {
        let gold = self.gold(world, task);
        match &*gold {
            Ok(gold) => judge(world, task, &checkers_of(task), gold, episode, messages),
            Err(GoldError::Lost(lost)) => Verdict::lost(lost.clone()),
            Err(why) => Verdict::of(vec![Part::failed(GOLD, why.to_string())], None),
        }
    }

    /// The task's gold, replayed at the first asking.
    pub fn gold(&mut self, world: &mut World, task: &Task) -> Arc<Result<Gold, GoldError>> {
        let calls = serde_json::to_string(&task.gold).unwrap_or_default();
        let key = format!("{}\n{}\n{calls}", world.domain().digest, task.refusal);
        if let Some(gold) = self.gold.get(&key) {
            return gold.clone();
        }
        if self.gold.len() >= REMEMBERED {
            self.gold.clear();
        }
        let gold = Arc::new(Gold::of(world, task));
        // A failure may pass, such as a lost call: it is not remembered.
        if gold.is_ok() {
            self.gold.insert(key, gold.clone());
        }
        gold
    }
}

/// The verdict of these checkers. A tool call that was killed by a limit makes the whole verdict a killed one, and a run that
/// the sandbox lost makes it a lost one.
pub(crate) fn judge(
    world: &mut World,
    task: &Task,
    checkers: &[Checker],
    gold: &Gold,
    episode: &Episode,
    messages: &[Message],
) -> Verdict {
    let mut results = episode.calls.iter().map(|(_, result)| result);
    if let Some(lost) = results.find_map(|result| result.known().err()) {
        return Verdict::lost(lost);
    }
    let mut parts = Vec::new();
    let mut killed = episode
        .calls
        .iter()
        .find(|(_, result)| result.killed)
        .map(|(call, result)| format!("{} was stopped: {}", call.name, result.content));
    for checker in checkers {
        match checker {
            Checker::FinalState => parts.push(final_state::check(gold, world.domain(), episode)),
            Checker::Outputs => parts.push(outputs::check(&task.outputs, messages)),
            Checker::Calls { required } => parts.push(calls::check(required, episode)),
            Checker::Script { source } => match script::check(world, source, episode, messages) {
                Ok(found) => parts.extend(found),
                Err(Stopped::Killed(reason)) => killed = killed.or(Some(reason)),
                Err(Stopped::Lost(lost)) => return Verdict::lost(lost),
            },
        }
    }
    Verdict::of(parts, killed)
}
