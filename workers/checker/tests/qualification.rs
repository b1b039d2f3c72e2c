//! Checkers planted to be weak, flaky, slow or too strict are quarantined with the reason; sound ones qualify.
#![allow(clippy::unwrap_used)]
use agoge_checker::{
    Cause, Evidence, Gold, Judge, Plausible, Qualification, Thresholds, Verdict, attribute, check,
    qualify, qualify_by, qualify_suite,
};
use agoge_dialogue::Message;
use agoge_sandbox::Limits;
use agoge_world::{Domain, Episode, Mix, Split, Task, ToolResult, World, tasks};
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

const SEED: u64 = 7;

fn courier() -> Arc<Domain> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/courier/domain");
    Arc::new(Domain::load(&dir).unwrap())
}

fn open(domain: &Arc<Domain>) -> World {
    World::open(domain.clone(), Limits::default()).unwrap()
}

fn drawn(world: &mut World, n: usize) -> Vec<Task> {
    tasks(world, Split::TrainRl, Mix::EvenBranches, SEED, n).unwrap()
}

/// A task whose gold changes a record.
fn acting(world: &mut World) -> Task {
    let all = drawn(world, 40);
    all.into_iter()
        .find(|task| Gold::of(world, task).unwrap().acts())
        .unwrap()
}

fn with_script(task: &Task, body: &str) -> Task {
    let checker = Some(format!("def check(calls, messages):\n{body}\n"));
    Task {
        checker,
        ..task.clone()
    }
}

fn said(task: &Task) -> Vec<Message> {
    vec![Message::assistant(&task.outputs.join(" ; "))]
}

#[test]
fn every_template_task_of_courier_qualifies() {
    let domain = courier();
    let mut world = open(&domain);
    let all = drawn(&mut world, 120);
    let (suite, found) = qualify_suite(
        &domain,
        &all,
        SEED,
        &Thresholds::default(),
        Limits::default(),
        2,
        &|_| (),
    )
    .unwrap();
    println!("{}", serde_json::to_string_pretty(&suite).unwrap());
    let few: Vec<_> = found
        .iter()
        .filter(|q| q.mutants.tried < 20)
        .map(|q| &q.task)
        .collect();
    println!("fewer than 20 mutants: {few:?}");
    assert_eq!(suite.quarantined, []);
    let warned: Vec<_> = found.iter().flat_map(|q| &q.warnings).collect();
    assert!(warned.is_empty(), "{warned:?}");
    assert!(suite.mutation_score >= 0.9);
    assert!(few.is_empty());
    let alone = qualify_suite(
        &domain,
        &all[..20],
        SEED,
        &Thresholds::default(),
        Limits::default(),
        1,
        &|_| (),
    )
    .unwrap();
    for (one, other) in alone.1.iter().zip(&found) {
        let timeless = |q: &Qualification| Qualification {
            p95_ms: 0.0,
            ..q.clone()
        };
        assert_eq!(
            timeless(one),
            timeless(other),
            "the answer depends on threads"
        );
    }
    assert_ne!(alone.0.digest, suite.digest);
}

#[test]
fn a_check_that_is_always_true_scores_zero_and_is_quarantined() {
    let mut world = open(&courier());
    let task = with_script(&acting(&mut world), "    return True");
    let task = Task {
        outputs: vec![],
        ..task
    };
    let found = qualify(&mut world, &task, SEED, &Thresholds::default()).unwrap();
    assert!(!found.qualified && !found.empty);
    assert_eq!((found.mutants.killed, found.mutation_score()), (0, 0.0));
    assert!(found.mutants.tried >= 20);
    let reason = found.reason.unwrap();
    assert!(
        reason.contains("mutation score 0.00") && reason.contains("empty"),
        "{reason}"
    );
}

#[test]
fn a_check_that_holds_reading_twice_against_the_agent_is_quarantined() {
    let mut world = open(&courier());
    let all = drawn(&mut world, 60);
    let reads = |world: &mut World, task: &Task| {
        let first = task.gold.first().cloned();
        let alone = Task {
            gold: first.into_iter().collect(),
            ..task.clone()
        };
        let gold = Gold::of(world, task).unwrap();
        gold.acts() && Gold::of(world, &alone).is_ok_and(|g| !g.acts())
    };
    let task = all.into_iter().find(|t| reads(&mut world, t)).unwrap();
    let strict = with_script(
        &task,
        &format!("    return len(calls) == {}", task.gold.len()),
    );
    let found = qualify(&mut world, &strict, SEED, &Thresholds::default()).unwrap();
    assert!(!found.equivalent_paths, "{found:?}");
    assert!(!found.qualified);
}

#[test]
fn a_flaky_judge_is_quarantined() {
    let mut world = open(&courier());
    let task = acting(&mut world);
    let plausible = Plausible::of(world.domain());
    let mut turn = 0;
    let mut judge = |world: &mut World, _: &Gold, episode: &Episode, messages: &[Message]| {
        turn += 1;
        let sound = check(world, &task, episode, messages);
        Verdict {
            pass: sound.pass && turn % 4 != 2,
            ..sound
        }
    };
    let thresholds = Thresholds::default();
    let found = qualify_by(&mut world, &task, &plausible, SEED, &thresholds, &mut judge);
    let found = found.unwrap();
    assert!(found.flake && !found.qualified);
    assert!(found.reason.unwrap().contains("disagree"));
}

#[test]
fn a_run_that_the_sandbox_loses_is_no_verdict_and_quarantines_nothing() {
    let mut world = open(&courier());
    let task = acting(&mut world);
    let mut episode = Gold::of(&mut world, &task).unwrap().episode;
    let (_, result) = episode.calls.last_mut().unwrap();
    *result = ToolResult {
        content: "the machine is too busy".into(),
        error: true,
        killed: true,
        lost: true,
        ..ToolResult::default()
    };
    let lost = check(&mut world, &task, &episode, &said(&task));
    assert!(!lost.pass && !lost.is_about_the_agent(), "{lost:?}");
    let evidence = Evidence {
        task: &task,
        verdict: &lost,
        episode: &episode,
        user_faults: &[],
        infra: None,
        qualification: None,
    };
    assert_eq!(attribute(&evidence).unwrap().0, Cause::Infra);

    let (plausible, thresholds) = (Plausible::of(world.domain()), Thresholds::default());
    for failing in [1, 2, 9] {
        let mut turn = 0;
        let mut judge = |world: &mut World, _: &Gold, episode: &Episode, messages: &[Message]| {
            turn += 1;
            match turn == failing {
                true => lost.clone(),
                false => check(world, &task, episode, messages),
            }
        };
        let found = qualify_by(&mut world, &task, &plausible, SEED, &thresholds, &mut judge);
        assert!(found.unwrap_err().to_string().contains("too busy"));
    }
}

#[test]
fn a_check_that_meets_a_limit_is_a_verdict_of_its_own_and_quarantined() {
    let limits = Limits {
        cpu: Duration::from_millis(200),
        ..Limits::default()
    };
    let mut world = World::open(courier(), limits).unwrap();
    let task = acting(&mut world);
    for endless in [
        "    while True:\n        pass",
        "    return [0] * 10**11 == []",
    ] {
        let task = with_script(&task, endless);
        let gold = Gold::of(&mut world, &task).unwrap();
        let verdict = check(&mut world, &task, &gold.episode, &said(&task));
        assert!(!verdict.pass && verdict.killed.is_some(), "{verdict:?}");
        let found = qualify(&mut world, &task, SEED, &Thresholds::default()).unwrap();
        assert!(!found.limits && !found.qualified);
        assert!(found.reason.unwrap().contains("killed"));
        let evidence = Evidence {
            task: &task,
            verdict: &verdict,
            episode: &gold.episode,
            user_faults: &[],
            infra: None,
            qualification: None,
        };
        assert_eq!(attribute(&evidence).unwrap().0, Cause::Infra);
    }
}

#[test]
fn a_sound_generated_check_qualifies_and_its_verdict_names_the_failed_part() {
    let mut world = open(&courier());
    let task = acting(&mut world);
    let gold = Gold::of(&mut world, &task).unwrap();
    let wanted: Value = gold
        .changes
        .iter()
        .map(|c| serde_json::json!([c.collection, c.id, c.field, c.before, c.after]))
        .collect();
    let wanted = serde_json::to_string(&wanted.to_string()).unwrap();
    let body = format!(
        "    wanted = json.loads({wanted})\n    got = [[c[\"collection\"], c[\"id\"], c[\"field\"], c[\"before\"], c[\"after\"]] for c in diff()]\n    return {{\"state\": {{\"pass\": got == wanted, \"evidence\": f\"got {{got}}\"}}}}"
    );
    let mut task = with_script(&task, &body);
    task.checker = task.checker.map(|source| format!("import json\n{source}"));
    let found = qualify(&mut world, &task, SEED, &Thresholds::default()).unwrap();
    assert!(found.qualified, "{found:?}");
    let nothing = check(&mut world, &task, &Episode::default(), &[]);
    assert!(
        nothing.why().contains("script.state: got []"),
        "{}",
        nothing.why()
    );
    let evidence = Evidence {
        task: &task,
        verdict: &nothing,
        episode: &Episode::default(),
        user_faults: &[],
        infra: None,
        qualification: Some(&found),
    };
    let (cause, why) = attribute(&evidence).unwrap();
    assert_eq!(cause, Cause::Trajectory);
    assert!(why.starts_with("made no call"), "{why}");
}

#[test]
#[ignore = "a measurement: cargo test --release -p agoge-checker -- --ignored --nocapture"]
fn how_many_checks_a_second() {
    let domain = courier();
    let mut world = open(&domain);
    let all = drawn(&mut world, 100);
    let golds: Vec<Gold> = all
        .iter()
        .map(|t| Gold::of(&mut world, t).unwrap())
        .collect();
    let mut judge = Judge::new();
    let mut timed =
        |name: &str, rounds: usize, run: &mut dyn FnMut(&mut World, &mut Judge, usize)| {
            let start = Instant::now();
            for i in 0..rounds {
                run(&mut world, &mut judge, i % all.len());
            }
            println!(
                "{name}: {:.0}/s",
                rounds as f64 / start.elapsed().as_secs_f64()
            );
        };
    timed("gold replay and check", 300, &mut |world, _, i| {
        check(world, &all[i], &golds[i].episode, &said(&all[i]));
    });
    timed(
        "check with remembered gold",
        20_000,
        &mut |world, judge, i| {
            assert!(
                judge
                    .check(world, &all[i], &golds[i].episode, &said(&all[i]))
                    .pass
            );
        },
    );
    let scripted: Vec<Task> = all
        .iter()
        .map(|t| with_script(t, "    return len(diff()) >= 0 and len(calls) >= 0"))
        .collect();
    timed("check with a script", 1_000, &mut |world, judge, i| {
        judge.check(world, &scripted[i], &golds[i].episode, &said(&scripted[i]));
    });
}
