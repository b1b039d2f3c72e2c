//! The engine: runs a strategy's attempts, and owns everything that strategies share.
//!
//! 1. Attempts run at once, each on a task of its own, and are committed to the job ledger in the order of items. A
//!    committed item is never made again; what was in flight when a job was killed is made anew, and the answers that
//!    models had given to it are taken from where they were kept.
//! 2. At the commit an instance passes the novelty gate: an instance that asks for the same as an earlier one is rejected.
//! 3. A strategy without a plan gets its list of items, and another item for every one that was rejected. A strategy with a
//!    plan runs in generations: pilot, rollouts, and the decision about the plan.
//! 4. The meter of the clients holds the worker's share of the budget. It stops the job with what there is, and is exceeded
//!    by no more than the requests in flight.
//!
//! The result does not depend on how many attempts run at once, as long as no budget ends the job. With `deterministic` it
//! does not depend on it at all: a job with a bound of tokens or dollars then makes one attempt at a time.

mod decide;
mod generations;
mod ledger;
mod list;
mod novelty;
mod outcome;
mod rollouts;
mod settings;
mod tally;

use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use agoge_artifacts::{Attempt, Gate};
use agoge_backoff::Backoff;
use agoge_checker::{Cause, JUDGING, Judge, Plausible};
use agoge_crds::report::SynthesisReport;
use agoge_crds::shared::Part;
use agoge_llm::{LlmError, Spent};
use agoge_sandbox::Limits;
use agoge_world::{SandboxBackend, ToolBackend as _, World, WorldError};
use futures::future::RemoteHandle;
use futures::{FutureExt, StreamExt};

use crate::cx::Cx;
use crate::plan::{PlanPair, PlanRecord};
use crate::strategy::{Given, Item, Product, Reject, Stop, Strategy};
use crate::worlds::Worlds;
use ledger::{Finished, JobLedger};
use novelty::Novelty;
use parking_lot::Mutex;

pub use outcome::{Outcome, Progress};
pub use settings::{Job, RoleClients, Settings, SynthesisError, TOKENS_PER_INSTANCE};

/// The number of times an attempt or a rollout is made when a limit or a killed process spoils it. Endpoints that fail are
/// waited for by their clients: what they spoil is no attempt.
const TRIES: u32 = 3;
/// The pauses between them: a machine that is too busy needs time.
const PAUSES: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(5));
/// Finished items that one write commits at most.
const COMMIT: usize = 256;

/// Everything that stays the same over a job.
pub(crate) struct Bench {
    pub settings: Settings,
    pub worlds: Worlds,
    pub limits: Limits,
    pub plausible: Plausible,
    pub clients: Option<RoleClients>,
    /// Where rollouts are played, for strategies that ask models.
    pub stage: Option<Stage>,
}

/// The world and the judge of all rollouts.
pub(crate) struct Stage {
    pub backend: SandboxBackend<World>,
    pub judge: Mutex<Judge>,
    /// The first warning about calls of the agent's model that were not read.
    pub unread: OnceLock<String>,
}

impl Stage {
    fn open(job: &Job) -> Result<Self, SynthesisError> {
        let backend = SandboxBackend::new(World::open(job.domain.clone(), job.limits.clone())?);
        backend
            .require("a strategy with rollouts", JUDGING)
            .map_err(|lacks| crate::strategy::Refused(lacks.to_string()))?;
        Ok(Self {
            backend,
            judge: Mutex::new(Judge::new()),
            unread: OnceLock::new(),
        })
    }
}

/// The reason a job ends before or at its target.
enum Ended {
    Target,
    Generations,
    Budget,
    /// A fixed list of tasks is done, and some of them were rejected.
    Tasks,
    Awaiting(String),
}

/// Nothing more may be spent, or the time is over.
struct Exhausted;

/// A plan pair at work.
#[derive(Clone)]
struct AtWork {
    pair: Arc<PlanPair>,
    digest: String,
    generation: u32,
}

/// A running job.
struct Engine<'a, S: Strategy> {
    strategy: Arc<S>,
    shared: Arc<S::Shared>,
    bench: Arc<Bench>,
    store: agoge_store::Store,
    ledger: JobLedger,
    /// The instances of earlier strategies.
    known: Novelty,
    /// Those and this strategy's own.
    novelty: Novelty,
    plans: Vec<PlanRecord>,
    progress: &'a dyn Fn(&Progress),
    in_flight: usize,
}

/// Runs a strategy, or resumes it from the job's ledger. `progress` is called after every commit. Dropping the future stops
/// the job; everything committed is kept.
///
/// The report's `ended` is `BudgetExhausted` when the meter or the deadline ended the job, `GenerationsExhausted` when the
/// generations did, and `TasksExhausted` when a fixed list of tasks was done and some of it rejected; `awaiting_promotion`
/// names a plan pair that a person must decide about. Publish the outcome with
/// [`Outcome::publish`].
///
/// # Errors
/// When an endpoint, the ledger or the store fails for good, or what is asked for cannot be made.
pub async fn run<S: Strategy>(
    strategy: S,
    job: Job,
    progress: &dyn Fn(&Progress),
) -> Result<Outcome, SynthesisError> {
    let ledger = JobLedger::open(&job.ledger)?;
    if let Some(clients) = &job.clients {
        clients.writer.meter().resume(ledger.tally.spent());
    }
    let stage = match &job.clients {
        None => None,
        Some(_) => Some(Stage::open(&job)?),
    };
    let bench = Arc::new(Bench {
        stage,
        plausible: Plausible::of(&job.domain),
        worlds: Worlds::open(&job.domain, &job.limits, job.threads)?,
        limits: job.limits,
        clients: job.clients,
        settings: job.settings,
    });
    let strategy = Arc::new(strategy);
    let mut cx = Cx::new(&bench, Item::numbered("prepare", 0), None);
    let shared = match bench.within(strategy.prepare(&mut cx).map(last)).await? {
        Ok(Ok(shared)) => shared,
        Ok(Err(Stop::Refused(refused))) => return Err(refused.into()),
        Ok(Err(stop)) => return Err(crate::strategy::Refused(stop.to_string()).into()),
        Err(Exhausted) => {
            if let Some(outage) = bench.outage() {
                return Err(outage.into());
            }
            let mut report = ledger.tally.report(&[], 0.5);
            report.ended = Some("BudgetExhausted".into());
            let items = ledger.items().iter();
            return Ok(Outcome {
                report,
                attempts: items.map(|item| item.attempt.clone()).collect(),
                plans: Vec::new(),
                qualifications: ledger.qualifications(),
            });
        }
    };
    let known = Novelty::of(&job.known);
    let mut engine = Engine {
        novelty: known.clone().with(ledger.items()),
        known,
        in_flight: in_flight::<S>(&bench, job.threads),
        strategy,
        shared: Arc::new(shared),
        bench,
        store: job.store,
        ledger,
        plans: Vec::new(),
        progress,
    };
    let ended = match S::plan() {
        Some(plan) => engine.generations(&plan).await?,
        None => engine.list().await?,
    };
    if matches!(ended, Ended::Budget)
        && engine.ledger.tally.accepted() == 0
        && let Some(outage) = engine.bench.outage()
    {
        return Err(outage.into());
    }
    Ok(engine.outcome(ended))
}

/// Separates an endpoint's failure, which interrupts the job, from other ends.
fn last<T>(result: Result<T, Stop>) -> Result<Result<T, Stop>, LlmError> {
    match result {
        Err(Stop::Endpoint(error)) => Err(error),
        other => Ok(other),
    }
}

/// Returns the number of attempts in flight.
fn in_flight<S: Strategy>(bench: &Bench, threads: usize) -> usize {
    let settings = &bench.settings;
    let Some(clients) = bench.clients.as_ref().filter(|_| !S::roles().is_empty()) else {
        // Nothing is waited for: a few more than there are threads, so that a commit keeps none of them idle.
        return threads.max(1) * 4;
    };
    let bounded = settings.budget.tokens.is_some() || settings.budget.usd.is_some();
    if settings.deterministic && bounded {
        return 1;
    }
    settings
        .parallelism
        .unwrap_or_else(|| clients.writer.concurrency())
        .max(1)
}

impl Bench {
    /// Waits for a step until the deadline. An exhausted budget counts as one, and so does the end of a recording: there
    /// the recorded run was stopped.
    async fn within<T>(
        &self,
        step: impl Future<Output = Result<T, LlmError>>,
    ) -> Result<Result<T, Exhausted>, LlmError> {
        let result = match self.settings.deadline {
            None => step.await,
            Some(deadline) => match tokio::time::timeout_at(deadline.into(), step).await {
                Ok(result) => result,
                Err(_) => return Ok(Err(Exhausted)),
            },
        };
        match result {
            Ok(value) => Ok(Ok(value)),
            Err(error) if error.is_budget() || error.is_end_of_tape() => Ok(Err(Exhausted)),
            Err(error) => Err(error),
        }
    }

    /// Returns the error of an endpoint that was failing when the deadline came: a job that made nothing by then was not
    /// ended by its budget.
    fn outage(&self) -> Option<LlmError> {
        let deadline = self.settings.deadline?;
        let clients = self
            .clients
            .as_ref()
            .filter(|_| Instant::now() >= deadline)?;
        Part::ALL.iter().find_map(|part| clients.of(*part).outage())
    }

    /// Lets the items whose names begin like this begin again. Returns true when what models answered them is known, so that
    /// another try costs nothing. The roles share their recordings.
    fn rewind(&self, item: &str) -> Result<bool, LlmError> {
        let clients = self.clients.as_ref();
        clients.map_or(Ok(true), |clients| clients.writer.rewind(item))
    }
}

/// Makes one item, again when a limit or a killed process spoiled it.
async fn attempt<S: Strategy>(
    strategy: Arc<S>,
    shared: Arc<S::Shared>,
    bench: Arc<Bench>,
    at_work: Option<AtWork>,
    (item, earlier): (Item, Option<String>),
) -> Result<Result<Finished, Exhausted>, SynthesisError> {
    let mut spent = Spent::default();
    if let Some(earlier) = earlier {
        let mut attempt = blank(S::NAME, &item, at_work.as_ref());
        novelty::duplicate(&mut attempt, &earlier);
        return Ok(Ok(Finished {
            attempt,
            stage_tokens: 0,
            spent,
            qualification: None,
        }));
    }
    let mut tries = 0;
    loop {
        let pair = at_work.as_ref().map(|plan| plan.pair.clone());
        let mut cx = Cx::new(&bench, item.clone(), pair);
        let made = strategy.attempt(&mut cx, &shared).map(last);
        let Ok(made) = bench.within(made).await? else {
            return Ok(Err(Exhausted));
        };
        spent.merge(&cx.spent);
        tries += 1;
        let reject = match made {
            Ok(product) => {
                let finished = finished(S::NAME, &item, at_work.as_ref(), Ok(product), spent, cx);
                return Ok(Ok(finished));
            }
            Err(Stop::Reject(reject)) => reject,
            Err(Stop::Refused(refused)) => return Err(refused.into()),
            Err(Stop::Endpoint(error)) => return Err(error.into()),
            Err(Stop::Lost(lost)) => return Err(WorldError::Lost(lost).into()),
        };
        if reject.cause != Cause::Infra || cx.stopped || tries == TRIES {
            let finished = finished(S::NAME, &item, at_work.as_ref(), Err(reject), spent, cx);
            return Ok(Ok(finished));
        }
        tokio::time::sleep(PAUSES.pause(tries)).await;
        if bench.rewind(&format!("{}/", item.id))? {
            spent = Spent::default();
        }
    }
}

/// The record of an attempt. A task that must still be played ends, for now, at the gate of novelty.
fn finished(
    strategy: &str,
    item: &Item,
    at_work: Option<&AtWork>,
    made: Result<Product, Reject>,
    spent: Spent,
    cx: Cx,
) -> Finished {
    let mut attempt = blank(strategy, item, at_work);
    attempt.tokens = spent.tokens();
    attempt.drafts = cx.drafts;
    let mut qualification = None;
    let shown = match made {
        Ok(Product::Task(task)) => {
            attempt.gate = Gate::Novelty;
            let (task, found) = task.into_parts();
            attempt.task = Some(task);
            qualification = Some(found);
            None
        }
        Ok(Product::Trajectory(shown)) => {
            attempt.gate = Gate::Accepted;
            Some(shown)
        }
        Ok(Product::Given(given)) => {
            let Given { task, shown } = *given;
            attempt.gate = Gate::Accepted;
            let (task, found) = task.into_parts();
            attempt.task = Some(task);
            qualification = Some(found);
            shown
        }
        Err(reject) => {
            attempt.gate = reject.gate;
            attempt.cause = Some(reject.cause);
            attempt.reason = Some(reject.reason);
            reject.shown.map(|shown| *shown)
        }
    };
    if let Some(shown) = shown {
        attempt.task = Some(shown.task);
        attempt.messages = shown.messages;
        attempt.verdict = Some(shown.verdict);
    }
    Finished {
        attempt,
        stage_tokens: spent.tokens(),
        spent,
        qualification,
    }
}

/// An attempt at an item, before anything was made.
fn blank(strategy: &str, item: &Item, at_work: Option<&AtWork>) -> Attempt {
    Attempt {
        id: item.id.clone(),
        strategy: strategy.into(),
        generation: at_work.map_or(0, |plan| plan.generation),
        plan: at_work.map(|plan| plan.digest.clone()),
        gate: Gate::Scenario,
        reason: None,
        cause: None,
        split: item.split,
        task: item.task.clone(),
        messages: Vec::new(),
        verdict: None,
        tokens: 0,
        drafts: Vec::new(),
    }
}

/// Runs a future on a task of its own, which ends when the handle is dropped.
fn spawned<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> RemoteHandle<T> {
    let (task, handle) = future.remote_handle();
    tokio::spawn(task);
    handle
}

impl<S: Strategy> Engine<'_, S> {
    /// Makes items and commits them in their order; those in the ledger are made already. An item may come with the earlier
    /// item that it duplicates. `told` is the stage with the number of its items; without a number the progress is that of
    /// the target.
    async fn attempts(
        &mut self,
        items: Vec<(Item, Option<String>)>,
        at_work: Option<&AtWork>,
        told: (&str, Option<u64>),
    ) -> Result<Result<(), Exhausted>, SynthesisError> {
        let all = items.len();
        let mut todo = items;
        todo.retain(|(item, _)| self.ledger.item(&item.id).is_none());
        let mut done = (all - todo.len()) as u64;
        self.tell(told, done);
        let (strategy, shared, bench) = (
            self.strategy.clone(),
            self.shared.clone(),
            self.bench.clone(),
        );
        let at_work = at_work.cloned();
        let tasks = todo.into_iter().map(move |item| {
            spawned(attempt(
                strategy.clone(),
                shared.clone(),
                bench.clone(),
                at_work.clone(),
                item,
            ))
        });
        let mut stream = futures::stream::iter(tasks)
            .buffered(self.in_flight)
            .ready_chunks(COMMIT);
        while let Some(results) = stream.next().await {
            let mut batch = Vec::with_capacity(results.len());
            let mut end = Ok(Ok(()));
            for result in results {
                match result {
                    Ok(Ok(finished)) => batch.push(finished),
                    Ok(Err(exhausted)) => end = Ok(Err(exhausted)),
                    Err(error) => end = Err(error),
                }
                if !matches!(end, Ok(Ok(()))) {
                    break;
                }
            }
            done += batch.len() as u64;
            for finished in &mut batch {
                match S::FIXED {
                    true => self.novelty.note(&finished.attempt),
                    false => self.novelty.judge(&mut finished.attempt),
                }
            }
            self.ledger.attempted(batch)?;
            self.tell(told, done);
            if !matches!(end, Ok(Ok(()))) {
                return end;
            }
        }
        Ok(Ok(()))
    }

    fn tell(&self, (stage, total): (&str, Option<u64>), done: u64) {
        let report = self.report();
        let (done, total) = match total {
            Some(total) => (done, total),
            None => (report.accepted, self.target() as u64),
        };
        let stage_of_rollouts = self.bench.stage.as_ref();
        (self.progress)(&Progress {
            stage: stage.into(),
            done,
            total,
            report,
            warning: stage_of_rollouts.and_then(|stage| stage.unread.get().cloned()),
        });
    }

    /// Returns the accepted items that this worker makes.
    fn target(&self) -> usize {
        let settings = &self.bench.settings;
        settings.target.div_ceil(settings.shards.max(1))
    }

    fn report(&self) -> SynthesisReport {
        let confidence = self.bench.settings.evolution.confidence;
        let mut report = self.ledger.tally.report(&self.plans, confidence);
        report.plan = self
            .plans
            .get(self.at_work())
            .map(|plan| plan.digest.clone());
        report
    }

    fn outcome(self, ended: Ended) -> Outcome {
        let mut report = self.report();
        match ended {
            Ended::Target => {}
            Ended::Generations => report.ended = Some("GenerationsExhausted".into()),
            Ended::Budget => report.ended = Some("BudgetExhausted".into()),
            Ended::Tasks => report.ended = Some("TasksExhausted".into()),
            Ended::Awaiting(digest) => report.awaiting_promotion = Some(digest),
        }
        let items = self.ledger.items().iter();
        Outcome {
            report,
            attempts: items.map(|item| item.attempt.clone()).collect(),
            plans: self.plans,
            qualifications: self.ledger.qualifications(),
        }
    }
}
