//! The role `score`: how well models behind endpoints do on a qualified suite's held-out tasks, with the scripted user or with a
//! model as the user. The loop is [`agoge_synthesis::evaluation`], as at the command line.

use std::collections::BTreeMap;
use std::sync::Arc;

use agoge_artifacts::evaluation::{Benchmark, Evaluation};
use agoge_artifacts::{QualifiedSuite, Stored as _};
use agoge_checker::JUDGING;
use agoge_checker::passk::copies;
use agoge_contract::ScoreWork;
use agoge_crds::checker_suite::EndpointScore;
use agoge_crds::report::QualifyReport;
use agoge_crds::shared::EndpointBinding;
use agoge_crds::suite_evaluation::SuiteEvaluation;
use agoge_llm::{Client, Meter};
use agoge_sandbox::Limits;
use agoge_store::{Artifact, Ledger};
use agoge_synthesis::evaluation::{Exam, Halt, Played, SEVERAL, Urls, baseline, has_script, rules};
use agoge_synthesis::rollout::{Calls, GREETING, Settings, Simulator, User};
use agoge_world::{Domain, DomainLimits, SandboxBackend, Split, Task, ToolBackend as _, World};

use crate::endpoints::Endpoints;
use crate::failure::Failure;
use crate::job::Job;

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
    let terms = work
        .evaluation
        .clone()
        .unwrap_or_else(|| SuiteEvaluation::of(work.endpoints.clone()));
    let heldout = suite
        .instances
        .into_iter()
        .filter(|instance| instance.split == Split::Heldout);
    let tasks: Vec<Task> = heldout
        .map(|instance| instance.task)
        .take(terms.tasks as usize)
        .collect();
    if tasks.is_empty() {
        let message =
            "the suite has no held-out task; give its source a share of the split heldout";
        return Err(Failure::Input(message.into()));
    }
    let mut ledger =
        Ledger::open(job.assignment.work.join("score-episodes.jsonl")).map_err(Failure::infra)?;
    let domain = job.domain()?;
    let mut scores = Vec::new();
    for binding in &terms.agents {
        let record = evaluate(job, &domain, &tasks, binding, &terms, &digest, &mut ledger)?;
        scores.push(scored(job, binding, &record)?);
    }
    job.finish(&QualifyReport {
        endpoints: scores,
        ..QualifyReport::default()
    })
}

/// Keeps the record of an endpoint in the store, and returns its figures for the status.
fn scored(
    job: &Job,
    binding: &EndpointBinding,
    record: &Evaluation,
) -> Result<EndpointScore, Failure> {
    let Some(first) = record.pass.first().filter(|first| first.n > 0) else {
        return Err(Failure::Input(nothing(binding, record)));
    };
    let object = record.put(&job.store)?;
    let inputs = [
        (
            "suite",
            record.benchmark.suite_digest.clone().unwrap_or_default(),
        ),
        ("endpoint", binding.endpoint.clone()),
        ("model", binding.model.clone().unwrap_or_default()),
    ];
    let inputs: BTreeMap<String, String> =
        inputs.map(|(name, value)| (name.to_owned(), value)).into();
    let name = format!("{} {}", record.benchmark.name, binding.endpoint);
    let kept = Artifact::new(Evaluation::KIND, name, object.clone(), inputs);
    job.store.put_artifact(&kept)?;
    let several = record.trials > 1;
    let last = |all: &[agoge_checker::passk::Estimate]| {
        all.last()
            .filter(|one| several && one.n > 0)
            .map(|one| one.value)
    };
    Ok(EndpointScore {
        endpoint: binding.endpoint.clone(),
        pass1: first.value,
        low: Some(first.low),
        high: Some(first.high),
        trials: several.then_some(record.trials),
        pass_k: last(&record.pass),
        pass_any: last(&record.pass_any),
        empty: record.baselines.get("empty").map(|empty| empty.value),
        record: Some(object.to_string()),
        tasks: first.n as u64,
        void: record.void.values().sum::<usize>() as u64,
    })
}

/// Says why an endpoint came to no verdict at all.
fn nothing(binding: &EndpointBinding, record: &Evaluation) -> String {
    let why = record.void.keys().next();
    format!(
        "endpoint {}: no task came to a verdict: {}",
        binding.endpoint,
        why.map_or("there was none", String::as_str)
    )
}

/// Plays every trial of every task with the model behind a binding, several at once, and returns the record. What is finished
/// lies in the ledger, under this suite's digest, and is not played again; what a model answered in an unfinished episode is kept
/// in the work folder and not paid for twice.
///
/// # Errors
/// An endpoint that does not answer, or a request to stop.
pub fn evaluate(
    job: &mut Job,
    domain: &Arc<Domain>,
    tasks: &[Task],
    binding: &EndpointBinding,
    terms: &SuiteEvaluation,
    suite: &str,
    ledger: &mut Ledger,
) -> Result<Evaluation, Failure> {
    let models = Models::open(job, binding, terms)?;
    let settings = settings(domain, binding, terms);
    check(tasks, binding, terms, &settings)?;
    let backend = SandboxBackend::new(World::open(domain.clone(), Limits::default())?);
    backend
        .require("scoring", JUDGING)
        .map_err(Failure::input)?;
    let prefix = prefix(suite, binding, terms);
    let exam = Exam {
        backend: &backend,
        tasks,
        trials: terms.trials,
        concurrency: models.agent.concurrency(),
        agent: &models.agent,
        user: match &models.user {
            None => User::Scripted,
            Some(client) => User::Simulator(Simulator {
                client,
                greeting: terms.greeting.as_deref().unwrap_or(GREETING),
            }),
        },
        judge: models.judge.as_ref(),
        settings,
        key: &|task, trial| key(&prefix, task, trial),
        item: &|task, trial| key("score", task, trial),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::infra)?;
    let played = play(job, &runtime, &exam, &binding.endpoint, ledger)?;
    let baselines = runtime.block_on(baseline::all(&backend, tasks, &exam.settings.rules));
    let url = |binding: &EndpointBinding| address(job, binding);
    let urls = Urls {
        agent: url(binding),
        user: terms.user.as_ref().map(url).unwrap_or_default(),
        judge: terms.judge.as_ref().map(url).unwrap_or_default(),
    };
    let benchmark = Benchmark {
        name: domain.name.clone(),
        split: Split::Heldout.as_str().to_owned(),
        suite_digest: Some(suite.to_owned()),
        ..Benchmark::default()
    };
    Ok(exam.record(benchmark, &urls, &binding.extra_body, &played, &baselines))
}

/// The name of a trial: the task's, with the number of every trial but the first.
fn key(prefix: &str, task: &Task, trial: u32) -> String {
    match trial {
        0 => format!("{prefix}/{}", task.id),
        _ => format!("{prefix}/{}#{trial}", task.id),
    }
}

/// Returns all that tells the episodes of one evaluation from those of another in the ledger.
fn prefix(suite: &str, binding: &EndpointBinding, terms: &SuiteEvaluation) -> String {
    let own = SuiteEvaluation {
        agents: vec![binding.clone()],
        trials: 1,
        tasks: 1,
        ..terms.clone()
    };
    let text = serde_json::to_string(&own).unwrap_or_default();
    let digest = agoge_store::Digest::of(text.as_bytes());
    format!("{suite}/{}/{}", binding.endpoint, digest.short())
}

/// The models of one evaluation.
struct Models {
    agent: Client,
    user: Option<Client>,
    judge: Option<Client>,
}

impl Models {
    fn open(job: &Job, agent: &EndpointBinding, terms: &SuiteEvaluation) -> Result<Self, Failure> {
        let answers = format!("answers-{}", agent.endpoint);
        let endpoints = Endpoints::open(&job.assignment, Meter::default())?
            .keeping(&job.assignment.work.join(answers))?;
        let other = |binding: &Option<EndpointBinding>| {
            binding
                .as_ref()
                .map(|one| endpoints.client(one))
                .transpose()
        };
        Ok(Self {
            agent: endpoints.client(agent)?,
            user: other(&terms.user)?,
            judge: other(&terms.judge)?,
        })
    }
}

fn settings(domain: &Domain, binding: &EndpointBinding, terms: &SuiteEvaluation) -> Settings {
    let wanted = DomainLimits {
        turns: terms.max_turns,
        agent_tokens: terms.max_tokens,
        user_tokens: terms.max_user_tokens,
    };
    let user = terms.user.as_ref();
    let default = if terms.trials > 1 { SEVERAL } else { 0.0 };
    Settings {
        rules: rules(domain, wanted, user.is_some()),
        temperature: binding.temperature.unwrap_or(default),
        user_temperature: user.and_then(|user| user.temperature).unwrap_or(0.0),
        seed: terms.seed,
        calls: match terms.native_calls {
            true => Calls::Native,
            false => Calls::Fenced,
        },
    }
}

/// Refuses trials that repeat each other, and a scripted user for tasks that have no script.
fn check(
    tasks: &[Task],
    binding: &EndpointBinding,
    terms: &SuiteEvaluation,
    settings: &Settings,
) -> Result<(), Failure> {
    let mut temperatures = vec![settings.temperature];
    if terms.user.is_some() {
        temperatures.push(settings.user_temperature);
    }
    if terms.trials > 1 && copies(&temperatures) {
        return Err(Failure::Input(format!(
            "spec.evaluation.trials is {}, and the endpoint {} at temperature 0 repeats one trial; leave its temperature out, or \
             set it above 0",
            terms.trials, binding.endpoint
        )));
    }
    match tasks.iter().find(|task| !has_script(task)) {
        Some(task) if terms.user.is_none() => Err(Failure::Input(format!(
            "the task {} has no script of a user (user.opening is empty); name a model that plays the user in \
             spec.evaluation.user",
            task.id
        ))),
        _ => Ok(()),
    }
}

/// Plays what is due, with progress.
fn play(
    job: &mut Job,
    runtime: &tokio::runtime::Runtime,
    exam: &Exam<'_>,
    endpoint: &str,
    ledger: &mut Ledger,
) -> Result<Played, Failure> {
    let total = exam.tasks.len() as u64 * u64::from(exam.trials);
    let due = agoge_synthesis::evaluation::trials(exam.tasks.len(), exam.trials)
        .filter(|(at, trial)| !ledger.contains(&(exam.key)(&exam.tasks[*at], *trial)))
        .count() as u64;
    let mut done = total - due;
    job.progress
        .stage(&format!("scoring {endpoint}"), "episodes", total);
    let stop = job.stop.clone();
    let progress = &mut job.progress;
    let played = runtime.block_on(exam.play(ledger, stop.requested(), |episode| {
        if let Some(warning) = episode.and_then(|episode| episode.unread.as_ref()) {
            progress.warn(warning);
        }
        done += 1;
        progress.at(done);
    }));
    let played = played.map_err(|halt| match halt {
        Halt::Stopped => Failure::Stopped,
        Halt::Ledger(error) => Failure::infra(error),
        Halt::Endpoint(error) => Failure::from(&*error),
    })?;
    match played.open.last() {
        None => Ok(played),
        Some(why) => Err(Failure::Infra(format!(
            "{} episodes are not played: {why}; run the same command again",
            played.open.len()
        ))),
    }
}

/// Returns the address of a binding, where the driver resolved one.
fn address(job: &Job, binding: &EndpointBinding) -> String {
    let resolved = job.assignment.endpoints.get(&binding.endpoint);
    resolved.map(|one| one.url.clone()).unwrap_or_default()
}
