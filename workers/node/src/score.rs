//! The role `score`: how well models behind endpoints do on a qualified suite's held-out tasks, with the scripted user.

use std::sync::OnceLock;
use std::time::Duration;

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
use serde::{Deserialize, Serialize};

use crate::endpoints::Endpoints;
use crate::failure::Failure;
use crate::job::Job;

/// Held-out tasks that are played, at most.
const TASKS: usize = 200;
/// Tries of a task that a killed sandbox spoiled.
const TRIES: u32 = 3;
/// The pause after its first try.
const PAUSE: Duration = Duration::from_secs(1);

/// Scores every endpoint.
///
/// # Errors
/// [`Failure`]
pub fn run(job: &mut Job, work: &ScoreWork) -> Result<(), Failure> {
    let digest = work.digest.clone();
    let suite = QualifiedSuite::find(&job.store, &digest)?.ok_or_else(|| {
        Failure::Input(format!(
            "the store has no suite {digest}: delete the CheckerSuite (on a laptop its file in objects/) and apply it again"
        ))
    })?;
    let heldout = suite
        .instances
        .into_iter()
        .filter(|instance| instance.split == Split::Heldout);
    let tasks: Vec<Task> = heldout.map(|instance| instance.task).take(TASKS).collect();
    if tasks.is_empty() {
        let message =
            "the suite has no held-out task; give its source a share of the split heldout";
        return Err(Failure::Input(message.into()));
    }
    let mut ledger =
        Ledger::open(job.assignment.work.join("score.jsonl")).map_err(Failure::infra)?;
    let mut scores = Vec::new();
    for binding in &work.endpoints {
        let scored = play_all(job, &tasks, binding, &digest, &mut ledger)?;
        let judged: Vec<bool> = scored.iter().filter_map(Scored::passed).collect();
        if judged.is_empty() {
            return Err(Failure::Input(nothing(binding, &scored)));
        }
        let right = judged.iter().filter(|passed| **passed).count();
        scores.push(EndpointScore {
            endpoint: binding.endpoint.clone(),
            pass1: right as f64 / judged.len() as f64,
            tasks: judged.len() as u64,
            void: (scored.len() - judged.len()) as u64,
        });
    }
    job.finish(&QualifyReport {
        endpoints: scores,
        ..QualifyReport::default()
    })
}

/// The end of one task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Scored {
    /// The checkers' verdict.
    Passed(bool),
    /// It proves nothing about the model, for this reason: reasoning used up its tokens, a filter or the provider stopped it,
    /// or the user failed.
    Void(String),
}

impl Scored {
    /// Returns the verdict, where there is one.
    #[must_use]
    pub fn passed(&self) -> Option<bool> {
        match self {
            Self::Passed(passed) => Some(*passed),
            Self::Void(_) => None,
        }
    }
}

/// Says why an endpoint came to no verdict at all.
fn nothing(binding: &EndpointBinding, scored: &[Scored]) -> String {
    let why = scored.iter().find_map(|scored| match scored {
        Scored::Void(why) => Some(why.as_str()),
        Scored::Passed(_) => None,
    });
    format!(
        "endpoint {}: no task came to a verdict: {}",
        binding.endpoint,
        why.unwrap_or("there was none")
    )
}

/// Plays every task once with the model behind a binding and the scripted user, several at once, and returns their ends in
/// their order. What is finished lies in the ledger, under this suite's digest, and is not played again; what a model
/// answered in an unfinished task is kept in the work folder and not paid for twice.
///
/// # Errors
/// An endpoint that does not answer, or a request to stop.
pub fn play_all(
    job: &mut Job,
    tasks: &[Task],
    binding: &EndpointBinding,
    suite: &str,
    ledger: &mut Ledger,
) -> Result<Vec<Scored>, Failure> {
    let answers = format!("answers-{}", binding.endpoint);
    let client = Endpoints::open(&job.assignment, Meter::default())?
        .keeping(&job.assignment.work.join(answers))?
        .client(binding)?;
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
    let unread = OnceLock::new();
    runtime.block_on(async {
        let played = due.iter().map(|task| one(&players, task, &unread));
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
            if let Some(warning) = unread.get() {
                job.progress.warn(warning);
            }
            job.progress.at(done as u64);
        }
        Ok(())
    })?;
    let mut all = Vec::with_capacity(tasks.len());
    for task in tasks {
        let scored = ledger.get(&key(task)).map_err(Failure::infra)?;
        all.push(scored.unwrap_or_else(|| Scored::Void("it was not played".to_owned())));
    }
    Ok(all)
}

/// Plays one task, again when the sandbox is killed. What the model answered is not asked for again. The first warning about
/// calls that were not read goes to `unread`.
async fn one(
    players: &Players<'_>,
    task: &Task,
    unread: &OnceLock<String>,
) -> Result<Scored, Failure> {
    let item = format!("score/{}", task.id);
    let mut why = String::new();
    for tries in 0..TRIES {
        if tries > 0 {
            players
                .agent
                .rewind(&format!("{item}/"))
                .map_err(|error| Failure::from(&error))?;
            tokio::time::sleep(PAUSE * tries).await;
        }
        let rollout = players
            .play(task, &item)
            .await
            .map_err(|error| Failure::from(&error))?;
        if let Some(warning) = &rollout.unread {
            unread.get_or_init(|| warning.clone());
        }
        if let Some(reward) = rollout.reward() {
            return Ok(Scored::Passed(reward >= 1.0));
        }
        let cause = rollout.cause(task, None);
        why = cause.map(|(_, why)| why).unwrap_or_default();
        if rollout.spoiled().is_none() {
            tracing::warn!(task = task.id, "it proves nothing about the model: {why}");
            return Ok(Scored::Void(why));
        }
    }
    Err(Failure::Infra(format!(
        "task {}: {why}; run the same command again",
        task.id
    )))
}
