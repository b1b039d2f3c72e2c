//! Qualification of the checkers: the suite's figures, what is quarantined and why, which mutants survived.

use std::collections::BTreeMap;

use agoge_artifacts::QualifiedSuite;
use agoge_artifacts::reason::{Alike, by_reason};
use agoge_checker::{Qualification, Suite};
use agoge_crds::checker_suite::Finding;
use agoge_crds::{CheckerSuite, CheckerSuiteStatus};
use kube::ResourceExt as _;
use serde_json::{Value, json};

use super::run::Run;
use super::text::clip;

/// Quarantined tasks and survivors shown at most.
const MAX_SHOWN: usize = 60;

/// One part for each suite.
pub(super) fn part(run: &Run) -> Value {
    run.suites().map(|suite| one(run, suite)).collect()
}

/// Returns the stored suite that a status names, or the newest one while it names none.
pub(super) fn stored(run: &Run, suite: &CheckerSuite) -> Option<QualifiedSuite> {
    let digest = suite.status.as_ref().and_then(|s| s.digest.as_deref());
    let artifact = match digest {
        Some(digest) => run
            .newest(QualifiedSuite::KIND)
            .find(|a| a.inputs.get("digest").is_some_and(|d| d == digest)),
        None => run.newest(QualifiedSuite::KIND).next(),
    }?;
    run.stored(
        &artifact.digest.to_string(),
        &format!("the suite {}", suite.name_any()),
    )
}

fn one(run: &Run, object: &CheckerSuite) -> Value {
    let status = object.status.as_ref();
    let (suite, instances, qualifications) = match stored(run, object) {
        Some(found) => (Some(found.suite), found.instances, found.qualifications),
        None => (None, vec![], vec![]),
    };
    let mut splits: BTreeMap<String, usize> = BTreeMap::new();
    for instance in &instances {
        let split = instance.split.as_str();
        *splits
            .entry(format!("{} {split}", instance.strategy))
            .or_default() += 1;
    }
    let figure = |of: fn(&Suite) -> Value, known: fn(&CheckerSuiteStatus) -> Value| match &suite {
        Some(suite) => of(suite),
        None => json!(status.map(known)),
    };
    let found = suite.as_ref();
    let quarantine = found.map_or(&[][..], |suite| &suite.quarantined);
    let quarantine = quarantine.iter().map(|one| (&*one.task, &*one.reason));
    let warned = found.map_or(&[][..], |suite| &suite.warnings);
    let warned = warned.iter().map(|one| (&*one.task, &*one.warning));
    let digest = status.and_then(|s| s.digest.as_ref());
    json!({
        "name": object.name_any(),
        "thresholds": object.spec.qualification,
        "checkers": figure(|s| json!(s.checkers), |s| json!(s.checkers)),
        "qualified": figure(|s| json!(s.qualified), |s| json!(s.qualified)),
        "mutationScore": figure(|s| json!(s.mutation_score), |s| json!(s.mutation_score)),
        "mutationScoreBefore": suite.as_ref().map(|s| s.mutation_score_before),
        "mutants": suite.as_ref().map(|s| s.mutants),
        "checks": suite.as_ref().map(|s| s.checks),
        "seconds": suite.as_ref().map(|s| s.seconds),
        "flake": figure(|s| json!(s.flake), |s| json!(s.flake)),
        "p95Ms": figure(|s| json!(s.p95_ms), |s| json!(s.p95)),
        "digest": digest.or_else(|| suite.as_ref().map(|s| &s.digest)),
        "splits": splits,
        "times": times(&qualifications),
        "scores": scores(&qualifications),
        "quarantined": findings(quarantine, status.map_or(&[][..], |s| &s.quarantined)),
        "warnings": findings(warned, status.map_or(&[][..], |s| &s.warnings)),
        "survivors": survivors(&qualifications),
    })
}

/// Returns the p95 times of the tasks' checks, sorted and thinned to 200.
fn times(qualifications: &[Qualification]) -> Vec<f64> {
    let mut all: Vec<f64> = qualifications.iter().map(|q| q.p95_ms).collect();
    all.sort_by(f64::total_cmp);
    let step = all.len().div_ceil(200).max(1);
    let last = all.last().copied();
    let mut thin: Vec<f64> = all.iter().copied().step_by(step).collect();
    if thin.last().copied() != last {
        thin.extend(last);
    }
    thin
}

/// Counts tasks by the share of mutants that failed: all, at least 0.9, less; and those that had none to try.
fn scores(qualifications: &[Qualification]) -> Value {
    let (mut all, mut most, mut less, mut none) = (0, 0, 0, 0);
    for one in qualifications {
        match (one.mutants.tried, one.mutants.killed) {
            (0, _) => none += 1,
            (tried, killed) if killed >= tried => all += 1,
            (tried, killed) if killed as f64 >= 0.9 * tried as f64 => most += 1,
            _ => less += 1,
        }
    }
    json!({ "all": all, "most": most, "less": less, "none": none })
}

/// Returns findings with their counts, and the tasks behind them; without tasks the findings that a status has. `of_tasks` are
/// tasks with what was found of each.
fn findings<'a>(of_tasks: impl Iterator<Item = (&'a str, &'a str)>, known: &[Finding]) -> Value {
    let reasons = by_reason(of_tasks.map(|(task, said)| (said, task)));
    if reasons.is_empty() {
        return known
            .iter()
            .map(|q| json!({ "reason": q.reason, "count": q.count, "tasks": [] }))
            .collect();
    }
    let share = (MAX_SHOWN / reasons.len().max(1)).max(1);
    reasons
        .into_iter()
        .take(MAX_SHOWN)
        .map(|Alike { title, cases }| {
            // A task whose reason is the title needs no reason of its own.
            let one = |(said, task): &(&str, &str)| {
                let more = (title != *said).then(|| clip(said));
                json!({ "task": task, "reason": more })
            };
            let tasks: Vec<Value> = cases.iter().take(share).map(one).collect();
            json!({ "reason": title, "count": cases.len(), "tasks": tasks })
        })
        .collect()
}

/// Returns the mutants that a checker passed although they do something else than gold.
fn survivors(qualifications: &[Qualification]) -> Value {
    let all = qualifications.iter().flat_map(|q| {
        let survivors = q.mutants.survivors.iter();
        survivors.map(|edit| json!({ "task": q.task, "edit": clip(edit) }))
    });
    let all: Vec<Value> = all.collect();
    json!({ "count": all.len(), "shown": all.into_iter().take(MAX_SHOWN).collect::<Vec<_>>() })
}
