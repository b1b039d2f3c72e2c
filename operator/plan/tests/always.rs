//! Properties of every plan: for every object, every status a plan can reach, and all that can be observed.

use std::collections::BTreeMap;
use std::time::Duration;

use agoge_contract::{Assignment, Endpoint, Resolved, Role};
use agoge_crds::conditions as c;
use agoge_crds::grpo_run::TopologyMode;
use agoge_crds::{
    CheckerSuite, GRPORun, Manifest, Phase, RunStatus, SynthesisJob, Timestamp, check,
};
use agoge_plan::{
    ChildState, Decision, Observed, Plan, Plannable, Seen, SuiteSeen, SynthesisSeen, events,
};
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
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

/// The differences from one plan to the next.
#[derive(Clone, Debug)]
struct Step {
    seconds: i64,
    suspend: bool,
    generation: i64,
    observed: Observed,
}

const KEYS: [&str; 12] = [
    "synthesize-template",
    "synthesize-sea",
    "qualify",
    "score",
    "user-sft",
    "certify-user",
    "agent-sft",
    "grpo",
    "sft-continued",
    "grpo-unfiltered",
    "rollout",
    "evaluate",
];

fn report() -> impl Strategy<Value = Value> {
    let figures = (0u64..400, 0.0..1.0f64, 0u64..600, 0u64..2_000_000);
    let words = (
        proptest::option::of("[a-f0-9]{1,90}"),
        proptest::option::weighted(0.3, prop_oneof![Just("BudgetExhausted"), Just("x")]),
        proptest::option::weighted(0.2, Just("sha256:child")),
    );
    (figures, words).prop_map(|((n, share, big, tokens), (digest, ended, awaiting))| {
        json!({
            "attempted": n + 10, "valid": n, "accepted": n, "tokens": tokens, "cost": share, "generation": n % 5,
            "lineage": vec![json!({ "generation": 1, "digest": "d".repeat(big as usize), "change": "ä\u{7}".repeat(big as usize) }); 30],
            "rejected": (0..20).map(|i| (format!("gate{i}"), i)).collect::<BTreeMap<_, _>>(),
            "checkers": n + 1, "qualified": n, "mutationScore": share, "flake": share, "p95Ms": share * 100.0,
            "step": n, "reward": share, "errorRate": share / 10.0, "seconds": share * 1000.0,
            "arms": { "grpo": { "pass": [share, 0.5], "low": 0.1, "high": 0.9, "tasks": 200 } },
            "digest": digest, "ended": ended, "awaitingPromotion": awaiting,
        })
    })
}

fn role(key: &str) -> Role {
    match key {
        "qualify" => Role::Qualify,
        "score" => Role::Score,
        "rollout" => Role::Rollout,
        key if key.starts_with("synthesize-") => Role::Synthesize,
        _ => Role::Train,
    }
}

fn state(role: Role) -> impl Strategy<Value = ChildState> {
    prop_oneof![
        2 => Just(ChildState::Absent),
        1 => (proptest::option::of(prop_oneof![Just("Unschedulable".to_owned()), Just("not a reason".to_owned())]), ".{0,40}")
            .prop_map(|(reason, message)| ChildState::Pending { reason, message }),
        4 => prop_oneof![1 => Just(Value::Null), 1 => Just(json!("nonsense")), 4 => report()]
            .prop_map(move |progress| ChildState::Running { progress: role.progress(&progress) }),
        3 => prop_oneof![6 => report(), 1 => Just(json!({ "accepted": "many" }))]
            .prop_map(move |result| ChildState::Succeeded { result: role.report(&result).map_err(|error| error.to_string()) }),
        2 => (proptest::option::of(0..256i32), "[A-Za-z ]{0,80}", ".{0,600}", prop::bool::weighted(0.9), prop::bool::weighted(0.3))
            .prop_map(|(exit_code, reason, message, retryable, disrupted)| ChildState::Failed { exit_code, reason, message, retryable, disrupted }),
    ]
}

fn phase() -> impl Strategy<Value = Phase> {
    prop_oneof![1 => Just(Phase::Waiting), 1 => Just(Phase::Running), 6 => Just(Phase::Complete), 1 => Just(Phase::Failed)]
}

fn observed() -> impl Strategy<Value = Observed> {
    let child = proptest::sample::select(KEYS.to_vec()).prop_flat_map(|key| {
        let seen = (0u32..3, state(role(key)));
        let seen = seen.prop_map(|(attempt, state)| Seen { attempt, state });
        (Just(key.to_owned()), seen)
    });
    let children = proptest::collection::vec(child, 0..KEYS.len())
        .prop_map(|children| children.into_iter().collect::<BTreeMap<_, _>>());
    let synthesis = proptest::option::weighted(
        0.9,
        phase().prop_map(|phase| SynthesisSeen {
            phase,
            ..SynthesisSeen::default()
        }),
    );
    let suite = (
        phase(),
        proptest::option::weighted(0.9, "[ab]"),
        proptest::option::weighted(0.95, 0.85..1.0f64),
    )
        .prop_map(|(phase, digest, mutation_score)| SuiteSeen {
            phase,
            digest,
            mutation_score,
        });
    let decision = proptest::option::of(any::<bool>().prop_map(|promote| Decision {
        digest: "sha256:child".into(),
        promote,
    }));
    (
        children,
        synthesis,
        proptest::option::weighted(0.9, suite),
        decision,
    )
        .prop_map(|(children, synthesis, suite, decision)| Observed {
            children,
            synthesis,
            suite,
            decision,
            used_by: None,
        })
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = (0i64..300, prop::bool::weighted(0.15), 1i64..3, observed()).prop_map(
        |(seconds, suspend, generation, observed)| Step {
            seconds,
            suspend,
            generation,
            observed,
        },
    );
    proptest::collection::vec(step, 1..12)
}

/// The common part of the three kinds, for the properties below.
trait Kind:
    Plannable<Status: Clone + PartialEq + std::fmt::Debug + Serialize + DeserializeOwned> + Clone
{
    fn set(&mut self, status: &Self::Status, step: &Step);
    fn run(status: &Self::Status) -> &RunStatus;
    fn name() -> &'static str;
}

macro_rules! kind {
    ($kind:ident) => {
        impl Kind for $kind {
            fn set(&mut self, status: &Self::Status, step: &Step) {
                self.status = Some(status.clone());
                self.spec.run_policy.suspend = step.suspend;
                self.metadata.generation = Some(step.generation);
            }

            fn run(status: &Self::Status) -> &RunStatus {
                &status.run
            }

            fn name() -> &'static str {
                stringify!($kind)
            }
        }
    };
}
kind!(SynthesisJob);
kind!(CheckerSuite);
kind!(GRPORun);

fn resolved() -> Resolved {
    let endpoint = Endpoint {
        url: "http://qwen".into(),
        key_variable: Some("KEY".into()),
    };
    Resolved {
        domain: "/domain".into(),
        store: "s3://bucket".into(),
        endpoints: [("qwen".to_owned(), endpoint)].into(),
        recordings: None,
    }
}

fn hold<K: Kind>(mut object: K, fresh: K::Status, steps: &[Step]) -> Result<(), TestCaseError> {
    let mut status = fresh;
    let mut now = Timestamp::from_second(1_800_000_000).expect("a time");
    let mut elapsed = 0;
    for step in steps {
        now = now
            .checked_add(Duration::from_secs(step.seconds.unsigned_abs()))
            .expect("a time");
        elapsed += step.seconds.unsigned_abs();
        object.set(&status, step);
        let before = K::run(&status).clone();
        let plan: Plan<K::Status> = object.plan(&step.observed, now);
        let run = K::run(&plan.status);

        prop_assert_eq!(
            run.phase,
            Phase::of(&run.conditions),
            "the phase is what the conditions say"
        );
        for always in [c::ACCEPTED, c::PROGRESSING] {
            prop_assert!(
                c::get(&run.conditions, always).is_some(),
                "{always} is missing"
            );
        }
        for passing in [
            c::SUSPENDED,
            c::COMPLETE,
            c::FAILED,
            c::RECONCILING,
            c::STALLED,
        ] {
            prop_assert!(c::get(&run.conditions, passing).is_none_or(|c| c.status == "True"));
        }
        for was in &before.conditions {
            let same = c::get(&run.conditions, &was.type_).filter(|is| is.status == was.status);
            prop_assert!(
                same.is_none_or(|is| is.last_transition_time == was.last_transition_time),
                "the transition time of {} moves with its status only",
                was.type_
            );
        }
        prop_assert_eq!(run.observed_generation, Some(step.generation));
        prop_assert!(
            run.conditions
                .iter()
                .all(|c| c.observed_generation == Some(step.generation))
        );
        prop_assert!(
            run.active(now).as_secs() <= elapsed,
            "the clock is no faster than time"
        );
        for child in &plan.children {
            let assignment = child.assignment(0, &resolved(), "/work".into(), 0);
            let text = serde_json::to_vec(&assignment).expect("an assignment is written");
            let read = Assignment::parse(&text).expect("the worker reads what the plan wrote");
            prop_assert_eq!(read, assignment, "nothing is lost on the way to the worker");
            prop_assert_eq!(
                (child.owner.kind.as_str(), child.owner.name.as_str()),
                (K::name(), "courier"),
                "owner"
            );
            prop_assert!(
                child.name.starts_with("courier-") && child.name.len() <= 63 && child.shards >= 1
            );
        }
        if step.suspend || run.phase.is_terminal() {
            prop_assert!(
                plan.children.is_empty(),
                "{:?} wants {:?}",
                run.phase,
                plan.children
            );
        }
        if before.phase.is_terminal() {
            prop_assert_eq!(run.phase, before.phase, "terminal stays terminal");
            prop_assert_eq!(&run.completion_time, &before.completion_time);
            prop_assert!(events(&before, run).is_empty());
        }
        let text = serde_json::to_string(&plan.status).expect("a status is written");
        prop_assert!(text.len() < 16 * 1024, "{} bytes", text.len());
        let read: K::Status = serde_json::from_str(&text).expect("a status is read");
        prop_assert_eq!(
            &read,
            &plan.status,
            "a status survives being written and read"
        );

        object.set(&plan.status, step);
        let again = object.plan(&step.observed, now);
        prop_assert_eq!(&again, &plan, "planned again, nothing changes");
        status = plan.status;
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_synthesis_job_keeps_its_promises(steps in steps(), limit in 0u32..4, deadline in proptest::option::of(1u32..2000), ttl in proptest::option::of(0u32..500)) {
        let Manifest::SynthesisJob(mut job) = manifest(JOB) else { unreachable!() };
        job.spec.run_policy.backoff_limit = limit;
        job.spec.run_policy.active_deadline_seconds = deadline;
        job.spec.run_policy.ttl_seconds_after_finished = ttl;
        hold(*job, Default::default(), &steps)?;
    }

    #[test]
    fn a_checker_suite_keeps_its_promises(steps in steps(), limit in 0u32..4, scored in any::<bool>()) {
        let Manifest::CheckerSuite(mut suite) = manifest(SUITE) else { unreachable!() };
        suite.spec.run_policy.backoff_limit = limit;
        if scored {
            suite.spec.evaluate = vec![Default::default()];
        }
        hold(*suite, Default::default(), &steps)?;
    }

    #[test]
    fn a_grpo_run_keeps_its_promises(steps in steps(), limit in 0u32..4, ttl in proptest::option::of(0u32..500), servers in 0u32..3) {
        let Manifest::GRPORun(mut run) = manifest(RUN) else { unreachable!() };
        if servers > 0 {
            run.spec.topology.mode = TopologyMode::Disaggregated;
            run.spec.topology.rollouts = servers;
        }
        run.spec.run_policy.backoff_limit = limit;
        run.spec.run_policy.ttl_seconds_after_finished = ttl;
        hold(*run, Default::default(), &steps)?;
    }
}
