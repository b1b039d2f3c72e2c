//! Whole lives of a SynthesisJob, and with them the life cycle that all kinds share.

mod common;

use agoge_contract::{Role, SynthesizeWork, Work};
use agoge_crds::Phase;
use agoge_crds::conditions::{self as c, reason};
use agoge_crds::strategies::StrategyName;
use agoge_plan::{Child, ChildState, Decision, Observed, events};
use common::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

fn running(progress: Value) -> ChildState {
    running_as(Role::Synthesize, &progress)
}

fn done(result: Value) -> ChildState {
    done_as(Role::Synthesize, &result)
}

fn work(child: &Child) -> &SynthesizeWork {
    match &child.work {
        Work::Synthesize(work) => work,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_job_runs_its_strategies_one_after_another_and_completes_when_all_reach_their_targets() {
    let mut job = job();
    job.spec.strategies.reverse();
    let plan = step(&mut job, &Observed::default(), 0);
    assert_eq!(
        keys(&plan),
        ["synthesize-template"],
        "what asks no model comes first"
    );
    assert_eq!(plan.status.run.phase, Phase::Pending, "nothing runs yet");
    assert_eq!(
        plan.children[0].needs.endpoints,
        Vec::<String>::new(),
        "template asks no model"
    );
    assert_eq!(
        plan.requeue, None,
        "only a change of what is observed matters"
    );

    let first = (
        "synthesize-template",
        0,
        done(json!({ "accepted": 300, "attempted": 300, "digest": "sha256:t" })),
    );
    let plan = step(&mut job, &seen(std::slice::from_ref(&first)), 3);
    assert_eq!(keys(&plan), ["synthesize-sea"]);
    assert_eq!(plan.children[0].needs.endpoints, ["qwen"]);
    assert_eq!(
        work(&plan.children[0]).budget.tokens_per_instance,
        Some(450)
    );
    assert_eq!(
        work(&plan.children[0]).known,
        ["sha256:t"],
        "what template made is not new"
    );

    let both = [
        first.clone(),
        (
            "synthesize-sea",
            0,
            running(json!({ "figures": { "accepted": 1, "attempted": 2 } })),
        ),
    ];
    let plan = step(&mut job, &seen(&both), 5);
    assert_eq!(plan.status.run.phase, Phase::Running);
    assert_eq!((plan.status.accepted, plan.status.target), (301, 304));
    assert_eq!(
        plan.requeue,
        Some(Duration::from_secs(15 * 60)),
        "looks again when the budget ends"
    );

    let lineage = json!([{ "generation": 1, "digest": "sha256:b", "change": "asks for fewer steps", "outcome": "promoted" }]);
    let ends = [
        first,
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
fn a_job_whose_given_tasks_are_done_says_so_where_some_were_rejected() {
    let mut job = job();
    job.spec.strategies.truncate(1);
    job.spec.strategies[0].name = StrategyName::of("given").unwrap();
    let ends = [(
        "synthesize-given",
        0,
        done(
            json!({ "accepted": 3, "attempted": 5, "ended": "TasksExhausted", "digest": "sha256:g" }),
        ),
    )];
    let plan = step(&mut job, &seen(&ends), 0);
    let complete = condition(&plan.status.run.conditions, c::COMPLETE);
    assert_eq!(complete.reason, reason::TASKS_EXHAUSTED);
    assert!(
        complete.message.contains("given 3 of"),
        "{}",
        complete.message
    );
}

#[test]
fn a_job_that_accepted_nothing_names_the_gates_and_the_faults_of_its_endpoints() {
    let mut job = job();
    job.spec
        .strategies
        .retain(|strategy| strategy.name.asks_models());
    let sea = json!({ "accepted": 0, "attempted": 12, "rejected": { "gold": 7, "rollout": 5 }, "attribution": { "infra": 3 },
        "faults": { "qwen answered with HTTP #": 2, "qwen stalled": 1 }, "ended": "GenerationsExhausted" });
    let plan = step(&mut job, &seen(&[("synthesize-sea", 0, done(sea))]), 0);
    let failed = condition(&plan.status.run.conditions, c::FAILED);
    assert_eq!(failed.reason, reason::NOTHING_ACCEPTED);
    for words in [
        "sea 0 of 4",
        "sea attempted 12, stopped at gold 7, rollout 5",
        "3 by faults of endpoints",
        "HTTP # 2, qwen stalled 1",
    ] {
        assert!(
            failed.message.contains(words),
            "{words}: {}",
            failed.message
        );
    }
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
        let said = &condition(&plan.status.run.conditions, c::PROGRESSING).message;
        assert!(
            said.contains("(EndpointDown, exit code 3): connection refused; attempt"),
            "{said}"
        );
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
    assert_eq!(keys(&plan), ["synthesize-template"]);
    assert_eq!(
        plan.children[0].time_left,
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
    let plan = step(&mut job, &seen(&[("synthesize-template", 0, queued)]), 0);
    let progressing = condition(&plan.status.run.conditions, c::PROGRESSING);
    assert_eq!(progressing.reason, "Unschedulable");
    assert!(progressing.message.contains("0/3 nodes"));
    let busy = seen(&[("synthesize-template", 0, running(Value::Null))]);
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
        work(&plan.children[0]).decision,
        Decision::of(&annotation("sha256:child"))
    );
    assert_eq!(plan.status.awaiting_promotion, None);
}

#[test]
fn children_are_the_same_work_whatever_the_attempt_and_the_time() {
    let mut job = job();
    let template = ("synthesize-template", 0, done(json!({ "accepted": 300 })));
    let sea = |attempt, state| seen(&[template.clone(), ("synthesize-sea", attempt, state)]);
    let first = step(&mut job, &sea(0, running(Value::Null)), 0);
    let later = step(&mut job, &sea(0, failed("EndpointDown", true)), 50);
    assert!(later.children.is_empty(), "a pause after the failure");
    let again = step(&mut job, &sea(0, failed("EndpointDown", true)), 500);
    assert_eq!(
        (first.children[0].attempt, again.children[0].attempt),
        (0, 1)
    );
    assert_ne!(first.children[0].time_left, again.children[0].time_left);
    assert_eq!(first.children[0].digest(), again.children[0].digest());
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
                .map(|e| (e.warning, e.routine, e.reason)),
        );
        before = plan.status.run;
    }
    let expected = [
        (false, true, "Starting"),
        (false, true, "Running"),
        (true, false, "EndpointDown"),
    ];
    assert_eq!(
        told,
        expected.map(|(warning, routine, reason)| (warning, routine, reason.to_owned()))
    );
}

#[test]
fn a_status_stays_small_whatever_children_say() {
    let long = "\"x\u{7}".repeat(5000);
    let generation = json!({ "generation": 4_000_000_000u32, "digest": long, "parent": long, "change": long, "outcome": "rolledBack",
        "attempted": u64::MAX, "valid": u64::MAX, "accepted": u64::MAX, "tokens": u64::MAX, "cost": 1.0 / 3.0,
        "yield": { "value": 1.0 / 3.0, "low": 1.0 / 3.0, "high": 1.0 / 3.0 },
        "attribution": { "task": u64::MAX, "trajectory": u64::MAX, "user": u64::MAX, "infra": u64::MAX } });
    let rejected: BTreeMap<String, u64> = (0..1000)
        .map(|i| (format!("{i}{long}"), u64::MAX))
        .collect();
    let report = json!({ "attempted": u64::MAX / 2, "accepted": 1_000_000, "tokens": u64::MAX / 2, "plan": long, "digest": long, "ended": long,
        "rejected": rejected, "lineage": vec![generation; 500] });
    let mut job = job();
    let both = |attempt, state: ChildState| {
        seen(&[
            ("synthesize-template", attempt, state.clone()),
            ("synthesize-sea", attempt, state),
        ])
    };
    step(&mut job, &both(0, running(report)), 0);
    let broken = ChildState::Failed {
        exit_code: Some(1),
        reason: long.clone(),
        message: long,
        retryable: true,
        disrupted: false,
    };
    let mut largest = 0;
    for attempt in 0..3 {
        let plan = step(&mut job, &both(attempt, broken.clone()), 1);
        largest = largest.max(serde_json::to_string(&plan.status).expect("written").len());
    }
    assert_eq!(
        job.status.as_ref().map(|s| s.run.phase),
        Some(Phase::Failed)
    );
    assert!((8 * 1024..16 * 1024).contains(&largest), "{largest} bytes");
}

#[test]
fn generation_plan_yield_and_decision_are_in_the_status_while_the_job_runs() {
    let mut job = job();
    let mut seen_so_far = vec![];
    for (outcome, plan) in [("pilot", "sha256:a"), ("promoted", "sha256:b")] {
        let lineage = json!([
            { "generation": 0, "digest": "sha256:a", "change": "the built-in pair", "outcome": "pilot" },
            { "generation": 1, "digest": "sha256:b", "parent": "sha256:a", "change": "calls: look first", "outcome": outcome,
              "attempted": 4, "valid": 3, "yield": { "value": 0.9, "low": 0.4, "high": 1.7 } },
        ]);
        let figures = json!({ "generation": 1, "plan": plan, "attempted": 10, "valid": 5, "accepted": 1, "lineage": lineage });
        let progress =
            json!({ "stage": "generation 1: pilot", "done": 4, "total": 6, "figures": figures });
        let plan = step(
            &mut job,
            &seen(&[("synthesize-sea", 0, running(progress))]),
            5,
        );
        assert_eq!(plan.status.run.phase, Phase::Running);
        let last = plan.status.lineage.last().expect("two generations").clone();
        assert_eq!((last.valid, last.yield_.value), (3, 0.9));
        seen_so_far.push((
            plan.status.generation,
            plan.status.plan.clone(),
            last.outcome,
        ));
    }
    use agoge_crds::lineage::Outcome;
    assert_eq!(
        seen_so_far,
        [
            (1, Some("sha256:a".to_owned()), Outcome::Pilot),
            (1, Some("sha256:b".to_owned()), Outcome::Promoted),
        ]
    );
}

#[test]
fn weights_divide_what_is_left_of_the_budget_over_the_strategies_that_ask_models() {
    let mut job = job();
    job.spec.budget.tokens = Some(1001);
    job.spec.budget.usd = Some(8.0);
    let mut second = job.spec.strategies[1].clone();
    second.weight = 3;
    job.spec.strategies.push(second);
    let plan = step(&mut job, &Observed::default(), 0);
    assert_eq!(
        work(&plan.children[0]).budget.tokens,
        Some(0),
        "template asks no model"
    );
    let template = ("synthesize-template", 0, done(json!({ "accepted": 300 })));
    let plan = step(&mut job, &seen(&[template]), 0);
    let share = work(&plan.children[0]).budget.clone();
    assert_eq!(
        (share.tokens, share.usd),
        (Some(250), Some(2.0)),
        "a quarter, rounded down: the sum is within the budget"
    );
    assert_eq!(
        plan.children[0].time_left,
        Some(Duration::from_secs(15 * 60 / 4))
    );

    // Another strategy has ended and left over most of its share.
    let mut over = job.clone();
    let ended = agoge_crds::synthesis_job::StrategyStatus {
        tokens: 101,
        cost: 2.0,
        ended: Some("TargetsReached".into()),
        ..Default::default()
    };
    over.spec.strategies.truncate(2);
    let strategies = &mut over.status.as_mut().expect("it ran").strategies;
    strategies.insert("earlier".into(), ended);
    let plan = step(&mut over, &Observed::default(), 0);
    let share = work(&plan.children[0]).budget.clone();
    assert_eq!((share.tokens, share.usd), (Some(900), Some(6.0)));
}
