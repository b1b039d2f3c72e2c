//! `result.json`: every figure of a run, each group of figures marked `live` or `replayed`.
//!
//! A figure is `replayed` when model answers that it rests on came from recordings. Training, checks and rollouts of our
//! own policies are always live.

use std::path::Path;

use agoge_artifacts::StageRecord;
use agoge_crds::Manifest;
use agoge_crds::grpo_run::{Arm, ArmStatus, GRPORun};
use agoge_crds::strategies::asks_models;
use agoge_crds::synthesis_job::{StrategyName, StrategyStatus, SynthesisJobStatus};
use agoge_store::{Digest, Store, write_atomic};
use serde_json::{Map, Value, json};

use crate::failure::Failure;
use crate::resolve::named;

const LIVE: &str = "live";
const REPLAYED: &str = "replayed";

/// Writes the figures beside the report.
///
/// # Errors
/// A full disk.
pub fn write(out: &Path, figures: &Value) -> Result<(), Failure> {
    Ok(write_atomic(
        out.join("result.json"),
        format!("{figures:#}\n"),
    )?)
}

/// Every figure that these objects have so far. `seconds` is the time for which the run was driven.
#[must_use]
pub fn figures(manifests: &[&Manifest], out: &Path, seconds: f64, replayed: bool) -> Value {
    let (mut synthesis, mut suite, mut user, mut policy) =
        (Map::new(), Map::new(), Map::new(), Map::new());
    let mut times = Map::from_iter([("total".to_owned(), json!(round(seconds)))]);
    let mut objects = Map::new();
    let asked = if replayed { REPLAYED } else { LIVE };
    for manifest in manifests {
        let run = crate::driver::objects::run_of(manifest);
        let id = format!("{}/{}", manifest.kind().to_lowercase(), manifest.name());
        objects.insert(
            id,
            json!({ "phase": run.phase, "activeSeconds": run.active_seconds }),
        );
        match manifest {
            Manifest::SynthesisJob(job) => {
                let Some(status) = &job.status else { continue };
                synthesis.extend(strategy_figures(status, asked));
                times.insert("synthesis".to_owned(), json!(run.active_seconds));
            }
            Manifest::CheckerSuite(checkers) => {
                let Some(status) = &checkers.status else {
                    continue;
                };
                let score = status
                    .mutation_score
                    .as_deref()
                    .and_then(|score| score.parse::<f64>().ok());
                suite = Map::from_iter([
                    ("checkers".to_owned(), json!(status.checkers)),
                    ("qualified".to_owned(), json!(status.qualified)),
                    ("mutationScore".to_owned(), json!(score)),
                    ("flake".to_owned(), json!(status.flake)),
                    ("p95".to_owned(), json!(status.p95)),
                    ("digest".to_owned(), json!(status.digest)),
                    ("source".to_owned(), json!(LIVE)),
                ]);
                times.insert("suite".to_owned(), json!(run.active_seconds));
            }
            Manifest::GRPORun(trained) => {
                let Some(status) = &trained.status else {
                    continue;
                };
                for (stage, figures) in &status.stages {
                    times.insert(stage.clone(), json!(round(figures.seconds)));
                }
                user = user_figures(trained, out);
                for (name, arm) in &status.arms {
                    let own = serde_json::from_value::<Arm>(json!(name)).is_ok();
                    policy.insert(
                        name.clone(),
                        arm_figures(arm, if own { LIVE } else { asked }),
                    );
                }
                if let Some(digest) = &status.digest {
                    policy.insert("digest".to_owned(), json!(digest));
                }
            }
        }
    }
    times.insert("source".to_owned(), json!(LIVE));
    let any = manifests.iter().any(|manifest| !named(manifest).is_empty());
    json!({
        // Null where no model behind an endpoint was asked.
        "modelAnswers": any.then_some(asked),
        "synthesis": { "strategies": synthesis },
        "suite": suite,
        "user": user,
        "policy": policy,
        "seconds": times,
        "objects": objects,
        "version": env!("CARGO_PKG_VERSION"),
    })
}

/// The figures of each strategy, with its generations where its prompts evolve.
fn strategy_figures(status: &SynthesisJobStatus, asked: &str) -> Map<String, Value> {
    let of = |(name, strategy): (&String, &StrategyStatus)| {
        let evolves = StrategyName::of(name).is_some_and(StrategyName::evolves);
        let source = if asks_models(name) { asked } else { LIVE };
        let mut figures = json!(strategy);
        figures["generations"] = match evolves {
            true => json!(status.lineage),
            false => json!([]),
        };
        figures["source"] = json!(source);
        (name.clone(), figures)
    };
    status.strategies.iter().map(of).collect()
}

/// pass^1 to pass^k of one arm, with the 95 % interval of pass^1 over its `n` tasks.
fn arm_figures(arm: &ArmStatus, source: &str) -> Value {
    let passes = arm
        .pass
        .iter()
        .zip(1..)
        .map(|(pass, k)| (format!("pass^{k}"), json!(pass)));
    let mut figures: Map<String, Value> = passes.collect();
    figures.insert("low".into(), json!(arm.low));
    figures.insert("high".into(), json!(arm.high));
    figures.insert("n".into(), json!(arm.tasks));
    figures.insert("trials".into(), json!(arm.pass.len()));
    figures.insert("source".into(), json!(source));
    Value::Object(figures)
}

/// The user model's share of faulty turns, before its training and after: from the record of its certification.
fn user_figures(run: &GRPORun, out: &Path) -> Map<String, Value> {
    let stages = run.status.as_ref().map(|status| &status.stages);
    let Some(stage) = stages.and_then(|stages| stages.get("certifyUser")) else {
        return Map::new();
    };
    let record = || -> Option<StageRecord> {
        let folder = out.join("store");
        let digest = Digest::parse(stage.digest.as_deref()?).ok()?;
        let store = Store::open(folder.is_dir().then_some(folder)?).ok()?;
        StageRecord::read(&store, &digest).ok()
    };
    let record = record().unwrap_or_default();
    let (before, after) = (record.before, record.after);
    let rate = after.as_ref().map(|certificate| certificate.error_rate);
    Map::from_iter([
        (
            "errorRateBefore".to_owned(),
            json!(before.map(|certificate| certificate.error_rate)),
        ),
        (
            "errorRateAfter".to_owned(),
            json!(rate.or(stage.error_rate)),
        ),
        (
            "turns".to_owned(),
            json!(after.map(|certificate| certificate.turns)),
        ),
        ("source".to_owned(), json!(LIVE)),
    ])
}

fn round(seconds: f64) -> f64 {
    (seconds * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use agoge_crds::check;

    fn manifest(text: &str, status: Value) -> Manifest {
        let mut all = check(text, "f").unwrap();
        match all.remove(0) {
            Manifest::GRPORun(mut run) => {
                run.status = serde_json::from_value(status).unwrap();
                Manifest::GRPORun(run)
            }
            Manifest::SynthesisJob(mut job) => {
                job.status = serde_json::from_value(status).unwrap();
                Manifest::SynthesisJob(job)
            }
            other @ Manifest::CheckerSuite(_) => other,
        }
    }

    #[test]
    fn what_rests_on_recorded_answers_is_marked_and_nothing_else_is() {
        let run = manifest(
            include_str!("../../../examples/courier/grporun.yaml"),
            json!({ "phase": "Complete", "arms": {
                "grpo": { "pass": [0.9, 0.8], "low": 0.85, "high": 0.95, "tasks": 200 },
                "qwen": { "pass": [0.1], "low": 0.05, "high": 0.15, "tasks": 20 } } }),
        );
        let job = manifest(
            include_str!("../../../examples/courier/synthesisjob.yaml"),
            json!({ "phase": "Complete", "lineage": [{ "generation": 0 }], "strategies": {
                "sea": { "attempted": 12, "valid": 3, "accepted": 2 }, "template": { "accepted": 300 } } }),
        );
        let dir = tempfile::tempdir().unwrap();
        let suite = manifest(
            include_str!("../../../examples/courier/checkersuite.yaml"),
            json!({}),
        );
        let alone = figures(&[&suite], dir.path(), 1.0, false);
        assert!(alone["modelAnswers"].is_null(), "no model was asked");
        let figures = figures(&[&job, &run], dir.path(), 61.26, true);
        let at = |path: &str| figures.pointer(path).cloned().unwrap_or_default();
        assert_eq!(at("/modelAnswers"), "replayed");
        assert_eq!(at("/policy/grpo/pass^1"), json!(0.9));
        assert_eq!(at("/policy/grpo/n"), json!(200));
        assert_eq!(at("/policy/grpo/source"), "live");
        assert_eq!(at("/policy/qwen/source"), "replayed");
        assert_eq!(at("/synthesis/strategies/sea/source"), "replayed");
        assert_eq!(
            at("/synthesis/strategies/sea/generations")
                .as_array()
                .map(Vec::len),
            Some(1)
        );
        assert_eq!(at("/synthesis/strategies/template/source"), "live");
        assert_eq!(at("/seconds/total"), json!(61.3));
        assert!(!dir.path().join("store").exists(), "reading makes nothing");
    }
}
