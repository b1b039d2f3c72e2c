//! The outcome of a job: its report, all attempts, all plan pairs, and the artifacts they become.

use std::collections::BTreeMap;

use agoge_crds::report::SynthesisReport;
use agoge_store::{Artifact, Digest, Store, StoreError};

use crate::instance::Attempt;
use crate::plan::PlanRecord;

/// The kind of the artifact that holds all attempts, one a line.
pub const INSTANCES: &str = "instances";
/// The kind of the artifact that holds all plan pairs.
pub const PLANS: &str = "plans";

/// The progress of a job.
#[derive(Clone, Debug)]
pub struct Progress {
    /// The stage, such as `generation 1: pilot`.
    pub stage: String,
    /// Items of the stage that are done.
    pub done: u64,
    /// Items of the stage.
    pub total: u64,
    /// The figures so far.
    pub report: SynthesisReport,
}

/// The outcome of a job.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The figures.
    pub report: SynthesisReport,
    /// Every attempt, in item order.
    pub attempts: Vec<Attempt>,
    /// The plan pair of every generation; empty for strategies that do not evolve.
    pub plans: Vec<PlanRecord>,
}

impl Outcome {
    /// Puts attempts and plan pairs into the store under these inputs, and the digest of the attempts into the report. A job
    /// that awaits a person's decision publishes nothing, because it is not done.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn publish(
        &mut self,
        store: &Store,
        name: &str,
        inputs: &BTreeMap<String, String>,
    ) -> Result<(), StoreError> {
        if self.report.awaiting_promotion.is_some() {
            return Ok(());
        }
        let mut text = String::new();
        for attempt in &self.attempts {
            text.push_str(&serde_json::to_string(attempt).unwrap_or_default());
            text.push('\n');
        }
        if !self.plans.is_empty() {
            let plans = store.put_json(&self.plans)?;
            store.put_artifact(&Artifact::new(PLANS, name, plans, inputs.clone()))?;
        }
        let digest: Digest = store.put(text.as_bytes())?;
        self.report.digest = Some(digest.to_string());
        store.put_artifact(&Artifact::new(INSTANCES, name, digest, inputs.clone()))
    }
}
