//! Where everything came from: digests, artifacts with their inputs, seeds, models, and whether answers were live.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::run::{Kind, Run};
use super::text::{members, text};

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
        .map(|o| json!({ "kind": o.kind.name(), "name": o.name, "spec": o.spec }))
        .collect();
    let training = run.of(Kind::GrpoRun).next();
    let job = run.of(Kind::SynthesisJob).next();
    json!({
        "answers": answers(run),
        "models": job.map(|job| &job.spec["models"]),
        "seed": training.map(|run| &run.spec["seed"]),
        "deterministic": training.map(|run| &run.spec["deterministic"]),
        "digests": digests(run),
        "artifacts": artifacts,
        "artifactsOf": run.artifacts.len(),
        "specs": specs,
        "seconds": run.result["seconds"],
    })
}

/// Says, by the assignments of the workers that ask a model, that model answers were live or replayed; `null` when none
/// was asked.
fn answers(run: &Run) -> Value {
    let asked = |a: &&Value| {
        let strategy = a["spec"]["strategy"]["name"].as_str();
        strategy.is_some_and(|s| s != "template") || a["spec"]["role"] == "score"
    };
    let modes: BTreeSet<&str> = run
        .assignments
        .iter()
        .filter(asked)
        .map(|a| match text(&a["recordings"], "mode") {
            "replay" => "replayed",
            "record" => "live, recorded",
            _ => "live",
        })
        .collect();
    if !modes.is_empty() {
        return json!(modes.into_iter().collect::<Vec<_>>().join(" and "));
    }
    // Without the work folders the driver's own word, if a strategy is there that asks a model.
    let asks = run.attempts.iter().any(|of| of.strategy != "template");
    if asks {
        run.result["modelAnswers"].clone()
    } else {
        Value::Null
    }
}

/// Returns the digests that the statuses name.
fn digests(run: &Run) -> Vec<Value> {
    let mut found = Vec::new();
    let mut add = |what: String, digest: &Value| {
        if let Some(digest) = digest.as_str() {
            found.push(json!({ "what": what, "digest": digest }));
        }
    };
    for object in &run.objects {
        let what = match object.kind {
            Kind::SynthesisJob => "dataset",
            Kind::CheckerSuite => "suite",
            Kind::GrpoRun => "trained policy",
        };
        add(format!("{what} {}", object.name), &object.status["digest"]);
        add("plan pair in use".to_owned(), &object.status["plan"]);
        for (strategy, status) in members(&object.status["strategies"]) {
            add(format!("instances of {strategy}"), &status["digest"]);
        }
        for (stage, status) in members(&object.status["stages"]) {
            add(format!("record of {stage}"), &status["digest"]);
        }
    }
    for key in ["domain", "code"] {
        let all = run.artifacts.iter().rev().find_map(|a| a.inputs.get(key));
        add(key.to_owned(), &json!(all));
    }
    found
}
