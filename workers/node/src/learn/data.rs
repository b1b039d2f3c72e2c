//! The suite that all seeds learn from: made and qualified by the roles that a SynthesisJob and a CheckerSuite use.

use agoge_crds::report::{QualifyReport, SynthesisReport};
use agoge_crds::{CheckerSuite, SynthesisJob};
use agoge_plan::Role;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{Options, assignment, manifest};
use crate::failure::Failure;
use crate::job::Job;
use crate::stop::Stop;
use crate::{qualify, synthesize};

/// Makes the suite and gives its digest.
pub fn suite(options: &Options, stop: &Stop) -> Result<String, Failure> {
    let job: SynthesisJob = manifest(&options.folder.join("synthesisjob.yaml"))?;
    let checkers: CheckerSuite = manifest(&options.folder.join("checkersuite.yaml"))?;
    let strategy = job
        .spec
        .strategies
        .iter()
        .find(|s| s.name.as_str() == "template");
    let strategy = strategy
        .ok_or_else(|| Failure::Input("synthesisjob.yaml has no strategy `template`".into()))?;
    let role = Role::Synthesize {
        strategy: "template".into(),
    };
    let arguments = json!({ "dataset": "learn", "strategy": strategy });
    let made: SynthesisReport =
        role_of(options, stop, "template", role, arguments, synthesize::run)?;
    tracing::info!(
        attempted = made.attempted,
        accepted = made.accepted,
        "instances"
    );
    let arguments = json!({
        "suite": "learn",
        "parts": { "template": made.digest },
        "sandbox": checkers.spec.sandbox,
        "qualification": checkers.spec.qualification,
    });
    let suite: QualifyReport = role_of(
        options,
        stop,
        "qualify",
        Role::Qualify,
        arguments,
        qualify::run,
    )?;
    tracing::info!(
        qualified = suite.qualified,
        mutation = suite.mutation_score,
        "suite"
    );
    suite
        .digest
        .ok_or_else(|| Failure::Infra("the suite has no digest; run again".into()))
}

/// Runs a role in this process and reads its result.
fn role_of<T: DeserializeOwned>(
    options: &Options,
    stop: &Stop,
    key: &str,
    role: Role,
    arguments: Value,
    run: impl Fn(&mut Job) -> Result<(), Failure>,
) -> Result<T, Failure> {
    let mut job = Job::of(assignment(options, key, role, arguments), stop.clone())?;
    run(&mut job)?;
    let text = std::fs::read(job.assignment.work.join("result.json")).map_err(Failure::infra)?;
    serde_json::from_slice(&text).map_err(Failure::infra)
}
