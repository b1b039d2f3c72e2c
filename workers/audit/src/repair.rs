//! The repaired copy: defects whose repair is determined are repaired, any other row with an error is quarantined.

use std::collections::{BTreeMap, BTreeSet};

use agoge_checker::counts;
use agoge_forms::bfcl;
use agoge_forms::rows::CallRow;
use agoge_world::{Basis, Task};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::audit::Subject;
use crate::finding::{Finding, Repair, Severity};
use crate::kind::Kind;

/// The kinds of checks that a basis may name.
const PARTS: [Basis; 4] = [Basis::State, Basis::Outputs, Basis::Asserts, Basis::Calls];

/// The figures of a repaired copy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Outcome {
    /// Rows of the copy, changed ones included.
    pub kept: usize,
    /// Rows that were changed.
    pub changed: usize,
    /// Rows that another one makes superfluous.
    pub dropped: usize,
    /// Rows that were left out because their repair is not determined.
    pub quarantined: usize,
}

/// A repaired copy.
#[derive(Clone, Debug, Default)]
pub struct Repaired {
    /// The rows that stay, by their place among the audited ones, as they are now.
    pub rows: Vec<(usize, Task)>,
    /// The changes, one object for each changed row: task, reasons, and each field before and after.
    pub diff: Vec<Value>,
    /// The rows that were left out, with their reasons.
    pub left_out: Vec<Value>,
    /// The figures.
    pub outcome: Outcome,
}

/// The fate of one row.
enum Fate {
    Stay(Box<Task>),
    Drop,
    Quarantine,
}

/// Repairs tasks by what was found of them.
#[must_use]
pub fn repair(subjects: &[Subject], findings: &[Finding]) -> Repaired {
    let by_task = grouped(findings);
    let contradicted = contradicted(findings, &by_task);
    let mut all = Repaired::default();
    for (at, subject) in subjects.iter().enumerate() {
        let task = &subject.task;
        let found = by_task
            .get(task.id.as_str())
            .map(Vec::as_slice)
            .unwrap_or_default();
        let fate = match contradicted.contains(task.id.as_str()) {
            true => Fate::Quarantine,
            false => fate(task, found),
        };
        all.take(at, task, fate, found);
    }
    all
}

/// Repairs rows that have no task of ours, and returns those that stay.
#[must_use]
pub fn repair_rows(rows: &[CallRow], findings: &[Finding]) -> (Repaired, Vec<CallRow>) {
    let by_task = grouped(findings);
    let (mut all, mut kept) = (Repaired::default(), Vec::new());
    for (at, row) in rows.iter().enumerate() {
        let found = by_task
            .get(row.id.as_str())
            .map(Vec::as_slice)
            .unwrap_or_default();
        let task = Task {
            id: row.id.clone(),
            ..Task::default()
        };
        let has = |repair: &Repair| found.iter().any(|one| one.repair == *repair);
        let fate = match (has(&Repair::Quarantine), has(&Repair::DropTask)) {
            (true, _) => Fate::Quarantine,
            (false, true) => Fate::Drop,
            (false, false) => Fate::Stay(Box::new(task.clone())),
        };
        let stays = matches!(fate, Fate::Stay(_));
        all.take(at, &task, fate, found);
        if stays {
            let mut row = row.clone();
            let changes = coerced(&mut row, found);
            if !changes.is_empty() {
                let why: Vec<&str> = found.iter().map(|one| one.evidence.as_str()).collect();
                all.diff
                    .push(json!({"task": row.id, "why": why, "changes": changes}));
                all.outcome.changed += 1;
            }
            kept.push(row);
        }
    }
    (all, kept)
}

/// Writes calls with the types of their tools into a row, and returns each before and after.
fn coerced(row: &mut CallRow, found: &[&Finding]) -> Vec<Value> {
    let mut changes = Vec::new();
    let apart = !row.answer.is_null();
    for one in found {
        let Repair::Coerce { call, arguments } = &one.repair else {
            continue;
        };
        let mut number = 0;
        for (turn, calls) in row.turns.iter_mut().map(|turn| &mut turn.calls).enumerate() {
            for (at, right) in calls.iter_mut().enumerate() {
                number += 1;
                let Ok(right) = right else { continue };
                if number != *call {
                    continue;
                }
                right.arguments.clone_from(arguments);
                let written = match apart {
                    false => row
                        .raw
                        .pointer_mut(&format!("/ground_truth/{at}/arguments")),
                    true => row
                        .answer
                        .pointer_mut(&format!("/ground_truth/{turn}/{at}")),
                };
                let Some(written) = written else { continue };
                let after = match (apart, written.is_string()) {
                    (true, _) => Value::from(bfcl::written(right)),
                    (false, true) => Value::Object(arguments.clone()).to_string().into(),
                    (false, false) => Value::Object(arguments.clone()),
                };
                changes.push(json!({"field": one.place, "before": written, "after": after}));
                *written = after;
            }
        }
    }
    changes
}

fn grouped(findings: &[Finding]) -> BTreeMap<&str, Vec<&Finding>> {
    let mut by_task: BTreeMap<&str, Vec<&Finding>> = BTreeMap::new();
    for one in findings.iter().filter(|one| one.severity > Severity::Note) {
        by_task.entry(one.task.as_str()).or_default().push(one);
    }
    by_task
}

/// The tasks that another one contradicts, where the policy does not say which of them is right.
fn contradicted<'a>(
    findings: &'a [Finding],
    by_task: &BTreeMap<&str, Vec<&Finding>>,
) -> BTreeSet<&'a str> {
    let open = |one: &&Finding| {
        one.kind == Kind::ContradictoryTask && policy(by_task.get(one.task.as_str())).is_none()
    };
    let others = findings.iter().filter(open).flat_map(|one| &one.others);
    others.map(String::as_str).collect()
}

fn policy<'a>(found: Option<&'a Vec<&Finding>>) -> Option<&'a Repair> {
    let mut repairs = found?.iter().map(|one| &one.repair);
    repairs.find(|repair| matches!(repair, Repair::FromPolicy { .. }))
}

fn fate(task: &Task, found: &[&Finding]) -> Fate {
    let repairs: Vec<&Repair> = found.iter().map(|one| &one.repair).collect();
    let right = repairs
        .iter()
        .find(|one| matches!(one, Repair::FromPolicy { .. }));
    let is = |kind: Kind| found.iter().any(|one| one.kind == kind);
    if is(Kind::DuplicateTask) || (right.is_some() && is(Kind::ContradictoryTask)) {
        return Fate::Drop;
    }
    let mut repaired = task.clone();
    if let Some(right) = right {
        // What its own gold did wrong is gone with it.
        let stays = found.iter().any(|one| {
            matches!(
                one.kind,
                Kind::CheckerAccepts | Kind::CheckerRejectsEquivalent | Kind::Nondeterministic
            ) && one.repair == Repair::Quarantine
        });
        if stays {
            return Fate::Quarantine;
        }
        apply(&mut repaired, right);
        return Fate::Stay(Box::new(repaired));
    }
    if repairs.contains(&&Repair::Quarantine) {
        return Fate::Quarantine;
    }
    repairs
        .into_iter()
        .for_each(|one| apply(&mut repaired, one));
    Fate::Stay(Box::new(repaired))
}

/// Applies one repair to a task.
fn apply(task: &mut Task, repair: &Repair) {
    match repair {
        Repair::Keep | Repair::DropTask | Repair::Quarantine => {}
        Repair::MarkFails { call } => {
            if !task.fails.contains(call) {
                task.fails.push(*call);
                task.fails.sort_unstable();
            }
        }
        Repair::ClearFails { call } => task.fails.retain(|one| one != call),
        Repair::RemoveOutput { output } => task.outputs.retain(|one| one != output),
        Repair::Coerce { call, arguments } => {
            let at = (*call as usize).checked_sub(1);
            if let Some(gold) = at.and_then(|at| task.gold.get_mut(at)) {
                gold.arguments.clone_from(arguments);
            }
        }
        Repair::DeriveRefusal => task.refusal = true,
        Repair::ClearRefusal => task.refusal = false,
        Repair::DropBasis { part } => {
            let counted = PARTS.into_iter().filter(|one| counts(task, *one));
            task.basis = counted.filter(|one| one != part).collect();
        }
        Repair::FromPolicy {
            branch,
            gold,
            outputs,
            refusal,
        } => {
            task.gold.clone_from(gold);
            task.outputs.clone_from(outputs);
            task.refusal = *refusal;
            task.fails.clear();
            task.condition.clone_from(branch);
            task.branch = format!("{}/{branch}", task.template);
        }
    }
}

impl Repaired {
    fn take(&mut self, at: usize, task: &Task, fate: Fate, found: &[&Finding]) {
        let reasons: Vec<String> = found
            .iter()
            .map(|one| format!("{}: {}", one.kind.name(), one.evidence))
            .collect();
        let mut leave = |fate: &str| {
            self.left_out
                .push(json!({"task": task.id, "fate": fate, "why": reasons}));
        };
        match fate {
            Fate::Drop => {
                leave("dropped");
                self.outcome.dropped += 1;
            }
            Fate::Quarantine => {
                leave("quarantined");
                self.outcome.quarantined += 1;
            }
            Fate::Stay(repaired) => {
                let changes = changes(task, &repaired);
                if !changes.is_empty() {
                    self.diff
                        .push(json!({"task": task.id, "why": reasons, "changes": changes}));
                    self.outcome.changed += 1;
                }
                self.outcome.kept += 1;
                self.rows.push((at, *repaired));
            }
        }
    }
}

/// The fields that differ, each before and after.
fn changes(before: &Task, after: &Task) -> Vec<Value> {
    let read = |task: &Task| serde_json::to_value(task).unwrap_or_default();
    let (before, after) = (read(before), read(after));
    let names: BTreeSet<&String> = [&before, &after]
        .into_iter()
        .filter_map(Value::as_object)
        .flat_map(serde_json::Map::keys)
        .collect();
    let unlike = names
        .into_iter()
        .filter(|name| before.get(name.as_str()) != after.get(name.as_str()));
    unlike
        .map(|name| {
            json!({"field": name, "before": before.get(name.as_str()), "after": after.get(name.as_str())})
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(id: &str) -> Subject {
        Subject {
            task: Task {
                id: id.into(),
                outputs: vec!["12".into(), "99".into()],
                ..Task::default()
            },
            ..Subject::default()
        }
    }

    fn finding(task: &str, kind: Kind, repair: Repair) -> Finding {
        Finding::new(task, kind, Severity::Error, "shown", repair)
    }

    #[test]
    fn what_is_determined_is_repaired_and_the_rest_is_left_out() {
        let subjects = ["a", "b", "c", "d", "e"].map(subject);
        let output = Repair::RemoveOutput {
            output: "99".into(),
        };
        let contradiction = finding("d", Kind::ContradictoryTask, Repair::Quarantine);
        let findings = [
            finding("a", Kind::OutputsNotReachable, output),
            finding("b", Kind::DuplicateTask, Repair::DropTask),
            contradiction.with_others(vec!["c".into()]),
            finding("e", Kind::EmptyPasses, Repair::DeriveRefusal),
        ];
        let repaired = repair(&subjects, &findings);
        let outcome = Outcome {
            kept: 2,
            changed: 2,
            dropped: 1,
            quarantined: 2,
        };
        assert_eq!(repaired.outcome, outcome);
        let rows: Vec<_> = repaired
            .rows
            .iter()
            .map(|(at, task)| (*at, &task.outputs, task.refusal))
            .collect();
        let (one, two) = (vec!["12".to_owned()], vec!["12".to_owned(), "99".into()]);
        assert_eq!(rows, [(0, &one, false), (4, &two, true)]);
        assert_eq!(repaired.diff[0]["changes"][0]["field"], "outputs");
    }
}
