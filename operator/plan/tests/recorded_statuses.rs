//! The statuses in `tests/charts/status`, which Argo CD's and Flux's judgement is tested on, are what plans really write, and
//! what the API server says of an object that none has looked at.
//! `UPDATE=1` records them anew.

mod common;

use std::path::Path;

use agoge_contract::Role;
use agoge_plan::{ChildState, Observed, Plan, Plannable, SynthesisSeen};
use common::*;
use serde::Serialize;
use serde_json::{Value, json};

struct Tape {
    different: Vec<String>,
}

impl Tape {
    fn record<S: Serialize>(&mut self, kind: &str, state: &str, plan: &Plan<S>) {
        self.keep(kind, state, &json!(plan.status));
    }

    fn keep(&mut self, kind: &str, state: &str, status: &Value) {
        let object = json!({
            "apiVersion": "agoge.dev/v1alpha1",
            "kind": kind,
            "metadata": { "name": "courier", "namespace": "team-a", "generation": 3 },
            "status": status,
        });
        let name = format!("{}-{state}.json", kind.to_lowercase());
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../tests/charts/status")
            .join(&name);
        if std::env::var_os("UPDATE").is_some() {
            let text = serde_json::to_string_pretty(&object).expect("plain data") + "\n";
            std::fs::write(&path, text).expect("the folder is there");
        }
        let recorded = std::fs::read_to_string(&path).unwrap_or_default();
        if serde_json::from_str::<Value>(&recorded).ok() != Some(object) {
            self.different.push(name);
        }
    }
}

fn pending(reason: &str, message: &str) -> ChildState {
    ChildState::Pending {
        reason: Some(reason.into()),
        message: message.into(),
    }
}

#[test]
fn the_recorded_statuses_are_what_the_api_server_and_plans_write() {
    let mut tape = Tape { different: vec![] };
    for definition in agoge_crds::crds() {
        let definition = json!(definition);
        let status =
            &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"];
        let kind = definition["spec"]["names"]["kind"]
            .as_str()
            .expect("a kind has a name");
        tape.keep(kind, "unseen", &status["default"]);
    }
    let all = |state: ChildState| {
        seen(&[
            ("synthesize-template", 0, state.clone()),
            ("synthesize-sea", 0, state),
        ])
    };

    let mut job = job();
    job.metadata.generation = Some(3);
    tape.record(
        "SynthesisJob",
        "bringing-up",
        &step(&mut job, &Observed::default(), 0),
    );
    let stuck = all(pending("Unschedulable", "0/3 nodes are available"));
    tape.record("SynthesisJob", "blocked", &step(&mut job, &stuck, 5));
    let works = all(running_as(
        Role::Synthesize,
        &json!({ "figures": { "accepted": 150, "attempted": 170 } }),
    ));
    tape.record("SynthesisJob", "running", &step(&mut job, &works, 10));
    let mut suspended = job.clone();
    suspended.spec.run_policy.suspend = true;
    tape.record(
        "SynthesisJob",
        "stopping",
        &step(&mut suspended, &works, 20),
    );
    tape.record(
        "SynthesisJob",
        "suspended",
        &step(&mut suspended, &Observed::default(), 30),
    );
    tape.record(
        "SynthesisJob",
        "retrying",
        &step(&mut job.clone(), &all(failed("EndpointDown", true)), 40),
    );
    tape.record(
        "SynthesisJob",
        "failed",
        &step(&mut job.clone(), &all(failed("BadDomain", false)), 40),
    );
    let ends = all(done_as(
        Role::Synthesize,
        &json!({ "accepted": 300, "attempted": 340, "digest": "sha256:d" }),
    ));
    tape.record("SynthesisJob", "complete", &step(&mut job, &ends, 65));

    let mut suite = suite();
    suite.metadata.generation = Some(3);
    tape.record(
        "CheckerSuite",
        "waiting",
        &suite.plan(&Observed::default(), at(0)),
    );
    let ready_source = |mut observed: Observed| {
        observed.synthesis = Some(SynthesisSeen {
            phase: agoge_crds::Phase::Complete,
            digest: Some("sha256:d".into()),
            ..SynthesisSeen::default()
        });
        observed
    };
    let plan = suite.plan(&ready_source(Observed::default()), at(5));
    tape.record("CheckerSuite", "bringing-up", &plan);
    suite.status = Some(plan.status);
    let starts = running_as(Role::Qualify, &Value::Null);
    let works = ready_source(seen(&[("qualify", 0, starts)]));
    tape.record("CheckerSuite", "running", &suite.plan(&works, at(10)));
    let end = |qualified: u32| {
        let result = json!({ "checkers": 304, "qualified": qualified, "mutationScore": 0.97, "p95Ms": 3.21, "digest": "sha256:q",
            "quarantined": [{ "reason": "survived a mutant", "count": 304 - qualified }] });
        ready_source(seen(&[("qualify", 0, done_as(Role::Qualify, &result))]))
    };
    tape.record("CheckerSuite", "complete", &suite.plan(&end(300), at(20)));
    tape.record("CheckerSuite", "failed", &suite.plan(&end(10), at(20)));

    let mut run = run();
    run.metadata.generation = Some(3);
    tape.record("GRPORun", "waiting", &run.plan(&Observed::default(), at(0)));
    let weak = Observed {
        suite: ready("sha256:q", 0.5),
        ..Observed::default()
    };
    tape.record("GRPORun", "failed", &run.plan(&weak, at(0)));
    let with_suite = |mut observed: Observed| {
        observed.suite = ready("sha256:q", 0.97);
        observed
    };
    tape.record(
        "GRPORun",
        "bringing-up",
        &step_run(&mut run, &with_suite(Observed::default()), 5),
    );
    let trains = running_as(Role::Train, &json!({ "step": 4 }));
    let works = with_suite(seen(&[("user-sft", 0, trains)]));
    tape.record("GRPORun", "running", &step_run(&mut run, &works, 10));
    let mut suspended = run.clone();
    suspended.spec.run_policy.suspend = true;
    tape.record(
        "GRPORun",
        "suspended",
        &step_run(&mut suspended, &with_suite(Observed::default()), 20),
    );

    assert!(
        tape.different.is_empty(),
        "recordings differ from what plans write: {:?}; look, then UPDATE=1",
        tape.different
    );
}
