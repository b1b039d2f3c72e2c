//! The suite that all seeds learn from: one that is stored, or one made and qualified by the roles that a SynthesisJob and a
//! CheckerSuite use.

use agoge_contract::{QualifyWork, SynthesizeWork, Work};
use agoge_crds::checker_suite::Source;
use agoge_crds::report::{QualifyReport, SynthesisReport};
use agoge_crds::{CheckerSuite, SynthesisJob};
use serde::de::DeserializeOwned;

use super::{Options, assignment, manifest};
use crate::failure::Failure;
use crate::job::Job;
use crate::stop::Stop;
use crate::{qualify, synthesize};

/// Returns the digest of the suite: the one that is named, or one made from the domain's templates.
pub fn suite(options: &Options, stop: &Stop) -> Result<String, Failure> {
    match &options.suite {
        Some(digest) => Ok(digest.clone()),
        None => drawn(options, stop),
    }
}

/// Makes a suite from the domain's templates and returns its digest.
fn drawn(options: &Options, stop: &Stop) -> Result<String, Failure> {
    let job: SynthesisJob = manifest(&options.folder.join("synthesisjob.yaml"))?;
    let checkers: CheckerSuite = manifest(&options.folder.join("checkersuite.yaml"))?;
    let strategy = job
        .spec
        .strategies
        .iter()
        .find(|s| s.name.as_str() == "template");
    let strategy = strategy.ok_or_else(|| {
        let message = "synthesisjob.yaml has no strategy `template`; name the digest of a qualified suite with --suite";
        Failure::Input(message.into())
    })?;
    let work = SynthesizeWork {
        dataset: "learn".into(),
        strategy: strategy.clone(),
        models: None,
        evolution: None,
        budget: job.spec.budget.clone(),
        known: Vec::new(),
        parallelism: job.spec.parallelism,
        deterministic: job.spec.deterministic,
        decision: None,
    };
    let spec = Work::Synthesize(work.clone());
    let made: SynthesisReport = report_of(options, stop, "template", spec, |job| {
        synthesize::run(job, &work)
    })?;
    tracing::info!(
        attempted = made.attempted,
        accepted = made.accepted,
        "instances"
    );
    let work = QualifyWork {
        suite: "learn".into(),
        source: Source::default(),
        parts: Some(
            made.digest
                .map(|digest| ("template".into(), digest))
                .into_iter()
                .collect(),
        ),
        sandbox: checkers.spec.sandbox,
        qualification: checkers.spec.qualification,
    };
    let spec = Work::Qualify(work.clone());
    let suite: QualifyReport = report_of(options, stop, "qualify", spec, |job| {
        qualify::run(job, &work)
    })?;
    tracing::info!(
        qualified = suite.qualified,
        mutation = suite.mutation_score,
        "suite"
    );
    suite
        .digest
        .ok_or_else(|| Failure::Infra("the suite has no digest; run again".into()))
}

/// Runs a role in this process and reads its report.
fn report_of<T: DeserializeOwned>(
    options: &Options,
    stop: &Stop,
    key: &str,
    work: Work,
    run: impl Fn(&mut Job) -> Result<(), Failure>,
) -> Result<T, Failure> {
    let mut job = Job::of(assignment(options, key, work), stop.clone())?;
    run(&mut job)?;
    let text = std::fs::read(job.assignment.work.join("result.json")).map_err(Failure::infra)?;
    serde_json::from_slice(&text).map_err(Failure::infra)
}
