//! What workers tell their driver: progress while they run, and a result when they are done. Plans read it, status shows it.
//!
//! Everything is optional: a worker of another version is understood as far as it goes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::checker_suite::{EndpointScore, Quarantine};
use crate::grpo_run::ArmStatus;
use crate::lineage::{Attribution, Generation};

/// Progress and result of a `Synthesize` child.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SynthesisReport {
    /// Instances attempted.
    pub attempted: u64,
    /// Valid ones.
    pub valid: u64,
    /// Accepted ones.
    pub accepted: u64,
    /// Model tokens spent.
    pub tokens: u64,
    /// Dollars spent.
    pub cost: f64,
    /// Generation at work.
    pub generation: u32,
    /// Digest of the plan pair at work.
    pub plan: Option<String>,
    /// Rejected by gate.
    pub rejected: BTreeMap<String, u64>,
    /// Failures by whose fault they were.
    pub attribution: Attribution,
    /// Generations so far.
    pub lineage: Vec<Generation>,
    /// Why it ended before its target: `BudgetExhausted`, `GenerationsExhausted`.
    pub ended: Option<String>,
    /// Digest of a plan pair that a person must decide about: it ended so that somebody can.
    pub awaiting_promotion: Option<String>,
    /// Digest of what it made.
    pub digest: Option<String>,
}

/// Progress and result of a `Qualify` child.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct QualifyReport {
    /// Tasks tried.
    pub checkers: u64,
    /// Those that qualified.
    pub qualified: u64,
    /// Share of mutants that were failed.
    pub mutation_score: f64,
    /// Share of tasks whose repeated runs disagreed.
    pub flake: f64,
    /// Milliseconds in which 95 of 100 checks ended.
    pub p95_ms: f64,
    /// The suite's digest.
    pub digest: Option<String>,
    /// Reasons of quarantine with their counts.
    pub quarantined: Vec<Quarantine>,
    /// Endpoints scored.
    pub endpoints: Vec<EndpointScore>,
}

/// Progress and result of a `Train` child.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TrainReport {
    /// Steps (epochs, tasks) done.
    pub step: u64,
    /// In all; 0 when unknown.
    pub total: u64,
    /// Mean reward of the last step.
    pub reward: Option<f64>,
    /// KL from the policy that sampled.
    pub kl: Option<f64>,
    /// Entropy of sampling.
    pub entropy: Option<f64>,
    /// Share of groups whose rewards differ.
    pub mixed: Option<f64>,
    /// Policy versions between sampling and training.
    pub staleness: Option<u64>,
    /// Trained tokens a second.
    pub tokens_per_second: Option<f64>,
    /// Step of the last checkpoint.
    pub checkpoint: Option<u64>,
    /// Seconds the stage took.
    pub seconds: f64,
    /// Tokens it trained.
    pub trained_tokens: u64,
    /// Certification: share of faulty turns.
    pub error_rate: Option<f64>,
    /// Evaluation: rows of the table.
    pub arms: BTreeMap<String, ArmStatus>,
    /// Digest of the artifact.
    pub digest: Option<String>,
}

/// Reads a report. Figures may stand at the top or under `figures`; `done` is read as `step`.
///
/// # Errors
/// The field that is not what it should be.
pub fn read<T: Default + serde::de::DeserializeOwned>(
    report: &Value,
) -> Result<T, serde_json::Error> {
    let Value::Object(top) = report else {
        return if report.is_null() {
            Ok(T::default())
        } else {
            serde_json::from_value(report.clone())
        };
    };
    let mut flat: Map<String, Value> = top.clone();
    if let Some(Value::Object(figures)) = flat.remove("figures") {
        flat.extend(figures);
    }
    if let (Some(done), None) = (top.get("done"), top.get("step")) {
        flat.insert("step".into(), done.clone());
    }
    serde_json::from_value(Value::Object(flat))
}
