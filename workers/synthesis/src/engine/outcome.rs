//! The outcome of a job: its report, all attempts, all plan pairs, and the artifacts they become.

use agoge_artifacts::{
    ArtifactError, Attempt, DatasetOrigin, Plans, Qualifications, Stored as _, dataset,
};
use agoge_crds::report::SynthesisReport;
use agoge_store::{Artifact, Store};

use crate::plan::PlanRecord;

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
    /// Something that a person should know while the job goes on.
    pub warning: Option<String>,
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
    /// The qualifications of the tasks that the strategy had qualified.
    pub qualifications: Qualifications,
}

impl Outcome {
    /// Puts attempts and plan pairs into the store under this origin, the qualifications under the digest of the attempts, and
    /// that digest into the report. A job that awaits a person's decision publishes nothing, because it is not done.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn publish(
        &mut self,
        store: &Store,
        name: &str,
        origin: &DatasetOrigin,
    ) -> Result<(), ArtifactError> {
        if self.report.awaiting_promotion.is_some() {
            return Ok(());
        }
        if !self.plans.is_empty() {
            let plans = Plans {
                plans: self.plans.clone(),
            };
            let object = plans.put(store)?;
            store.put_artifact(&Artifact::new(Plans::KIND, name, object, origin.inputs()))?;
        }
        let digest = dataset::publish(store, name, origin, &self.attempts)?;
        self.qualifications.publish(store, name, &digest)?;
        self.report.digest = Some(digest.to_string());
        Ok(())
    }
}
