//! The role `score`: how well models behind endpoints do on a qualified suite's held-out tasks, with the scripted user.

use agoge_artifacts::QualifiedSuite;
use agoge_checker::{JUDGING, Judge};
use agoge_contract::ScoreWork;
use agoge_crds::checker_suite::EndpointScore;
use agoge_crds::report::QualifyReport;
use agoge_crds::shared::EndpointBinding;
use agoge_llm::Meter;
use agoge_sandbox::Limits;
use agoge_store::Ledger;
use agoge_synthesis::rollout::{Players, Settings, User};
use agoge_world::{SandboxBackend, Split, Task, ToolBackend as _, World};
use futures::StreamExt;
use parking_lot::Mutex;

use crate::endpoints::Endpoints;
use crate::failure::Failure;
use crate::job::Job;

/// Held-out tasks that are played, at most.
const TASKS: usize = 200;
/// Tries of a task that an endpoint spoiled.
const TRIES: usize = 3;

/// Scores every endpoint.
///
/// # Errors
/// [`Failure`]
pub fn run(job: &mut Job, work: &ScoreWork) -> Result<(), Failure> {
    let digest = work.digest.clone();
    let suite = QualifiedSuite::find(&job.store, &digest)?.ok_or_else(|| {
        Failure::Input(format!(
            "the store has no suite {digest}: the CheckerSuite has to qualify again"
        ))
    })?;
    let heldout = suite
        .instances
        .into_iter()
        .filter(|instance| instance.split == Split::Heldout);
    let tasks: Vec<Task> = heldout.map(|instance| instance.task).take(TASKS).collect();
    if tasks.is_empty() {
        let message = "the suite has no held-out task; give the strategy template a share of the split heldout";
        return Err(Failure::Input(message.into()));
    }
    let mut ledger =
        Ledger::open(job.assignment.work.join("score.jsonl")).map_err(Failure::infra)?;
    let mut scores = Vec::new();
    for binding in &work.endpoints {
        let passed = play_all(job, &tasks, binding, &digest, &mut ledger)?;
        let right = passed.iter().filter(|passed| **passed).count();
        scores.push(EndpointScore {
            endpoint: binding.endpoint.clone(),
            pass1: right as f64 / tasks.len() as f64,
            tasks: tasks.len() as u64,
        });
    }
    job.finish(&QualifyReport {
        endpoints: scores,
        ..QualifyReport::default()
    })
}

/// Plays every task once with the model behind a binding and the scripted user, several at once; whether each passed, in
/// their order. What is finished lies in the ledger, under this suite's digest, and is not played again.
///
/// # Errors
/// An endpoint that does not answer, or a request to stop.
pub fn play_all(
    job: &mut Job,
    tasks: &[Task],
    binding: &EndpointBinding,
    suite: &str,
    ledger: &mut Ledger,
) -> Result<Vec<bool>, Failure> {
    let client = Endpoints::open(&job.assignment, Meter::default())?.client(binding)?;
    let model = binding.model.as_deref().unwrap_or_default();
    let prefix = format!("{suite}/{}/{model}", binding.endpoint);
    let settings = Settings {
        temperature: binding.temperature.unwrap_or(0.0),
        ..Settings::default()
    };
    let backend = SandboxBackend::new(World::open(job.domain()?, Limits::default())?);
    backend
        .require("scoring", JUDGING)
        .map_err(Failure::input)?;
    let players = Players {
        backend: &backend,
        judge: &Mutex::new(Judge::new()),
        agent: &client,
        user: User::Scripted,
        settings: &settings,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::infra)?;
    let key = |task: &Task| format!("{prefix}/{}", task.id);
    let due: Vec<&Task> = tasks
        .iter()
        .filter(|task| !ledger.contains(&key(task)))
        .collect();
    let stage = format!("scoring {}", binding.endpoint);
    job.progress.stage(&stage, "tasks", tasks.len() as u64);
    let mut done = tasks.len() - due.len();
    runtime.block_on(async {
        let played = due.iter().map(|task| one(&players, task));
        let mut played = futures::stream::iter(played).buffered(client.concurrency());
        for task in &due {
            let passed = tokio::select! {
                biased;
                () = job.stop.requested() => return Err(Failure::Stopped),
                passed = played.next() => passed,
            };
            let Some(passed) = passed else {
                break;
            };
            ledger
                .append(&key(task), &passed?)
                .map_err(Failure::infra)?;
            done += 1;
            job.progress.at(done as u64);
        }
        Ok(())
    })?;
    let passed = |task: &Task| {
        ledger
            .get::<bool>(&key(task))
            .map(|passed| passed == Some(true))
    };
    tasks
        .iter()
        .map(passed)
        .collect::<Result<_, _>>()
        .map_err(Failure::infra)
}

/// Plays one task; whether it passed. What an endpoint spoils is played again.
async fn one(players: &Players<'_>, task: &Task) -> Result<bool, Failure> {
    let mut why = String::new();
    for _ in 0..TRIES {
        let item = format!("score/{}", task.id);
        let rollout = players
            .play(task, &item)
            .await
            .map_err(|error| Failure::from(&error))?;
        if let Some(reward) = rollout.reward() {
            return Ok(reward >= 1.0);
        }
        why = rollout
            .cause(task, None)
            .map(|(_, why)| why)
            .unwrap_or_default();
    }
    Err(Failure::Infra(format!(
        "task {}: {why}; see that the endpoint runs, and run the same command again",
        task.id
    )))
}
