//! The novelty gate: an instance that asks for the same as an earlier one, of this strategy or of those that ran before it,
//! is no new instance.

use std::collections::HashMap;

use agoge_artifacts::{Attempt, Gate, Instance};
use agoge_checker::Cause;
use agoge_world::Task;

use super::ledger::Finished;
use crate::canonical::canonical;

/// The canonical forms of all instances so far, with the id of the first item of each.
#[derive(Clone, Debug, Default)]
pub(crate) struct Novelty {
    known: HashMap<String, String>,
}

impl Novelty {
    /// The instances of earlier strategies.
    pub fn of(known: &[Instance]) -> Self {
        let mut novelty = Self::default();
        for instance in known {
            let id = format!("{} of {}", instance.task.id, instance.strategy);
            novelty.take(&instance.task, &id);
        }
        novelty
    }

    /// Adds the instances of a ledger.
    pub fn with(mut self, items: &[Finished]) -> Self {
        let novelty = &mut self;
        for item in items.iter().filter(|item| item.attempt.valid()) {
            if let Some(task) = &item.attempt.task {
                novelty.take(task, &item.attempt.id);
            }
        }
        self
    }

    /// Notes the task of an item; returns the earlier item that asks for the same, if there is one.
    pub fn take(&mut self, task: &Task, id: &str) -> Option<String> {
        let first = self
            .known
            .entry(canonical(task))
            .or_insert_with(|| id.to_owned());
        (first != id).then(|| first.clone())
    }

    /// Notes the task of a valid attempt, whatever came before it.
    pub fn note(&mut self, attempt: &Attempt) {
        if let Some(task) = attempt.task.as_ref().filter(|_| attempt.valid()) {
            self.take(task, &attempt.id);
        }
    }

    /// Lets an attempt through the gate, or rejects it there. An attempt that came to the gate and must still be played ends,
    /// for now, at the gate of rollouts.
    pub fn judge(&mut self, attempt: &mut Attempt) {
        let Some(task) = &attempt.task else { return };
        let open = matches!(attempt.gate, Gate::Novelty | Gate::Accepted);
        if attempt.cause.is_some() || !open {
            return;
        }
        if self.take(task, &attempt.id).is_some() {
            // Recorded reflections show this reason: another text would ask them another question.
            reject(attempt, "the same calls and outputs as an earlier instance");
        } else if attempt.gate == Gate::Novelty {
            attempt.gate = Gate::Rollout;
            attempt.reason =
                Some("it was not played: the rollouts of its pilot went to others".into());
        }
    }
}

/// Rejects an attempt at a task that was known, before the attempt, to duplicate an earlier item.
pub(crate) fn duplicate(attempt: &mut Attempt, earlier: &str) {
    let reason = format!("it asks for the same as an earlier task - {earlier}");
    reject(attempt, &reason);
}

fn reject(attempt: &mut Attempt, reason: &str) {
    attempt.gate = Gate::Novelty;
    attempt.cause = Some(Cause::Task);
    attempt.reason = Some(reason.to_owned());
    attempt.messages.clear();
    attempt.verdict = None;
}
