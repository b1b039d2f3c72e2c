//! What a `sea` job comes to: its report, all attempts, all plan pairs, and how they are put into the store.

use std::collections::BTreeMap;

use agoge_checker::Cause;
use agoge_crds::lineage::{Attribution, Generation, Interval};
use agoge_crds::report::SynthesisReport;
use agoge_llm::LlmError;
use agoge_store::{Artifact, Digest, LedgerError, Store, StoreError};

use super::book::Item;
use crate::evolution;
use crate::instance::Attempt;
use crate::plan::PlanRecord;

/// Why a job cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum SeaError {
    /// An endpoint or a recording.
    #[error(transparent)]
    Endpoint(#[from] LlmError),
    /// The book of finished items.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The pairs to begin with.
    #[error("evolution.plans: {0}")]
    Plans(String),
}

impl SeaError {
    /// Whether trying again later may help; else what was given is at fault.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Endpoint(error) => error.is_passing(),
            Self::Ledger(_) | Self::Store(_) => true,
            Self::Plans(_) => false,
        }
    }
}

/// How far a job is.
#[derive(Clone, Debug)]
pub struct Progress {
    /// What it does, such as `generation 1: pilot`.
    pub stage: String,
    /// Items of the stage that are done.
    pub done: u64,
    /// Items of the stage.
    pub total: u64,
    /// The figures so far.
    pub report: SynthesisReport,
}

/// What a job came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The figures.
    pub report: SynthesisReport,
    /// Every attempt, in item order.
    pub attempts: Vec<Attempt>,
    /// Every generation's plan pair.
    pub plans: Vec<PlanRecord>,
}

impl Outcome {
    /// Puts attempts (kind `instances`, JSONL) and plan pairs (kind `plans`) into the store under these inputs, and the
    /// digest of the attempts into the report. A job that waits for a person publishes nothing: it is not done.
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
        let plans = store.put_json(&self.plans)?;
        store.put_artifact(&Artifact::new("plans", name, plans, inputs.clone()))?;
        let digest: Digest = store.put(text.as_bytes())?;
        self.report.digest = Some(digest.to_string());
        store.put_artifact(&Artifact::new("instances", name, digest, inputs.clone()))
    }
}

/// The figures of items and plans.
pub(super) fn report(items: &[Item], plans: &[PlanRecord], confidence: f64) -> SynthesisReport {
    let mut report = SynthesisReport::default();
    for item in items {
        let attempt = &item.attempt;
        report.attempted += 1;
        report.valid += u64::from(attempt.valid());
        report.accepted += u64::from(attempt.accepted());
        if let Some(cause) = attempt.cause {
            *report
                .rejected
                .entry(attempt.gate.name().to_owned())
                .or_default() += 1;
            count(&mut report.attribution, cause);
        }
    }
    report.lineage = plans
        .iter()
        .map(|plan| generation(items, plan, confidence))
        .collect();
    report
}

fn generation(items: &[Item], plan: &PlanRecord, confidence: f64) -> Generation {
    let own: Vec<&Item> = items
        .iter()
        .filter(|item| item.attempt.generation == plan.generation)
        .collect();
    let mut attribution = Attribution::default();
    let mut spent = agoge_llm::Spent::default();
    for item in &own {
        spent.merge(&item.spent);
        if let Some(cause) = item.attempt.cause {
            count(&mut attribution, cause);
        }
    }
    let (low, high) = evolution::interval(&plan.pilot, confidence);
    Generation {
        generation: plan.generation,
        digest: plan.digest.clone(),
        parent: plan.parent.clone(),
        change: plan.change.clone(),
        outcome: plan.outcome,
        attempted: plan.pilot.attempted,
        valid: plan.pilot.valid,
        accepted: own.iter().filter(|item| item.attempt.accepted()).count() as u64,
        yield_: Interval {
            value: plan.pilot.per_kilotoken(),
            low,
            high,
        },
        attribution,
        tokens: spent.tokens(),
        cost: spent.usd,
    }
}

fn count(attribution: &mut Attribution, cause: Cause) {
    match cause {
        Cause::Task => attribution.task += 1,
        Cause::Trajectory => attribution.trajectory += 1,
        Cause::User => attribution.user += 1,
        Cause::Infra => attribution.infra += 1,
    }
}
