//! All checkers of a task on one episode: final state and outputs always, the generated script where there is one.
use crate::final_state::{self, Gold};
use crate::verdict::{Part, Verdict};
use crate::{outputs, script};
use agoge_dialogue::Message;
use agoge_world::{Episode, Task, World};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::Arc;

/// One kind of checker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum Checker {
    /// The final state is that of a gold replay.
    FinalState,
    /// The required outputs were said.
    Outputs,
    /// A generated Python check.
    Script { source: String },
}

/// The checkers of a task.
pub fn checkers_of(task: &Task) -> Vec<Checker> {
    let mut all = vec![Checker::FinalState];
    if !task.outputs.is_empty() {
        all.push(Checker::Outputs);
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
    gold: HashMap<String, Arc<Result<Gold, String>>>,
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
            Err(why) => Verdict::of(vec![Part::failed("gold", why.clone())], None),
        }
    }

    /// The task's gold, replayed at the first asking.
    pub fn gold(&mut self, world: &mut World, task: &Task) -> Arc<Result<Gold, String>> {
        let calls = serde_json::to_string(&task.gold).unwrap_or_default();
        let key = format!("{}\n{calls}", world.domain().digest);
        if let Some(gold) = self.gold.get(&key) {
            return gold.clone();
        }
        if self.gold.len() >= REMEMBERED {
            self.gold.clear();
        }
        let gold = Arc::new(Gold::of(world, task));
        // A failure may be a passing one, such as a killed call: it is not remembered.
        if gold.is_ok() {
            self.gold.insert(key, gold.clone());
        }
        gold
    }
}

/// The verdict of these checkers. A tool call that was killed by a limit makes the whole verdict a killed one.
pub(crate) fn judge(
    world: &mut World,
    task: &Task,
    checkers: &[Checker],
    gold: &Gold,
    episode: &Episode,
    messages: &[Message],
) -> Verdict {
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
            Checker::Script { source } => match script::check(world, source, episode, messages) {
                Ok(found) => parts.extend(found),
                Err(reason) => killed = killed.or(Some(reason)),
            },
        }
    }
    Verdict::of(parts, killed)
}
