//! Qualification of the checkers: the suite's figures, what is quarantined and why, which mutants survived.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::run::{Kind, Object, Run};
use super::text::{by_reason, clip, list, text};

/// Quarantined tasks and survivors shown at most.
const MAX_SHOWN: usize = 60;

/// One part for each suite.
pub(super) fn part(run: &Run) -> Value {
    run.of(Kind::CheckerSuite)
        .map(|suite| one(run, suite))
        .collect()
}

/// The stored suite that a status names, or that any manifest of the kind holds.
pub(super) fn stored(run: &Run, suite: &Object) -> Option<Value> {
    let digest = suite.status["digest"].as_str();
    let artifact = match digest {
        Some(digest) => run
            .newest("suite")
            .find(|a| a.inputs.get("digest").is_some_and(|d| d == digest)),
        None => run.newest("suite").next(),
    }?;
    run.json(
        &artifact.digest.to_string(),
        &format!("the suite {}", suite.name),
    )
}

fn one(run: &Run, object: &Object) -> Value {
    let status = &object.status;
    let stored = stored(run, object).unwrap_or_default();
    let (suite, qualifications) = (&stored["suite"], list(&stored["qualifications"]));
    let mut splits: BTreeMap<String, usize> = BTreeMap::new();
    for instance in list(&stored["instances"]) {
        *splits
            .entry(format!(
                "{} {}",
                text(instance, "strategy"),
                text(instance, "split")
            ))
            .or_default() += 1;
    }
    json!({
        "name": object.name,
        "thresholds": object.spec["qualification"],
        "checkers": either(&suite["checkers"], &status["checkers"]),
        "qualified": either(&suite["qualified"], &status["qualified"]),
        "mutationScore": either(&suite["mutationScore"], &status["mutationScore"]),
        "mutationScoreBefore": suite["mutationScoreBefore"],
        "mutants": suite["mutants"],
        "checks": suite["checks"],
        "seconds": suite["seconds"],
        "flake": either(&suite["flake"], &status["flake"]),
        "p95Ms": either(&suite["p95Ms"], &status["p95"]),
        "digest": either(&status["digest"], &suite["digest"]),
        "splits": splits,
        "times": times(qualifications),
        "scores": scores(qualifications),
        "quarantined": quarantined(list(&suite["quarantined"]), status),
        "survivors": survivors(qualifications),
    })
}

fn either<'a>(one: &'a Value, other: &'a Value) -> &'a Value {
    if one.is_null() { other } else { one }
}

/// The p95 times of the tasks' checks, sorted, thinned to 200.
fn times(qualifications: &[Value]) -> Vec<f64> {
    let mut all: Vec<f64> = qualifications
        .iter()
        .filter_map(|q| q["p95Ms"].as_f64())
        .collect();
    all.sort_by(f64::total_cmp);
    let step = all.len().div_ceil(200).max(1);
    let last = all.last().copied();
    let mut thin: Vec<f64> = all.iter().copied().step_by(step).collect();
    if thin.last().copied() != last {
        thin.extend(last);
    }
    thin
}

/// How many tasks reached which share of failed mutants: all, at least 0.9, less; and those that had none to try.
fn scores(qualifications: &[Value]) -> Value {
    let (mut all, mut most, mut less, mut none) = (0, 0, 0, 0);
    for one in qualifications {
        let (tried, killed) = (
            one["mutants"]["tried"].as_f64(),
            one["mutants"]["killed"].as_f64(),
        );
        match (tried.unwrap_or(0.0), killed.unwrap_or(0.0)) {
            (0.0, _) => none += 1,
            (tried, killed) if killed >= tried => all += 1,
            (tried, killed) if killed >= 0.9 * tried => most += 1,
            _ => less += 1,
        }
    }
    json!({ "all": all, "most": most, "less": less, "none": none })
}

/// Reasons with their counts, and the tasks behind them.
fn quarantined(tasks: &[Value], status: &Value) -> Value {
    let reasons = by_reason(tasks.iter().map(|task| (text(task, "reason"), task)));
    if reasons.is_empty() {
        let counted = list(&status["quarantined"]).iter();
        return counted
            .map(|q| json!({ "reason": q["reason"], "count": q["count"], "tasks": [] }))
            .collect();
    }
    let share = (MAX_SHOWN / reasons.len().max(1)).max(1);
    reasons
        .into_iter()
        .take(MAX_SHOWN)
        .map(|(title, of)| {
            // Of a task whose reason is the title there is nothing more to say.
            let one = |(said, task): &(&str, &Value)| {
                let more = (title != *said).then(|| clip(said));
                json!({ "task": task["task"], "reason": more })
            };
            let tasks: Vec<Value> = of.iter().take(share).map(one).collect();
            json!({ "reason": title, "count": of.len(), "tasks": tasks })
        })
        .collect()
}

/// Mutants that a checker passed although they do something else than gold.
fn survivors(qualifications: &[Value]) -> Value {
    let all = qualifications.iter().flat_map(|q| {
        list(&q["mutants"]["survivors"])
            .iter()
            .map(|s| json!({ "task": q["task"], "edit": clip(s.as_str().unwrap_or_default()) }))
    });
    let all: Vec<Value> = all.collect();
    json!({ "count": all.len(), "shown": all.into_iter().take(MAX_SHOWN).collect::<Vec<_>>() })
}
