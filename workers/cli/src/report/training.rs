//! Training: the table of arms with paired comparisons, the curves of the stages, the user model's certification.

use std::collections::BTreeMap;

use agoge_artifacts::Columns;
use agoge_checker::passk::paired_difference;
use agoge_crds::grpo_run::{ArmStatus, UserSpec};
use serde_json::{Value, json};

use super::run::Run;
use super::text::clip_value;

/// Points of a curve at most.
const MAX_POINTS: usize = 400;
/// Arms from the one that knows nothing to the one that learnt most; others follow.
const ARMS: [&str; 7] = [
    "empty",
    "alwaysRefuse",
    "random",
    "sft",
    "sftContinued",
    "grpoUnfiltered",
    "grpo",
];
/// Stages in the order in which they run.
const STAGES: [&str; 7] = [
    "userSFT",
    "certifyUser",
    "agentSFT",
    "grpo",
    "grpoUnfiltered",
    "sftContinued",
    "evaluate",
];

/// The table, the comparisons, the stages and the certification.
pub(super) fn part(run: &Run) -> Value {
    let evaluated = run.stage("evaluate").map(|record| &record.arms);
    let comparisons: Vec<Value> = [
        ("grpo", "sftContinued"),
        ("grpo", "sft"),
        ("grpo", "grpoUnfiltered"),
    ]
    .into_iter()
    .filter_map(|(a, b)| compare(evaluated?, a, b))
    .collect();
    let arms: Vec<Value> = arms(run)
        .into_iter()
        .map(|(arm, mut columns)| {
            // What paired comparisons needed.
            for (_, card) in columns.as_object_mut().into_iter().flatten() {
                if let Some(card) = card.as_object_mut() {
                    card.remove("perTask");
                    card.remove("clusters");
                }
            }
            json!({ "arm": arm, "columns": columns })
        })
        .collect();
    let spec = run.trainings().next().map(|run| &run.spec);
    json!({
        "arms": arms,
        "comparisons": comparisons,
        "samples": spec.map(|spec| spec.stages.evaluation.samples),
        "stages": stages(run),
        "certification": certification(run),
    })
}

/// Each arm with its scorecards by column (`heldout`, `scripted`, `unseen`).
fn arms(run: &Run) -> Vec<(String, Value)> {
    let mut found: BTreeMap<String, Value> = BTreeMap::new();
    for (arm, columns) in run.stage("evaluate").into_iter().flat_map(|r| &r.arms) {
        found.insert(arm.clone(), json!(columns));
    }
    // What only a status knows: a record that is lost, and endpoints scored by their driver.
    let trained = run.trainings().filter_map(|run| run.status.as_ref());
    for (arm, row) in trained.flat_map(|status| &status.arms) {
        found
            .entry(arm.clone())
            .or_insert_with(|| json!({ "heldout": row_card(row) }));
    }
    let suites = run.suites().filter_map(|suite| suite.status.as_ref());
    for score in suites.flat_map(|status| &status.endpoints) {
        let pass = json!([{ "value": score.pass1, "n": score.tasks }]);
        found
            .entry(score.endpoint.clone())
            .or_insert_with(|| json!({ "heldout": { "pass": pass } }));
    }
    let rank = |arm: &str| ARMS.iter().position(|a| *a == arm).unwrap_or(ARMS.len());
    let mut found: Vec<(String, Value)> = found.into_iter().collect();
    found.sort_by_key(|(arm, _)| rank(arm));
    found
}

/// A status' row in the shape of a scorecard: only pass^1 has its interval.
fn row_card(row: &ArmStatus) -> Value {
    let estimate = |(k, value): (usize, &f64)| match k {
        0 => json!({ "value": value, "low": row.low, "high": row.high, "n": row.tasks }),
        _ => json!({ "value": value, "n": row.tasks }),
    };
    let pass: Vec<Value> = row.pass.iter().enumerate().map(estimate).collect();
    json!({ "pass": pass })
}

/// The mean paired difference of pass^1 over the same held-out tasks, with its 95 % interval clustered by branch. Tasks on
/// which an arm came to no verdict are left out.
fn compare(arms: &BTreeMap<String, Columns>, a: &str, b: &str) -> Option<Value> {
    let (ours, theirs) = (&arms.get(a)?.heldout, &arms.get(b)?.heldout);
    let (left, right) = (&ours.per_task, &theirs.per_task);
    if left.len() != right.len() || left.len() < 2 {
        return None;
    }
    // Records without branches count each task as its own cluster.
    let cluster = |at: usize| match ours.clusters.get(at) {
        Some(branch) => branch.clone(),
        None => at.to_string(),
    };
    let differences: Vec<(String, f64)> = left
        .iter()
        .zip(right)
        .enumerate()
        .filter_map(|(at, (a, b))| Some((cluster(at), (*a)? - (*b)?)))
        .collect();
    let named: Vec<(&str, f64)> = differences.iter().map(|(c, d)| (c.as_str(), *d)).collect();
    let found = paired_difference(&named);
    Some(json!({
        "a": a, "b": b, "n": found.n, "value": found.value, "low": found.low, "high": found.high,
    }))
}

fn stages(run: &Run) -> Vec<Value> {
    let status = run.trainings().next().and_then(|run| run.status.as_ref());
    let rank = |stage: &str| {
        STAGES
            .iter()
            .position(|s| *s == stage)
            .unwrap_or(STAGES.len())
    };
    let done = status.into_iter().flat_map(|status| status.stages.keys());
    let mut names: Vec<&String> = done.collect();
    names.extend(run.stages.iter().map(|(_, name, _)| name));
    names.sort_by_key(|name| (rank(name), *name));
    names.dedup();
    names
        .into_iter()
        .map(|name| {
            let record = run.stage(name);
            let known = status.and_then(|status| status.stages.get(name));
            let curve = record.map_or(&[][..], |record| &record.curve);
            // A deterministic record has no time in it.
            let seconds = record.map(|r| r.seconds).filter(|s| *s > 0.0);
            json!({
                "stage": name,
                "seconds": seconds.or_else(|| known.map(|k| k.seconds)),
                "steps": record.map(|r| r.steps).or_else(|| known.map(|k| k.steps)),
                "trainedTokens": record.map(|r| r.trained_tokens).or_else(|| known.map(|k| k.trained_tokens)),
                "digest": known.and_then(|k| k.digest.as_ref()),
                "model": record.and_then(|r| r.model.as_ref()),
                "points": curve.len(),
                "curve": thin(curve),
            })
        })
        .collect()
}

/// Every n-th point, and the last.
fn thin<T>(curve: &[T]) -> Vec<&T> {
    let step = curve.len().div_ceil(MAX_POINTS).max(1);
    let last = curve.len().saturating_sub(1);
    let kept = curve
        .iter()
        .enumerate()
        .filter(|(at, _)| at % step == 0 || *at == last);
    kept.map(|(_, point)| point).collect()
}

fn certification(run: &Run) -> Value {
    let object = run.trainings().next();
    let user = object.map_or_else(UserSpec::default, |run| run.spec.user.clone());
    let record = run.stage("certifyUser");
    let status = object.and_then(|run| run.status.as_ref());
    let stage = status.and_then(|status| status.stages.get("certifyUser"));
    json!({
        "user": user.model,
        "bar": user.max_error_rate,
        "before": clip_value(&json!(record.and_then(|r| r.before.as_ref()))),
        "after": clip_value(&json!(record.and_then(|r| r.after.as_ref()))),
        "errorRate": stage.and_then(|stage| stage.error_rate),
    })
}

#[cfg(test)]
mod tests {
    use agoge_artifacts::Scorecard;

    use super::*;

    #[test]
    fn a_comparison_is_paired_and_needs_the_same_tasks() {
        let arm = |name: &str, per_task: &[f64]| {
            let heldout = Scorecard {
                per_task: per_task.iter().copied().map(Some).collect(),
                ..Scorecard::default()
            };
            let columns = Columns {
                heldout,
                ..Columns::default()
            };
            (name.to_owned(), columns)
        };
        let arms = BTreeMap::from([
            arm("grpo", &[1.0, 1.0, 0.5, 1.0]),
            arm("sft", &[0.5, 1.0, 0.0, 0.5]),
        ]);
        let found = compare(&arms, "grpo", "sft").unwrap();
        let value = |key: &str| found[key].as_f64().unwrap();
        assert!((value("value") - 0.375).abs() < 1e-12 && value("low") < 0.375);
        let unequal = BTreeMap::from([arm("grpo", &[1.0]), arm("sft", &[1.0, 0.0])]);
        assert!(compare(&unequal, "grpo", "sft").is_none());
    }

    #[test]
    fn a_long_curve_keeps_its_ends() {
        let curve: Vec<Value> = (0..1001).map(Value::from).collect();
        let thin = thin(&curve);
        assert!(thin.len() <= MAX_POINTS + 1);
        assert_eq!(
            (thin.first(), thin.last()),
            (Some(&&curve[0]), Some(&&curve[1000]))
        );
    }
}
