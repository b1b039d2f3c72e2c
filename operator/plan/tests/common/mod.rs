//! Objects, observations and times for the tests of plans.
#![allow(dead_code)]

use agoge_contract::Role;
use agoge_crds::conditions as c;
use agoge_crds::{
    CheckerSuite, Condition, GRPORun, Manifest, Phase, SynthesisJob, Timestamp, check,
};
use agoge_plan::{ChildState, Observed, Plan, Plannable, Seen, SuiteSeen};
use serde_json::Value;

const JOB: &str = include_str!("../../../../examples/courier/synthesisjob.yaml");
const SUITE: &str = include_str!("../../../../examples/courier/checkersuite.yaml");
const RUN: &str = include_str!("../../../../examples/courier/grporun.yaml");

pub fn manifest(text: &str) -> Manifest {
    check(text, "f")
        .ok()
        .and_then(|mut all| all.pop())
        .expect("the example is valid")
}

/// The example's job, with a target of its own for `template`: what the example asks for is its own affair.
pub fn job() -> SynthesisJob {
    match manifest(JOB) {
        Manifest::SynthesisJob(mut job) => {
            job.spec.strategies[0].target.accepted = 300;
            *job
        }
        other => panic!("{}", other.kind()),
    }
}

pub fn suite() -> CheckerSuite {
    match manifest(SUITE) {
        Manifest::CheckerSuite(suite) => *suite,
        other => panic!("{}", other.kind()),
    }
}

pub fn run() -> GRPORun {
    match manifest(RUN) {
        Manifest::GRPORun(run) => *run,
        other => panic!("{}", other.kind()),
    }
}

pub fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).expect("a time")
}

pub fn seen(states: &[(&str, u32, ChildState)]) -> Observed {
    let children = states
        .iter()
        .map(|(key, attempt, state)| {
            (
                key.to_string(),
                Seen {
                    attempt: *attempt,
                    state: state.clone(),
                },
            )
        })
        .collect();
    Observed {
        children,
        ..Observed::default()
    }
}

pub fn running_as(role: Role, progress: &Value) -> ChildState {
    ChildState::Running {
        progress: role.progress(progress),
    }
}

pub fn done_as(role: Role, result: &Value) -> ChildState {
    ChildState::Succeeded {
        result: role.report(result).map_err(|error| error.to_string()),
    }
}

pub fn failed(reason: &str, retryable: bool) -> ChildState {
    ChildState::Failed {
        exit_code: Some(3),
        reason: reason.into(),
        message: "connection refused".into(),
        retryable,
        disrupted: false,
    }
}

pub fn condition<'a>(conditions: &'a [Condition], type_: &str) -> &'a Condition {
    c::get(conditions, type_).expect("the condition is there")
}

pub fn keys<S>(plan: &Plan<S>) -> Vec<&str> {
    plan.children
        .iter()
        .map(|child| child.key.as_str())
        .collect()
}

/// Plans a job, and keeps the status as a driver would.
pub fn step(
    job: &mut SynthesisJob,
    observed: &Observed,
    second: i64,
) -> Plan<agoge_crds::SynthesisJobStatus> {
    let plan = job.plan(observed, at(second));
    job.status = Some(plan.status.clone());
    plan
}

pub fn step_run(
    run: &mut GRPORun,
    observed: &Observed,
    second: i64,
) -> Plan<agoge_crds::GRPORunStatus> {
    let plan = run.plan(observed, at(second));
    run.status = Some(plan.status.clone());
    plan
}

pub fn ready(digest: &str, score: f64) -> Option<SuiteSeen> {
    Some(SuiteSeen {
        phase: Phase::Complete,
        digest: Some(digest.into()),
        mutation_score: Some(score),
    })
}
