//! The worker's parser against what plans write: it reads all of it, and refuses every field that is lost or added.

mod common;

use agoge_contract::{Assignment, Role};
use agoge_crds::grpo_run::{Arm, TopologyMode};
use agoge_crds::{GRPORun, Phase, SynthesisJob};
use agoge_plan::{Child, Observed, Plannable, Seen, SynthesisSeen};
use common::*;
use serde_json::{Value, json};

/// Every kind of child that the examples can have: each strategy, qualification, scoring, each stage, rollout servers.
fn children() -> Vec<Child> {
    let mut all = strategies(job());
    let synthesis = SynthesisSeen {
        phase: Phase::Complete,
        digest: Some("sha256:d".into()),
        parts: [("template".to_owned(), "sha256:t".to_owned())].into(),
    };
    let mut suite = suite();
    suite.spec.evaluate = vec![Default::default()];
    let observed = Observed {
        synthesis: Some(synthesis),
        ..Observed::default()
    };
    all.extend(suite.plan(&observed, at(0)).children);
    suite.status.get_or_insert_default().digest = Some("sha256:q".into());
    all.extend(suite.plan(&observed, at(0)).children);
    all.extend(stages(run()));
    let mut repeatable = run();
    repeatable.spec.deterministic = true;
    repeatable.spec.lanes = 6;
    all.extend(stages(repeatable));
    all
}

/// The child of every strategy of a job.
fn strategies(mut job: SynthesisJob) -> Vec<Child> {
    let mut observed = Observed::default();
    let mut all = vec![];
    for second in 0..20 {
        let plan = step(&mut job, &observed, second);
        let Some(first) = plan.children.first() else {
            break;
        };
        let result = json!({ "accepted": 300, "digest": "sha256:t" });
        let state = done_as(Role::Synthesize, &result);
        let attempt = first.attempt;
        observed
            .children
            .insert(first.key.clone(), Seen { attempt, state });
        all.extend(plan.children);
    }
    all
}

/// The children of every stage of a run with all its arms and rollout servers.
fn stages(mut run: GRPORun) -> Vec<Child> {
    run.spec.topology.mode = TopologyMode::Disaggregated;
    run.spec.topology.rollouts = 2;
    run.spec.stages.evaluation.arms = vec![Arm::Grpo, Arm::GrpoUnfiltered, Arm::SftContinued];
    let mut observed = Observed {
        suite: ready("sha256:q", 0.97),
        ..Observed::default()
    };
    let mut all = vec![];
    for second in 0..20 {
        let plan = step_run(&mut run, &observed, second);
        let Some(first) = plan.children.first() else {
            break;
        };
        let result = json!({ "seconds": 9.5, "errorRate": 0.01, "digest": "sha256:x" });
        let state = done_as(Role::Train, &result);
        let attempt = first.attempt;
        observed
            .children
            .insert(first.key.clone(), Seen { attempt, state });
        all.extend(plan.children);
    }
    all
}

fn written(child: &Child) -> Value {
    let assignment = child.assignment(0, &Default::default(), "/work".into(), 0);
    serde_json::to_value(assignment).expect("an assignment is written")
}

fn read(value: &Value) -> Result<Assignment, String> {
    Assignment::parse(value.to_string().as_bytes()).map_err(|error| error.to_string())
}

#[test]
fn every_child_of_every_role_is_read_as_it_was_written() {
    let children = children();
    for role in Role::ALL {
        assert!(
            children.iter().any(|child| child.role() == role),
            "{role:?}"
        );
    }
    for child in &children {
        let read = read(&written(child)).expect("the worker reads it");
        assert_eq!(read.spec, child.work);
        assert_eq!(read.spec.digest(child.shards), child.digest());
    }
}

/// The paths of all objects and of all their fields.
fn paths(value: &Value, at: &str, objects: &mut Vec<String>, fields: &mut Vec<(String, String)>) {
    match value {
        Value::Object(map) => {
            objects.push(at.to_owned());
            for (key, value) in map {
                fields.push((at.to_owned(), key.clone()));
                paths(value, &format!("{at}/{key}"), objects, fields);
            }
        }
        Value::Array(all) => {
            for (n, value) in all.iter().enumerate() {
                paths(value, &format!("{at}/{n}"), objects, fields);
            }
        }
        _ => {}
    }
}

/// Maps whose keys are names.
const NAMED: [&str; 3] = ["/spec/parts", "/spec/inputs", "/endpoints"];
/// The parameters of a strategy: its own type refuses unknown fields, in the worker.
const PARAMETERS: &str = "/spec/strategy/parameters";

#[test]
fn a_field_that_is_lost_or_added_at_any_depth_is_refused_by_its_name() {
    let mut tried = 0;
    for child in children() {
        let whole = written(&child);
        let (mut objects, mut fields) = (vec![], vec![]);
        paths(&whole, "", &mut objects, &mut fields);
        let named = |at: &String| NAMED.contains(&at.as_str()) || at.starts_with(PARAMETERS);
        for at in objects.iter().filter(|at| !named(at)) {
            let mut more = whole.clone();
            more.pointer_mut(at).expect("an object")["unheardOf"] = json!(1);
            let error = read(&more).expect_err(at);
            assert!(error.contains("unheardOf"), "{at}: {error}");
            tried += 1;
        }
        for (at, field) in &fields {
            let mut less = whole.clone();
            let object = less.pointer_mut(at).and_then(Value::as_object_mut);
            object.expect("an object").shift_remove(field);
            match read(&less) {
                Err(error) => assert!(error.contains(field.as_str()), "{at}.{field}: {error}"),
                // Absence is one of the values that a manifest can have, and nothing is filled in.
                Ok(read) => assert_eq!(
                    serde_json::to_value(&read)
                        .expect("written")
                        .pointer(&format!("{at}/{field}")),
                    None,
                    "{at}.{field}"
                ),
            }
            tried += 1;
        }
    }
    assert!(tried > 500, "{tried} fields");
}
