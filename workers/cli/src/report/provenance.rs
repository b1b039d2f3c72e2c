//! Where everything came from: digests, artifacts with their inputs, seeds, models, and whether answers were live.

use std::collections::BTreeSet;

use agoge_contract::{Assignment, RecordingMode, StageSettings, Work};
use agoge_crds::Manifest;
use agoge_crds::strategies::asks_models;
use serde_json::{Value, json};

use super::run::Run;

/// Artifacts listed at most, the newest.
const MAX_ARTIFACTS: usize = 80;

/// The facts a reader needs to make the run again.
pub(super) fn part(run: &Run) -> Value {
    let artifacts: Vec<Value> = run
        .artifacts
        .iter()
        .rev()
        .take(MAX_ARTIFACTS)
        .map(|a| {
            json!({
                "kind": a.kind, "name": a.name, "digest": a.digest.to_string(), "created": a.created,
                "inputs": a.inputs,
            })
        })
        .collect();
    let specs: Vec<Value> = run
        .objects
        .iter()
        .map(|o| json!({ "kind": o.kind(), "name": o.name(), "spec": spec(o) }))
        .collect();
    let training = run.trainings().next();
    let job = run.jobs().next();
    json!({
        "answers": answers(run),
        "models": job.and_then(|job| job.spec.models.as_ref()),
        "seed": training.map(|run| run.spec.seed),
        "deterministic": training.map(|run| run.spec.deterministic),
        "digests": digests(run),
        "artifacts": artifacts,
        "artifactsOf": run.artifacts.len(),
        "specs": specs,
        "seconds": run.result["seconds"],
    })
}

fn spec(object: &Manifest) -> Value {
    match object {
        Manifest::SynthesisJob(job) => json!(job.spec),
        Manifest::CheckerSuite(suite) => json!(suite.spec),
        Manifest::GRPORun(run) => json!(run.spec),
    }
}

/// Says, by the assignments of the workers that ask a model, that model answers were live or replayed; `null` when none
/// was asked.
fn answers(run: &Run) -> Value {
    let asked = |a: &&Assignment| match &a.spec {
        Work::Synthesize(work) => work.strategy.name.asks_models(),
        Work::Score(_) => true,
        Work::Train(work) => matches!(
            &work.settings,
            StageSettings::Evaluate { evaluation, .. } if !evaluation.endpoints.is_empty()
        ),
        _ => false,
    };
    let modes: BTreeSet<&str> = run
        .assignments
        .iter()
        .filter(asked)
        .map(|a| match a.recordings.as_ref().map(|kept| kept.mode) {
            Some(RecordingMode::Replay) => "replayed",
            Some(RecordingMode::Record) => "live, recorded",
            None => "live",
        })
        .collect();
    if !modes.is_empty() {
        return json!(modes.into_iter().collect::<Vec<_>>().join(" and "));
    }
    // Without the work folders the driver's own word, if a strategy is there that asks a model.
    let asks = run.attempts.iter().any(|of| asks_models(&of.strategy));
    if asks {
        run.result["modelAnswers"].clone()
    } else {
        Value::Null
    }
}

/// Returns the digests that the statuses name.
fn digests(run: &Run) -> Vec<Value> {
    let mut found = Vec::new();
    let mut add = |what: String, digest: Option<&String>| {
        if let Some(digest) = digest {
            found.push(json!({ "what": what, "digest": digest }));
        }
    };
    for object in &run.objects {
        let name = object.name();
        match object {
            Manifest::SynthesisJob(job) => {
                let Some(status) = &job.status else { continue };
                add(format!("dataset {name}"), status.digest.as_ref());
                add("plan pair in use".to_owned(), status.plan.as_ref());
                for (strategy, status) in &status.strategies {
                    add(format!("instances of {strategy}"), status.digest.as_ref());
                }
            }
            Manifest::CheckerSuite(suite) => {
                let digest = suite.status.as_ref().and_then(|s| s.digest.as_ref());
                add(format!("suite {name}"), digest);
            }
            Manifest::GRPORun(training) => {
                let Some(status) = &training.status else {
                    continue;
                };
                add(format!("trained policy {name}"), status.digest.as_ref());
                for (stage, status) in &status.stages {
                    add(format!("record of {stage}"), status.digest.as_ref());
                }
            }
        }
    }
    for key in ["domain", "code"] {
        let all = run.artifacts.iter().rev().find_map(|a| a.inputs.get(key));
        add(key.to_owned(), all);
    }
    found
}
