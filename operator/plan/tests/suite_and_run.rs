//! Whole lives of a CheckerSuite and of a GRPORun.

mod common;

use agoge_contract::{Role, StageSettings, TrainStage, Work};
use agoge_crds::conditions::{self as c, reason};
use agoge_crds::grpo_run::Arm;
use agoge_crds::{GRPORun, Phase};
use agoge_plan::{Child, ChildState, Observed, Plannable, Seen, SuiteSeen, SynthesisSeen};
use common::*;
use serde_json::{Value, json};

fn running(progress: Value) -> ChildState {
    running_as(Role::Train, &progress)
}

fn done(result: Value) -> ChildState {
    done_as(Role::Train, &result)
}

#[test]
fn a_suite_waits_for_its_job_qualifies_and_refuses_what_is_too_weak() {
    let suite = suite();
    let plan = suite.plan(&Observed::default(), at(0));
    assert_eq!(plan.status.run.phase, Phase::Waiting);
    assert_eq!(
        condition(&plan.status.run.conditions, c::ACCEPTED).reason,
        reason::SYNTHESIS_JOB_NOT_FOUND
    );

    let ready = SynthesisSeen {
        phase: Phase::Complete,
        digest: Some("sha256:d".into()),
        parts: [("template".to_owned(), "sha256:t".to_owned())].into(),
    };
    let observed = Observed {
        synthesis: Some(ready.clone()),
        ..Observed::default()
    };
    let plan = suite.plan(&observed, at(0));
    let Work::Qualify(work) = &plan.children[0].work else {
        panic!("{:?}", plan.children[0].work)
    };
    assert_eq!(work.parts.as_ref(), Some(&ready.parts));

    let result = |qualified: u64, score: f64| {
        let result = json!({ "checkers": 304, "qualified": qualified, "mutationScore": score, "p95Ms": 3.21, "digest": "sha256:q",
            "quarantined": [{ "reason": "survived a mutant", "count": 304 - qualified }] });
        let seen = seen(&[("qualify", 0, done_as(Role::Qualify, &result))]);
        suite.plan(
            &Observed {
                synthesis: Some(ready.clone()),
                ..seen
            },
            at(9),
        )
    };
    let good = result(300, 0.97);
    assert_eq!(good.status.run.phase, Phase::Complete);
    assert_eq!(good.status.digest.as_deref(), Some("sha256:q"));
    assert_eq!(
        (
            good.status.mutation_score.as_deref(),
            good.status.p95.as_deref()
        ),
        (Some("0.970"), Some("3.2ms"))
    );
    for weak in [result(300, 0.8999), result(100, 0.97), result(0, 1.0)] {
        assert_eq!(
            condition(&weak.status.run.conditions, c::FAILED).reason,
            reason::NOT_QUALIFIED
        );
        assert_eq!(weak.status.digest, None, "no digest to pin");
    }
}

#[test]
fn every_arm_that_is_compared_with_grpo_trains_on_as_many_ranks() {
    let mut run = run();
    run.spec.topology.trainers = 3;
    run.spec.stages.evaluation.arms = vec![Arm::SftContinued, Arm::Grpo, Arm::GrpoUnfiltered];
    let mut observed = Observed {
        suite: ready("sha256:q", 0.97),
        ..Observed::default()
    };
    let mut ranks = vec![];
    for second in 0..20 {
        let plan = step_run(&mut run, &observed, second);
        let Some(child) = plan.children.first() else {
            break;
        };
        ranks.push((child.key.clone(), child.shards));
        let result = json!({ "step": 4, "seconds": 9.0, "errorRate": 0.01, "digest": "sha256:x" });
        let (attempt, state) = (child.attempt, done(result));
        let seen = Seen { attempt, state };
        observed.children.insert(child.key.clone(), seen);
    }
    let of = |key: &str| ranks.iter().find(|(k, _)| k == key).map(|(_, n)| *n);
    for key in ["agent-sft", "grpo", "grpo-unfiltered", "sft-continued"] {
        assert_eq!(of(key), Some(3), "{key} {ranks:?}");
    }
    assert_eq!(of("evaluate"), Some(1));
}

#[test]
fn lanes_determine_the_work_of_a_deterministic_run_and_the_default_leaves_its_digest_as_it_was() {
    let observed = Observed {
        suite: ready("sha256:q", 0.97),
        ..Observed::default()
    };
    let child = |deterministic: bool, lanes: u32| {
        let mut run = run();
        run.spec.deterministic = deterministic;
        run.spec.lanes = lanes;
        run.plan(&observed, at(0)).children.remove(0)
    };
    let written = |child: &Child| serde_json::to_value(&child.work).expect("work is written");
    assert_eq!(run().spec.lanes, 4);
    assert_eq!(written(&child(true, 4)).get("lanes"), None);
    assert_eq!(written(&child(true, 6))["lanes"], 6);
    assert_ne!(child(true, 6).digest(), child(true, 4).digest());
    assert_eq!(child(false, 6).digest(), child(false, 4).digest());
}

#[test]
fn a_run_goes_through_its_stages_in_order_and_ends_with_the_table() {
    let mut run = run();
    let mut observed = Observed {
        suite: ready("sha256:q", 0.97),
        ..Observed::default()
    };
    let mut order = vec![];
    for second in 0..20 {
        let plan = step_run(&mut run, &observed, second);
        let Some(child) = plan.children.first() else {
            break;
        };
        assert_eq!(plan.children.len(), 1);
        let Work::Train(work) = &child.work else {
            panic!("{:?}", child.work)
        };
        let stage = work.stage();
        if let Some(last) = order.last() {
            assert!(
                work.inputs.contains_key(last),
                "{stage:?} gets what came before"
            );
        }
        order.push(stage);
        if let StageSettings::SftContinued { seconds, .. } = work.settings {
            assert_eq!(seconds, Some(123.0), "the time that GRPO took");
        }
        let arms = json!({ "grpo": { "pass": [0.91, 0.85] }, "sft": { "pass": [0.7] } });
        let result = json!({ "step": 40, "reward": 0.8, "seconds": 123.0, "errorRate": 0.03, "digest": format!("sha256:{second}"),
            "arms": if stage == TrainStage::Evaluate { arms } else { json!({}) } });
        observed.children.insert(
            child.key.clone(),
            Seen {
                attempt: child.attempt,
                state: done(result),
            },
        );
    }
    use TrainStage::*;
    assert_eq!(
        order,
        [UserSft, CertifyUser, AgentSft, Grpo, SftContinued, Evaluate]
    );
    let status = run.status.unwrap();
    assert_eq!(status.run.phase, Phase::Complete);
    assert_eq!(
        (status.pass1.as_deref(), status.best.as_deref()),
        (Some("0.910"), Some("grpo 0.910"))
    );
    assert_eq!(
        status.digest.as_deref(),
        Some("sha256:3"),
        "the policy is what GRPO left"
    );
    assert_eq!(status.suite_digest.as_deref(), Some("sha256:q"));
}

/// The end of a run whose GRPO had this last reward and this share of rollouts that met a limit, and whose policies passed
/// `pass` of so many held-out tasks.
fn ended(reward: f64, truncated: f64, pass: f64, tasks: u64) -> (Phase, String, String) {
    let mut run = run();
    let mut observed = Observed {
        suite: ready("sha256:q", 0.97),
        ..Observed::default()
    };
    for second in 0..20 {
        let plan = step_run(&mut run, &observed, second);
        let Some(child) = plan.children.first() else {
            break;
        };
        let arm = json!({ "pass": [pass], "tasks": tasks });
        let arms = match child.key.as_str() {
            "evaluate" => json!({ "empty": { "pass": [0.0] }, "sft": arm, "grpo": arm }),
            _ => json!({}),
        };
        let result = json!({ "step": 40, "reward": reward, "truncated": truncated, "seconds": 9.0, "errorRate": 0.0,
            "digest": format!("sha256:{second}"), "arms": arms });
        let (attempt, state) = (child.attempt, done(result));
        observed
            .children
            .insert(child.key.clone(), Seen { attempt, state });
    }
    let status = run.status.expect("a status");
    let type_ = match status.run.phase {
        Phase::Failed => c::FAILED,
        _ => c::COMPLETE,
    };
    let told = condition(&status.run.conditions, type_);
    (status.run.phase, told.reason.clone(), told.message.clone())
}

#[test]
fn a_run_that_learned_nothing_ends_with_the_cause_and_the_fields_to_raise() {
    let (phase, word, message) = ended(0.0, 0.93, 0.0, 30);
    assert_eq!((phase, word.as_str()), (Phase::Failed, "TrajectoriesCut"));
    for words in [
        "none of 30",
        "grpo 0.000",
        "93 %",
        "maxTrajectoryTokens (300)",
        "maxTurns (12)",
    ] {
        assert!(message.contains(words), "{words}: {message}");
    }
    let (phase, word, message) = ended(0.0, 0.02, 0.0, 30);
    assert_eq!((phase, word.as_str()), (Phase::Failed, "NothingLearned"));
    assert!(message.contains("more demonstrations"), "{message}");
    assert!(!message.contains("maxTurns"), "{message}");

    let (phase, word, _) = ended(0.25, 0.0, 0.0, 30);
    assert_eq!((phase, word.as_str()), (Phase::Complete, "NothingLearned"));
    let (phase, word, _) = ended(0.0, 0.0, 0.0, 8);
    assert_eq!(
        (phase, word.as_str()),
        (Phase::Complete, "NothingLearned"),
        "8 tasks prove little"
    );
    let (phase, word, message) = ended(0.4, 0.6, 0.3, 30);
    assert_eq!((phase, word.as_str()), (Phase::Complete, "StagesComplete"));
    assert!(message.contains("pass^1 0.300; 60 %"), "{message}");
}

#[test]
fn a_run_with_a_scripted_user_trains_and_certifies_none() {
    let mut run = run();
    run.spec.user.model = agoge_crds::grpo_run::UserModel::Scripted;
    let plan = run.plan(
        &Observed {
            suite: ready("sha256:q", 0.97),
            ..Observed::default()
        },
        at(0),
    );
    assert_eq!(keys(&plan), ["agent-sft"]);
}

#[test]
fn an_uncertified_user_model_fails_the_run_whether_the_worker_or_the_plan_judges() {
    let sft = ("user-sft", 0, done(json!({ "digest": "sha256:u" })));
    for verdict in [
        done(json!({ "errorRate": 0.051 })),
        failed("UserModelNotCertified", false),
    ] {
        let observed = seen(&[sft.clone(), ("certify-user", 0, verdict)]);
        let plan = run().plan(
            &Observed {
                suite: ready("sha256:q", 0.97),
                ..observed
            },
            at(0),
        );
        assert_eq!(plan.status.run.phase, Phase::Failed);
        assert_eq!(
            condition(&plan.status.run.conditions, c::FAILED).reason,
            reason::USER_MODEL_NOT_CERTIFIED
        );
    }
    let observed = seen(&[sft, ("certify-user", 0, done(json!({ "errorRate": 0.05 })))]);
    let plan = run().plan(
        &Observed {
            suite: ready("sha256:q", 0.97),
            ..observed
        },
        at(0),
    );
    assert_eq!(keys(&plan), ["agent-sft"], "the bar itself is allowed");
}

#[test]
fn a_run_refuses_a_suite_that_is_weak_or_not_the_one_pinned_and_waits_for_one_that_is_not_there() {
    let fails = |run: &GRPORun, suite: Option<SuiteSeen>| {
        let plan = run.plan(
            &Observed {
                suite,
                ..Observed::default()
            },
            at(0),
        );
        assert!(plan.children.is_empty());
        (
            plan.status.run.phase,
            c::reason(&plan.status.run.conditions, c::FAILED).map(str::to_owned),
        )
    };
    let mut run = run();
    assert_eq!(
        fails(&run, ready("sha256:q", 0.89)),
        (
            Phase::Failed,
            Some(reason::SUITE_BELOW_THRESHOLD.to_owned())
        )
    );
    assert_eq!(fails(&run, None), (Phase::Waiting, None));
    let half = SuiteSeen {
        phase: Phase::Running,
        ..SuiteSeen::default()
    };
    assert_eq!(fails(&run, Some(half)), (Phase::Waiting, None));
    run.spec.suite.digest = Some("sha256:p".into());
    assert_eq!(
        fails(&run, ready("sha256:q", 0.97)),
        (Phase::Failed, Some(reason::DIGEST_CHANGED.to_owned()))
    );

    run.spec.suite.digest = None;
    step_run(
        &mut run,
        &Observed {
            suite: ready("sha256:q", 0.97),
            ..Observed::default()
        },
        0,
    );
    let plan = run.plan(&Observed::default(), at(1));
    assert_eq!(
        keys(&plan),
        ["user-sft"],
        "what is pinned lies in the store; the object may go"
    );
    assert_eq!(
        fails(&run, ready("sha256:r", 0.97)),
        (Phase::Failed, Some(reason::DIGEST_CHANGED.to_owned()))
    );
}

#[test]
fn a_result_that_cannot_be_read_fails_with_its_field_and_a_progress_that_cannot_is_passed_over() {
    let observe = |state| Observed {
        suite: ready("sha256:q", 0.97),
        ..seen(&[("user-sft", 0, state)])
    };
    let plan = run().plan(&observe(running(json!({ "step": "many" }))), at(0));
    assert_eq!(plan.status.run.phase, Phase::Running);
    let plan = run().plan(&observe(done(json!({ "step": "many" }))), at(0));
    assert_eq!(
        condition(&plan.status.run.conditions, c::FAILED).reason,
        reason::BAD_RESULT
    );
}
