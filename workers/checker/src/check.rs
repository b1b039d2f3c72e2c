//! All checkers of a task on one episode: the final state, outputs, calls and assertions, as far as the task brings them and its
//! basis counts them, and the generated script.
use crate::basis::counts;
use crate::final_state::{self, Gold};
use crate::needs::sees_state;
use crate::script::Stopped;
use crate::verdict::{GOLD, Part, Verdict};
use crate::{asserts, calls, outputs, results, script, statements};
use agoge_dialogue::{Message, ToolCall};
use agoge_world::{Assertion, Basis, Episode, GoldError, Task, World};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::Arc;

/// One kind of checker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum Checker {
    /// The final state is that of a gold replay. Where the domain's tools do not show it, the results of gold's calls are
    /// compared as well.
    FinalState,
    /// The required outputs were said.
    Outputs,
    /// The required calls were made.
    Calls { required: Vec<ToolCall> },
    /// A generated Python check.
    Script { source: String },
    /// The assertions hold on the final state.
    Asserts { asserts: Vec<Assertion> },
    /// A model agrees with the statements. Only a verdict with its judgements has a reward, see
    /// [`Verdict::with_judged`].
    Judge { statements: Vec<String> },
}

/// The checkers that decide a task's reward: those of its basis, see [`counts`]. A kind that the basis names is checked even
/// where the task brings nothing for it, and then passes.
pub fn checkers_of(task: &Task) -> Vec<Checker> {
    let named =
        |kind: Basis, brings: bool| counts(task, kind) && (brings || !task.basis.is_empty());
    let mut all = Vec::new();
    if named(Basis::State, true) {
        all.push(Checker::FinalState);
    }
    if named(Basis::Outputs, !task.outputs.is_empty()) {
        all.push(Checker::Outputs);
    }
    if named(Basis::Calls, !task.calls.is_empty()) {
        all.push(Checker::Calls {
            required: task.calls.clone(),
        });
    }
    all.extend(task.checker.iter().map(|source| Checker::Script {
        source: source.clone(),
    }));
    if named(Basis::Asserts, !task.asserts.is_empty()) {
        all.push(Checker::Asserts {
            asserts: task.asserts.clone(),
        });
    }
    if named(Basis::Judge, true) {
        all.push(Checker::Judge {
            statements: task.judge.clone(),
        });
    }
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
        let begin = (&task.records, &task.start, &task.history);
        let all = (&task.gold, &task.fails, begin, &task.compare);
        let all = serde_json::to_string(&all).unwrap_or_default();
        let key = format!("{}\n{}\n{all}", world.domain().digest, task.refusal);
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
    let mut unjudged = None;
    let mut killed = episode
        .calls
        .iter()
        .find(|(_, result)| result.killed)
        .map(|(call, result)| format!("{} was stopped: {}", call.name, result.content));
    for checker in checkers {
        match checker {
            Checker::FinalState => {
                parts.push(final_state::check(gold, world.domain(), episode));
                if !sees_state(world.domain()) {
                    parts.push(results::check(&gold.episode.calls, &episode.calls));
                }
            }
            Checker::Outputs => parts.push(outputs::check(&task.outputs, task.matching, messages)),
            Checker::Calls { required } => parts.push(calls::check(task, required, episode)),
            Checker::Script { source } => match script::check(world, source, episode, messages) {
                Ok(found) => parts.extend(found),
                Err(Stopped::Killed(reason)) => killed = killed.or(Some(reason)),
                Err(Stopped::Lost(lost)) => return Verdict::lost(lost),
            },
            Checker::Asserts { asserts } if asserts.is_empty() => {
                parts.push(Part::passed(asserts::NAME));
            }
            Checker::Asserts { asserts } => match asserts::check(world, asserts, episode) {
                Ok(found) => parts.extend(found),
                Err(Stopped::Killed(reason)) => killed = killed.or(Some(reason)),
                Err(Stopped::Lost(lost)) => return Verdict::lost(lost),
            },
            Checker::Judge { statements } if statements.is_empty() => {
                parts.push(Part::passed(statements::NAME));
            }
            Checker::Judge { .. } => unjudged = Some("no model was asked about the statements"),
        }
    }
    let verdict = Verdict::of(parts, killed);
    match unjudged {
        Some(reason) => verdict.awaiting(reason),
        None => verdict,
    }
}
