//! The role `synthesize`: the instances of one strategy of a SynthesisJob, as one artifact of attempts in item order.

mod sea;
mod template;

use std::collections::BTreeMap;

use agoge_checker::Cause;
use agoge_contract::SynthesizeWork;
use agoge_crds::report::SynthesisReport;
use agoge_crds::synthesis_job::StrategyName;
use agoge_store::{Artifact, Digest};
use agoge_synthesis::{Attempt, funnel};

use crate::failure::Failure;
use crate::job::Job;

/// The kind of the artifact.
pub const KIND: &str = "instances";
/// Changes whenever an attempt is written differently.
const FORMAT: &str = "agoge-instances/1";

/// Makes the instances, or finds that they are made.
///
/// # Errors
/// [`Failure`]
pub fn run(job: &mut Job, work: &SynthesizeWork) -> Result<(), Failure> {
    let report = match work.strategy.name {
        StrategyName::Template => template::run(job, work)?,
        StrategyName::Sea => sea::run(job, work)?,
    };
    job.finish(&report)
}

/// All that determines what is made.
fn inputs(domain: &str, strategy: &str, settings: &str) -> BTreeMap<String, String> {
    let all = [
        ("domain", domain),
        ("strategy", strategy),
        ("settings", settings),
        ("format", FORMAT),
        ("code", env!("CARGO_PKG_VERSION")),
    ];
    all.map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

/// Puts attempts into the store, one a line.
fn keep(
    job: &Job,
    name: &str,
    inputs: BTreeMap<String, String>,
    attempts: &[Attempt],
) -> Result<Digest, Failure> {
    let mut lines = Vec::new();
    for attempt in attempts {
        serde_json::to_writer(&mut lines, attempt).map_err(Failure::infra)?;
        lines.push(b'\n');
    }
    let digest = job.store.put(&lines)?;
    job.store
        .put_artifact(&Artifact::new(KIND, name, digest.clone(), inputs))?;
    Ok(digest)
}

/// The counts of a report.
fn counted(attempts: &[Attempt]) -> SynthesisReport {
    let mut report = SynthesisReport {
        attempted: attempts.len() as u64,
        valid: attempts.iter().filter(|a| a.valid()).count() as u64,
        accepted: attempts.iter().filter(|a| a.accepted()).count() as u64,
        tokens: attempts.iter().map(|a| a.tokens).sum(),
        ..SynthesisReport::default()
    };
    for stop in funnel(attempts.iter().filter(|a| !a.accepted())) {
        if stop.count > 0 {
            report
                .rejected
                .insert(stop.gate.name().to_owned(), stop.count as u64);
        }
    }
    for cause in attempts.iter().filter_map(|a| a.cause) {
        *match cause {
            Cause::Task => &mut report.attribution.task,
            Cause::Trajectory => &mut report.attribution.trajectory,
            Cause::User => &mut report.attribution.user,
            Cause::Infra => &mut report.attribution.infra,
        } += 1;
    }
    report
}
