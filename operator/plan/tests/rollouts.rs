//! Rollout servers beside a trainer: wanted while their stage is, and nothing of the trainer depends on how they are.

mod common;

use agoge_contract::{Role, RolloutHosts, TrainStage, TrainWork, Work};
use agoge_crds::conditions as c;
use agoge_crds::grpo_run::{Arm, StageStatus, TopologyMode};
use agoge_crds::{GRPORun, GRPORunStatus, Phase};
use agoge_plan::{Child, ChildState, Observed, Plan, Plannable, Seen};
use common::*;
use serde_json::{Value, json};

fn running(progress: Value) -> ChildState {
    running_as(Role::Train, &progress)
}

fn done(result: Value) -> ChildState {
    done_as(Role::Train, &result)
}

/// A run whose next stage is GRPO, with three servers.
fn apart() -> GRPORun {
    let mut run = run();
    run.spec.topology.mode = TopologyMode::Disaggregated;
    run.spec.topology.rollouts = 3;
    let done = |stage: TrainStage| (stage.as_str().to_owned(), StageStatus::default());
    let before = [
        TrainStage::UserSft,
        TrainStage::CertifyUser,
        TrainStage::AgentSft,
    ];
    run.status = Some(GRPORunStatus {
        stages: before.map(done).into(),
        ..GRPORunStatus::default()
    });
    run
}

fn observe(states: &[(&str, u32, ChildState)]) -> Observed {
    Observed {
        suite: ready("sha256:q", 0.97),
        ..seen(states)
    }
}

fn trainer(plan: &Plan<GRPORunStatus>) -> &Child {
    &plan.children[0]
}

fn work(child: &Child) -> &TrainWork {
    match &child.work {
        Work::Train(work) | Work::Rollout(work) => work,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_stage_that_plays_has_a_trainer_that_knows_where_its_servers_are_and_other_stages_have_none() {
    let mut run = apart();
    run.spec.stages.evaluation.arms = vec![Arm::GrpoUnfiltered];
    let mut observed = observe(&[]);
    let mut wanted = vec![];
    for second in 0..9 {
        let plan = step_run(&mut run, &observed, second);
        let Some(first) = plan.children.first() else {
            break;
        };
        wanted.push(keys(&plan).join(" "));
        if let [trainer, servers] = plan.children.as_slice() {
            assert_eq!((servers.role(), servers.shards), (Role::Rollout, 3));
            assert_eq!(servers.name, "courier-rollout");
            let hosts = RolloutHosts {
                hosts: vec!["courier-rollout:29500".into()],
                servers: 3,
            };
            assert_eq!(work(trainer).rollouts, Some(hosts));
            assert_eq!(work(servers).settings, work(trainer).settings);
        } else {
            assert_eq!(work(first).rollouts, None);
        }
        let state = done(json!({ "step": 4, "seconds": 9.0, "digest": "sha256:x" }));
        let attempt = first.attempt;
        observed
            .children
            .insert(first.key.clone(), Seen { attempt, state });
    }
    let all = ["grpo rollout", "grpo-unfiltered rollout", "evaluate"];
    assert_eq!(wanted, all);
    assert_eq!(run.status.unwrap().run.phase, Phase::Complete);

    let mut together = apart();
    together.spec.topology.mode = TopologyMode::Colocated;
    let plan = together.plan(&observe(&[]), at(0));
    assert_eq!(keys(&plan), ["grpo"]);
    assert_eq!(work(trainer(&plan)).rollouts, None);
}

#[test]
fn servers_that_are_absent_or_fail_change_nothing_of_the_trainer_and_are_counted_like_any_child() {
    let mut run = apart();
    let runs = ("grpo", 0, running(json!({ "done": 2, "total": 9 })));
    let plan = step_run(&mut run, &observe(std::slice::from_ref(&runs)), 0);
    let before = trainer(&plan).clone();
    let lost = ("rollout", 0, failed("Crashed", true));
    let plan = step_run(&mut run, &observe(&[runs.clone(), lost.clone()]), 1);
    assert_eq!(*trainer(&plan), before);
    assert_eq!(plan.status.run.phase, Phase::Running);
    assert_eq!(plan.status.run.failures(), 1);
    assert_eq!(plan.status.restarts, 1);

    // After the pause they begin again under another name, and are found under the same.
    let plan = step_run(&mut run, &observe(std::slice::from_ref(&runs)), 60);
    assert_eq!(*trainer(&plan), before);
    let servers = &plan.children[1];
    assert_eq!(
        (servers.name.as_str(), servers.service().as_str()),
        ("courier-rollout-1", "courier-rollout")
    );

    let mut bad = apart();
    let lost = ("rollout", 0, failed("BadInput", false));
    let plan = step_run(&mut bad, &observe(&[runs.clone(), lost]), 1);
    assert_eq!(
        condition(&plan.status.run.conditions, c::FAILED).reason,
        "BadInput"
    );
}

#[test]
fn the_trainer_alone_ends_the_stage_and_a_suspended_run_wants_neither() {
    let mut run = apart();
    let servers = ("rollout", 0, running(json!({ "done": 40 })));
    let runs = ("grpo", 0, running(json!({ "done": 2 })));
    let both = observe(&[runs, servers.clone()]);
    assert_eq!(keys(&step_run(&mut run, &both, 0)), ["grpo", "rollout"]);

    let mut asleep = run.clone();
    asleep.spec.run_policy.suspend = true;
    let plan = asleep.plan(&both, at(1));
    assert!(plan.children.is_empty());
    let plan = asleep.plan(&observe(&[]), at(2));
    assert_eq!(plan.status.run.phase, Phase::Suspended);

    // A trainer that failed is waited for by servers that stay.
    let mut again = run.clone();
    let broken = ("grpo", 0, failed("RolloutsDown", true));
    step_run(&mut again, &observe(&[broken, servers.clone()]), 2);
    let plan = step_run(&mut again, &observe(std::slice::from_ref(&servers)), 3);
    assert_eq!(keys(&plan), ["rollout"]);

    let ended = ("grpo", 0, done(json!({ "step": 9, "seconds": 5.0 })));
    let plan = step_run(&mut run, &observe(&[ended, servers]), 4);
    assert_eq!(keys(&plan), ["sft-continued"]);
}
