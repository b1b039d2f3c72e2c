//! Checkers that accept wrong solutions or reject right ones, by the mutants that qualification draws.

use agoge_checker::{Qualification, Thresholds, on_trial};
use agoge_world::Task;

use crate::finding::{Finding, Repair, Severity};
use crate::kind::Kind;

/// Survivors that the evidence names.
const NAMED: usize = 4;

/// Reads the qualification of a task's checker.
pub(crate) fn check(task: &Task, found: &Qualification, thresholds: &Thresholds) -> Vec<Finding> {
    let mut all = Vec::new();
    let error = |kind, evidence: String| {
        Finding::new(
            &task.id,
            kind,
            Severity::Error,
            evidence,
            Repair::Quarantine,
        )
    };
    if on_trial(task).is_empty() {
        let evidence = "nothing that can be executed decides the reward: its basis names no check but a model's opinion";
        return vec![error(Kind::CheckerAccepts, evidence.to_owned())];
    }
    if !found.gold {
        return all;
    }
    let mutants = &found.mutants;
    let survivors = || {
        let named: Vec<&str> = mutants
            .survivors
            .iter()
            .take(NAMED)
            .map(String::as_str)
            .collect();
        let more = mutants.survivors.len().saturating_sub(named.len());
        let more = if more > 0 {
            format!("; and {more} more")
        } else {
            String::new()
        };
        named.join("; ") + &more
    };
    if mutants.tried == 0 {
        let evidence =
            "no wrong solution was found that it fails: every edit of gold passes or does the same";
        all.push(error(Kind::CheckerAccepts, evidence.to_owned()));
    } else if found.mutation_score() < thresholds.mutation_score {
        let evidence = format!(
            "{} of {} solutions with one wrong edit pass: {}",
            mutants.tried.saturating_sub(mutants.killed),
            mutants.tried,
            survivors()
        );
        all.push(error(Kind::CheckerAccepts, evidence));
    } else if let Some(warning) = found
        .warnings
        .iter()
        .find(|one| one.starts_with("its basis leaves out state"))
    {
        let kind = Kind::CheckerAccepts;
        all.push(Finding::new(
            &task.id,
            kind,
            Severity::Note,
            warning.clone(),
            Repair::Keep,
        ));
    }
    if !found.equivalent_paths {
        let evidence = "it fails a solution in which calls that only read are repeated or exchanged, or writes that leave the \
                        same records come in another order";
        all.push(error(Kind::CheckerRejectsEquivalent, evidence.to_owned()));
    }
    all
}
