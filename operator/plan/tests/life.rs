//! Whole lives of the three kinds, played by a driver that does what the plan says.

use std::collections::BTreeMap;
use std::time::Duration;

use agoge_crds::conditions::{self as c, reason};
use agoge_crds::{
    CheckerSuite, Condition, GRPORun, Manifest, Phase, SynthesisJob, Timestamp, check,
};
use agoge_plan::{
    ChildState, Decision, Observed, Plan, Plannable, Role, Seen, SuiteSeen, SynthesisSeen,
    TrainStage, events,
};
use serde_json::{Value, json};

const JOB: &str = include_str!("../../../examples/courier/synthesisjob.yaml");
const SUITE: &str = include_str!("../../../examples/courier/checkersuite.yaml");
const RUN: &str = include_str!("../../../examples/courier/grporun.yaml");

fn manifest(text: &str) -> Manifest {
    check(text, "f")
        .ok()
        .and_then(|mut all| all.pop())
        .expect("the example is valid")
}

fn job() -> SynthesisJob {
    match manifest(JOB) {
        Manifest::SynthesisJob(job) => *job,
        other => panic!("{}", other.kind()),
    }
}

fn suite() -> CheckerSuite {
    match manifest(SUITE) {
        Manifest::CheckerSuite(suite) => *suite,
        other => panic!("{}", other.kind()),
    }
}

fn run() -> GRPORun {
    match manifest(RUN) {
        Manifest::GRPORun(run) => *run,
        other => panic!("{}", other.kind()),
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).expect("a time")
}

fn seen(states: &[(&str, u32, ChildState)]) -> Observed {
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

fn running(progress: Value) -> ChildState {
    ChildState::Running { progress }
}

fn done(result: Value) -> ChildState {
    ChildState::Succeeded { result }
}

fn failed(reason: &str, retryable: bool) -> ChildState {
    ChildState::Failed {
        exit_code: Some(3),
        reason: reason.into(),
        message: "connection refused".into(),
        retryable,
        disrupted: false,
    }
}

fn condition<'a>(conditions: &'a [Condition], type_: &str) -> &'a Condition {
    c::get(conditions, type_).expect("every condition is always there")
}

fn keys<S>(plan: &Plan<S>) -> Vec<&str> {
    plan.children
        .iter()
        .map(|child| child.key.as_str())
        .collect()
}

/// Plans a job, and keeps the status as a driver would.
fn step(
    job: &mut SynthesisJob,
    observed: &Observed,
    second: i64,
) -> Plan<agoge_crds::SynthesisJobStatus> {
    let plan = job.plan(observed, at(second));
    job.status = Some(plan.status.clone());
    plan
}

fn step_run(
    run: &mut GRPORun,
    observed: &Observed,
    second: i64,
) -> Plan<agoge_crds::GRPORunStatus> {
    let plan = run.plan(observed, at(second));
    run.status = Some(plan.status.clone());
    plan
}

#[test]
fn a_job_starts_both_strategies_and_completes_when_both_reach_their_targets() {
    let mut job = job();
    let plan = step(&mut job, &Observed::default(), 0);
    assert_eq!(keys(&plan), ["synthesize-template", "synthesize-sea"]);
    assert_eq!(plan.status.run.phase, Phase::Pending, "nothing runs yet");
    assert_eq!(
        plan.children[0].needs.endpoints,
        Vec::<String>::new(),
        "template asks no model"
    );
    assert_eq!(plan.children[1].needs.endpoints, ["qwen"]);
    assert_eq!(
        plan.children[1].arguments["budget"]["tokensPerInstance"],
        450
    );
    assert_eq!(
        plan.requeue, None,
        "only a change of what is observed matters"
    );

    let both = [
        (
            "synthesize-template",
            0,
            running(json!({ "figures": { "accepted": 150, "attempted": 150 } })),
        ),
        ("synthesize-sea", 0, running(Value::Null)),
    ];
    let plan = step(&mut job, &seen(&both), 5);
    assert_eq!(plan.status.run.phase, Phase::Running);
    assert_eq!((plan.status.accepted, plan.status.target), (150, 304));
    assert_eq!(
        plan.requeue,
        Some(Duration::from_secs(15 * 60)),
        "looks again when the budget ends"
    );

    let lineage = json!([{ "generation": 1, "digest": "sha256:b", "change": "asks for fewer steps", "outcome": "promoted" }]);
    let ends = [
        (
            "synthesize-template",
            0,
            done(json!({ "accepted": 300, "attempted": 300, "digest": "sha256:t" })),
        ),
        (
            "synthesize-sea",
            0,
            done(
                json!({ "accepted": 4, "attempted": 12, "generation": 1, "digest": "sha256:s", "lineage": lineage }),
            ),
        ),
    ];
    let plan = step(&mut job, &seen(&ends), 65);
    let status = &plan.status;
    assert_eq!(status.run.phase, Phase::Complete);
    assert_eq!(
        condition(&status.run.conditions, c::COMPLETE).reason,
        reason::TARGETS_REACHED
    );
    assert_eq!(
        (status.generation, status.yield_.as_deref()),
        (1, Some("97%"))
    );
    assert_eq!(status.lineage.len(), 1);
    assert!(
        status
            .digest
            .as_ref()
            .is_some_and(|d| d.starts_with("sha256:"))
    );
    assert!(plan.children.is_empty());
}

#[test]
fn a_job_whose_time_is_up_stops_its_children_first_and_then_keeps_what_there_is() {
    let mut job = job();
    let both = [
        ("synthesize-template", 0, done(json!({ "accepted": 300 }))),
        (
            "synthesize-sea",
            0,
            running(json!({ "accepted": 1, "attempted": 6 })),
        ),
    ];
    step(&mut job, &seen(&both), 0);
    let plan = step(&mut job, &seen(&both), 899);
    assert_eq!(keys(&plan), ["synthesize-sea"]);
    assert_eq!(plan.children[0].time_left, Some(Duration::from_secs(1)));
    let plan = step(&mut job, &seen(&both), 900);
    assert!(plan.children.is_empty(), "asked to stop");
    assert_eq!(
        plan.status.run.phase,
        Phase::Running,
        "not over while something still writes"
    );
    assert_eq!(
        condition(&plan.status.run.conditions, c::PROGRESSING).reason,
        reason::STOPPING
    );
    let plan = step(&mut job, &seen(&both[..1]), 903);
    assert_eq!(plan.status.run.phase, Phase::Complete);
    let complete = condition(&plan.status.run.conditions, c::COMPLETE);
    assert_eq!(complete.reason, reason::BUDGET_EXHAUSTED);
    assert!(
        complete.message.contains("sea 1 of 4"),
        "{}",
        complete.message
    );
}

#[test]
fn a_job_without_one_accepted_instance_has_failed() {
    let mut job = job();
    let ends = [
        ("synthesize-template", 0, done(json!({ "accepted": 0 }))),
        (
            "synthesize-sea",
            0,
            done(json!({ "accepted": 0, "ended": "GenerationsExhausted" })),
        ),
    ];
    let plan = step(&mut job, &seen(&ends), 0);
    assert_eq!(
        condition(&plan.status.run.conditions, c::FAILED).reason,
        reason::NOTHING_ACCEPTED
    );
}

#[test]
fn failures_back_off_in_doubling_pauses_that_the_status_remembers_until_the_limit() {
    let mut job = job();
    job.spec.strategies.truncate(1);
    let mut second = 0;
    for (attempt, pause) in [10, 20, 40].into_iter().enumerate() {
        let attempt = attempt as u32;
        let broken = seen(&[("synthesize-template", attempt, failed("EndpointDown", true))]);
        let plan = step(&mut job, &broken, second);
        assert_eq!(plan.status.run.phase, Phase::Retrying);
        assert!(plan.children.is_empty());
        assert_eq!(plan.requeue, Some(Duration::from_secs(pause)));
        second += i64::try_from(pause).expect("small");
        let plan = step(&mut job, &broken, second - 1);
        assert!(
            plan.children.is_empty(),
            "a new operator remembers the pause"
        );
        let plan = step(&mut job, &broken, second);
        assert_eq!(plan.children[0].attempt, attempt + 1);
        assert_eq!(
            plan.children[0].name,
            format!("courier-synthesize-template-{}", attempt + 1)
        );
    }
    let plan = step(
        &mut job,
        &seen(&[("synthesize-template", 3, failed("EndpointDown", true))]),
        second,
    );
    let over = condition(&plan.status.run.conditions, c::FAILED);
    assert_eq!(over.reason, reason::BACKOFF_LIMIT_EXCEEDED);
    assert!(
        over.message.contains("exit code 3") && over.message.contains("connection refused"),
        "{}",
        over.message
    );
    assert!(c::is_true(&plan.status.run.conditions, c::STALLED));
}

#[test]
fn an_eviction_is_started_again_at_once_and_not_held_against_it() {
    let mut job = job();
    job.spec.run_policy.backoff_limit = 0;
    job.spec.strategies.truncate(1);
    let evicted = ChildState::Failed {
        exit_code: None,
        reason: "DisruptionTarget".into(),
        message: "node drained".into(),
        retryable: true,
        disrupted: true,
    };
    let plan = step(&mut job, &seen(&[("synthesize-template", 0, evicted)]), 0);
    assert_eq!(plan.children[0].attempt, 1);
    assert_eq!(plan.status.run.failures(), 0);
}

#[test]
fn suspension_stops_children_and_the_clock_and_resuming_goes_on() {
    let mut job = job();
    let busy = seen(&[("synthesize-sea", 0, running(Value::Null))]);
    step(&mut job, &busy, 0);
    job.spec.run_policy.suspend = true;
    let plan = step(&mut job, &busy, 100);
    assert!(plan.children.is_empty());
    assert_eq!(
        plan.status.run.phase,
        Phase::Running,
        "not suspended while something runs"
    );
    let plan = step(&mut job, &Observed::default(), 110);
    assert_eq!(plan.status.run.phase, Phase::Suspended);
    assert_eq!(plan.requeue, None);
    let plan = step(&mut job, &Observed::default(), 100_000);
    assert_eq!(
        plan.status.run.active(at(100_000)).as_secs(),
        110,
        "the clock stands still"
    );
    job.spec.run_policy.suspend = false;
    let plan = step(&mut job, &Observed::default(), 100_000);
    assert_eq!(keys(&plan), ["synthesize-template", "synthesize-sea"]);
    assert_eq!(
        plan.children[1].time_left,
        Some(Duration::from_secs(900 - 110))
    );
}

#[test]
fn the_active_deadline_counts_active_time_only() {
    let mut job = job();
    job.spec.run_policy.active_deadline_seconds = Some(60);
    let queued = ChildState::Pending {
        reason: Some("Unschedulable".into()),
        message: "0/3 nodes fit".into(),
    };
    let plan = step(&mut job, &seen(&[("synthesize-sea", 0, queued)]), 0);
    let progressing = condition(&plan.status.run.conditions, c::PROGRESSING);
    assert_eq!(progressing.reason, "Unschedulable");
    assert!(progressing.message.contains("0/3 nodes"));
    let busy = seen(&[("synthesize-sea", 0, running(Value::Null))]);
    step(&mut job, &busy, 5000);
    let plan = step(&mut job, &busy, 5059);
    assert_eq!(
        (plan.status.run.phase, plan.requeue),
        (Phase::Running, Some(Duration::from_secs(1)))
    );
    let plan = step(&mut job, &busy, 5060);
    assert_eq!(
        condition(&plan.status.run.conditions, c::FAILED).reason,
        reason::DEADLINE_EXCEEDED
    );
}

#[test]
fn what_is_over_stays_over_when_children_vanish_and_goes_when_its_time_to_live_is_up() {
    let mut job = job();
    job.spec.run_policy.ttl_seconds_after_finished = Some(300);
    let ends = [
        ("synthesize-template", 0, done(json!({ "accepted": 300 }))),
        ("synthesize-sea", 0, done(json!({ "accepted": 4 }))),
    ];
    let first = step(&mut job, &seen(&ends), 0);
    assert_eq!(
        (first.requeue, first.delete),
        (Some(Duration::from_secs(300)), false)
    );
    let later = step(&mut job, &Observed::default(), 299);
    assert_eq!(later.status, first.status, "nothing is written");
    assert!(later.children.is_empty() && !later.delete);
    assert!(step(&mut job, &Observed::default(), 300).delete);
}

#[test]
fn a_plan_that_a_person_must_promote_waits_and_then_goes_on_with_the_decision() {
    let mut job = job();
    let mut waits = seen(&[
        ("synthesize-template", 0, done(json!({ "accepted": 300 }))),
        (
            "synthesize-sea",
            0,
            done(json!({ "accepted": 1, "awaitingPromotion": "sha256:child" })),
        ),
    ]);
    let plan = step(&mut job, &waits, 0);
    assert!(plan.children.is_empty());
    assert_eq!(
        condition(&plan.status.run.conditions, c::PROGRESSING).reason,
        reason::AWAITING_PROMOTION
    );
    let annotation =
        |digest: &str| BTreeMap::from([("agoge.dev/promote".to_owned(), digest.to_owned())]);
    waits.decision = Decision::of(&annotation("sha256:another"));
    assert!(
        step(&mut job, &waits, 10).children.is_empty(),
        "a decision about something else"
    );
    waits.decision = Decision::of(&annotation("sha256:child"));
    let plan = step(&mut job, &waits, 20);
    assert_eq!(plan.children[0].attempt, 1);
    assert_eq!(
        plan.children[0].arguments["decision"],
        json!({ "digest": "sha256:child", "promote": true })
    );
    assert_eq!(plan.status.awaiting_promotion, None);
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
    };
    let observed = Observed {
        synthesis: Some(ready.clone()),
        ..Observed::default()
    };
    let plan = suite.plan(&observed, at(0));
    assert_eq!(plan.children[0].role, Role::Qualify);
    assert_eq!(plan.children[0].arguments["sourceDigest"], "sha256:d");

    let result = |qualified: u64, score: f64| {
        let result = json!({ "checkers": 304, "qualified": qualified, "mutationScore": score, "p95Ms": 3.21, "digest": "sha256:q",
            "quarantined": [{ "reason": "survived a mutant", "count": 304 - qualified }] });
        let seen = seen(&[("qualify", 0, done(result))]);
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

fn ready(digest: &str, score: f64) -> Option<SuiteSeen> {
    Some(SuiteSeen {
        phase: Phase::Complete,
        digest: Some(digest.into()),
        mutation_score: Some(score),
    })
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
        let Role::Train { stage } = child.role else {
            panic!("{:?}", child.role)
        };
        if let Some(last) = order.last() {
            assert!(
                child.arguments["inputs"]
                    .get(TrainStage::as_str(*last))
                    .is_some(),
                "{stage:?} gets what came before"
            );
        }
        order.push(stage);
        if stage == TrainStage::SftContinued {
            assert_eq!(
                child.arguments["settings"]["seconds"], 123.0,
                "the time that GRPO took"
            );
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
            condition(&plan.status.run.conditions, c::FAILED)
                .reason
                .clone(),
        )
    };
    let mut run = run();
    assert_eq!(
        fails(&run, ready("sha256:q", 0.89)),
        (Phase::Failed, reason::SUITE_BELOW_THRESHOLD.to_owned())
    );
    assert_eq!(fails(&run, None).0, Phase::Waiting);
    let half = SuiteSeen {
        phase: Phase::Running,
        ..SuiteSeen::default()
    };
    assert_eq!(fails(&run, Some(half)).0, Phase::Waiting);
    run.spec.suite.digest = Some("sha256:p".into());
    assert_eq!(
        fails(&run, ready("sha256:q", 0.97)),
        (Phase::Failed, reason::DIGEST_CHANGED.to_owned())
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
        (Phase::Failed, reason::DIGEST_CHANGED.to_owned())
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

#[test]
fn children_are_the_same_work_whatever_the_attempt_and_the_time() {
    let mut job = job();
    let first = step(
        &mut job,
        &seen(&[("synthesize-sea", 0, running(Value::Null))]),
        0,
    );
    let later = step(
        &mut job,
        &seen(&[("synthesize-sea", 0, failed("EndpointDown", true))]),
        50,
    );
    let again = step(&mut job, &Observed::default(), 500);
    assert_eq!(keys(&later), ["synthesize-template"]);
    assert_ne!(first.children[1].time_left, again.children[1].time_left);
    assert_eq!(first.children[1].digest(), again.children[1].digest());
    assert_ne!(first.children[0].digest(), first.children[1].digest());
}

#[test]
fn events_tell_transitions_once() {
    let mut job = job();
    let mut told = vec![];
    let mut before = agoge_crds::RunStatus::default();
    let busy = seen(&[("synthesize-sea", 0, running(Value::Null))]);
    let broken = seen(&[("synthesize-sea", 0, failed("EndpointDown", false))]);
    for (observed, second) in [
        (&Observed::default(), 0),
        (&busy, 1),
        (&busy, 2),
        (&broken, 3),
        (&broken, 4),
    ] {
        let plan = step(&mut job, observed, second);
        told.extend(
            events(&before, &plan.status.run)
                .into_iter()
                .map(|e| (e.warning, e.reason)),
        );
        before = plan.status.run;
    }
    let expected = [
        (false, "Starting"),
        (false, "Running"),
        (true, "EndpointDown"),
    ];
    assert_eq!(told, expected.map(|(w, r)| (w, r.to_owned())));
}
