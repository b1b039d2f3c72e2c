//! The loop of an evaluation with scripted models, on the courier domain.
#![allow(clippy::unwrap_used)]

use std::future::pending;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use agoge_artifacts::evaluation::{Setting, count};
use agoge_llm::{Client, Endpoint, Meter};
use agoge_sandbox::Limits;
use agoge_store::Ledger;
use agoge_synthesis::evaluation::{Exam, Halt, Played};
use agoge_synthesis::rollout::{GREETING, Settings, Simulator, User};
use agoge_world::{Domain, Mix, Rules, SandboxBackend, Split, Task, World, tasks};

fn backend() -> (SandboxBackend, Vec<Task>) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/courier/domain");
    let mut world = World::open(Arc::new(Domain::load(&dir).unwrap()), Limits::default()).unwrap();
    let drawn = tasks(&mut world, Split::Heldout, Mix::EvenBranches, 3, 4).unwrap();
    (SandboxBackend::new(world), drawn)
}

/// A model that always says the same, and the number of times that it was asked.
fn says(text: &'static str) -> (Client, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    let client = Client::scripted(Arc::new(Meter::default()), move |_, _| {
        counted.fetch_add(1, Ordering::SeqCst);
        text.to_owned()
    });
    (client.unwrap(), asked)
}

fn exam<'a>(
    (backend, tasks): (&'a SandboxBackend, &'a [Task]),
    agent: &'a Client,
    user: &'a Client,
    judge: Option<&'a Client>,
) -> Exam<'a> {
    let settings = Settings {
        rules: Rules {
            max_turns: 3,
            ..Rules::default()
        },
        temperature: 0.7,
        ..Settings::default()
    };
    Exam {
        backend,
        tasks,
        trials: 2,
        concurrency: 2,
        agent,
        user: User::Simulator(Simulator {
            client: user,
            greeting: GREETING,
        }),
        judge,
        settings,
        key: &|task, trial| format!("{}#{trial}", task.id),
        item: &|task, trial| format!("{}#{trial}", task.id),
    }
}

async fn played(exam: &Exam<'_>, ledger: &mut Ledger) -> Result<Played, Halt> {
    exam.play(ledger, pending(), |_| ()).await
}

#[tokio::test]
async fn finished_trials_are_not_played_again_and_a_user_model_ends_the_dialogue() {
    let (backend, tasks) = backend();
    let ((agent, asked), (user, _)) = (says("I cannot do that."), says("Thank you. ###STOP###"));
    let dir = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(dir.path().join("episodes.jsonl")).unwrap();
    let exam = exam((&backend, &tasks), &agent, &user, None);
    let first = played(&exam, &mut ledger).await.unwrap();
    assert_eq!((first.episodes.len(), first.open.len()), (8, 0));
    // The user leaves with its first words: the agent never speaks, and nothing excuses it.
    assert_eq!(asked.load(Ordering::SeqCst), 0);
    assert!(first.episodes.iter().all(|(_, one)| one.reward.is_some()));
    let again = played(&exam, &mut ledger).await.unwrap();
    assert_eq!(again.episodes, first.episodes);
    let setting = Setting {
        trials: 2,
        ..Setting::default()
    };
    let record = count(setting, &tasks, &again.episodes);
    assert_eq!((record.pass.len(), record.pass[0].n), (2, 4));
    assert!(
        record
            .tasks
            .iter()
            .all(|task| task.trials == 2 && task.void == 0)
    );
}

#[tokio::test]
async fn a_user_that_goes_out_of_scope_proves_nothing() {
    let (backend, tasks) = backend();
    let ((agent, _), (user, _)) = (says("What do you want?"), says("###OUT-OF-SCOPE###"));
    let dir = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(dir.path().join("episodes.jsonl")).unwrap();
    let exam = exam((&backend, &tasks), &agent, &user, None);
    let ended = played(&exam, &mut ledger).await.unwrap();
    assert!(ended.episodes.iter().all(|(_, one)| one.reward.is_none()));
    let record = count(Setting::default(), &tasks, &ended.episodes);
    assert_eq!(record.void.values().sum::<usize>(), 8);
}

#[tokio::test]
async fn statements_are_judged_apart_and_a_judge_that_fails_leaves_trials_open() {
    let (backend, mut tasks) = backend();
    tasks.truncate(1);
    tasks[0].judge = vec!["The agent is polite.".into()];
    let ((agent, _), (user, _)) = (says("I cannot do that."), says("Thank you. ###STOP###"));
    let dir = tempfile::tempdir().unwrap();
    let down = Endpoint {
        patience: Duration::ZERO,
        ..Endpoint::new("http://127.0.0.1:9")
    };
    let down = Client::new(down, Arc::new(Meter::default())).unwrap();
    let mut ledger = Ledger::open(dir.path().join("episodes.jsonl")).unwrap();
    let at = (&backend, tasks.as_slice());
    let failed = played(&exam(at, &agent, &user, Some(&down)), &mut ledger)
        .await
        .unwrap();
    assert_eq!((failed.episodes.len(), failed.open.len()), (0, 2));
    assert!(failed.open[0].contains("judge"), "{:?}", failed.open);
    let (judge, _) = says("[{\"statement\": 1, \"met\": true, \"why\": \"it thanks\"}]");
    let judged = played(&exam(at, &agent, &user, Some(&judge)), &mut ledger)
        .await
        .unwrap();
    let record = count(Setting::default(), &tasks, &judged.episodes);
    assert_eq!(record.tasks[0].statements, Some((2, 2)));
    assert!(
        !record.tasks[0].breakdown.contains_key("judge"),
        "{record:?}"
    );
}

#[tokio::test]
async fn an_evaluation_that_is_asked_to_stop_ends_at_once() {
    let (backend, tasks) = backend();
    let ((agent, _), (user, _)) = (says("I cannot do that."), says("Thank you. ###STOP###"));
    let dir = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(dir.path().join("episodes.jsonl")).unwrap();
    let exam = exam((&backend, &tasks), &agent, &user, None);
    let ended = exam.play(&mut ledger, async {}, |_| ()).await;
    assert!(matches!(ended, Err(Halt::Stopped)));
}
