//! A `sea` job from its first pilot to its end.

use std::collections::HashSet;
use std::future::Future;
use std::path::Path;
use std::sync::Mutex;

use agoge_checker::{Cause, Judge, Plausible};
use agoge_crds::lineage;
use agoge_llm::LlmError;
use agoge_store::{Digest, Store};
use agoge_world::{End, SandboxBackend, Split, World};
use futures::StreamExt;

use super::book::{Book, Item, Proposal};
use super::config::{SeaConfig, Seats};
use super::look::look;
use super::outcome::{Outcome, Progress, SeaError, report};
use super::reflect::reflect;
use super::stages::{Writer, Written};
use super::{decide, look as looks};
use crate::canonical::canonical;
use crate::instance::{Attempt, Gate};
use crate::plan::{PlanPair, PlanRecord};
use crate::rollout::{Players, Settings, User};

/// How often an instance or a rollout that an endpoint spoiled is made.
const TRIES: u32 = 2;

/// Why a job ends before its target.
enum Ended {
    Target,
    Generations,
    Budget,
    Awaiting(String),
}

/// What stays the same over a job.
struct Bench<'a> {
    config: &'a SeaConfig,
    seats: &'a Seats,
    world: SandboxBackend<&'a mut World>,
    judge: Mutex<Judge>,
    plausible: Plausible,
}

struct Job<'a> {
    bench: &'a Bench<'a>,
    book: Book,
    store: &'a Store,
    plans: Vec<PlanRecord>,
    progress: &'a dyn Fn(&Progress),
}

/// Runs a job, or goes on with it: `work` keeps what is finished. `progress` is told after every item.
///
/// It ends with reason `BudgetExhausted` when the meter of the seats or the deadline says so, `GenerationsExhausted` when
/// the generations are over before the target, and with a plan pair that awaits promotion when a person must decide.
/// Publish the outcome with [`Outcome::publish`].
///
/// # Errors
/// When an endpoint, the book or the store fails for good; run it again with the same folder to go on.
pub async fn run(
    config: &SeaConfig,
    world: &mut World,
    seats: &Seats,
    store: &Store,
    work: &Path,
    progress: &dyn Fn(&Progress),
) -> Result<Outcome, SeaError> {
    let bench = Bench {
        config,
        seats,
        plausible: Plausible::of(world.domain()),
        world: SandboxBackend::new(world),
        judge: Mutex::new(Judge::new()),
    };
    let book = Book::open(work)?;
    seats.writer.meter().resume(book.spent());
    let mut job = Job {
        bench: &bench,
        book,
        store,
        plans: Vec::new(),
        progress,
    };
    let ended = job.generations().await?;
    Ok(job.outcome(ended))
}

/// Nothing more may be spent, or the time is over.
struct Exhausted;

impl Bench<'_> {
    /// Waits for a step until the deadline. An exhausted budget counts as one, and so does the end of a recording: there
    /// the recorded run was stopped.
    async fn within<T>(
        &self,
        step: impl Future<Output = Result<T, LlmError>>,
    ) -> Result<Result<T, Exhausted>, LlmError> {
        let result = match self.config.deadline {
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

    /// One attempt, as far as the checker gate.
    async fn attempt(
        &self,
        plan: &PlanRecord,
        id: String,
        number: u64,
    ) -> Result<Result<Item, Exhausted>, LlmError> {
        let domain = self.world.domain().clone();
        let look = look(&domain, self.config.seed, number);
        let writer = Writer {
            world: &self.world,
            client: &self.seats.writer,
            plan: &plan.pair,
            plausible: &self.plausible,
            thresholds: &self.config.thresholds,
            seed: self.config.seed,
            temperature: self.config.temperature,
            tokens: self.config.tokens_per_instance,
        };
        let mut spent = agoge_llm::Spent::default();
        let mut tries = 0;
        let written = loop {
            let written = match self.within(writer.write(&id, &look)).await? {
                Ok(written) => written,
                Err(exhausted) => return Ok(Err(exhausted)),
            };
            spent.merge(&written.spent);
            tries += 1;
            if !written.infra || tries == TRIES {
                break written;
            }
        };
        Ok(Ok(item(plan, id, written, spent)))
    }
}

fn item(plan: &PlanRecord, id: String, written: Written, spent: agoge_llm::Spent) -> Item {
    let cause = match (&written.reason, written.infra) {
        (None, _) => None,
        (Some(_), true) => Some(Cause::Infra),
        (Some(_), false) => Some(Cause::Task),
    };
    Item {
        stage_tokens: spent.tokens(),
        spent,
        attempt: Attempt {
            id,
            strategy: "sea".into(),
            generation: plan.generation,
            plan: Some(plan.digest.clone()),
            gate: written.gate,
            reason: written.reason,
            cause,
            split: Split::TrainRl,
            task: written.task,
            messages: Vec::new(),
            verdict: None,
            tokens: spent.tokens(),
            drafts: written.drafts,
        },
    }
}

impl Job<'_> {
    async fn generations(&mut self) -> Result<Ended, SeaError> {
        for generation in 0..self.bench.config.evolution.max_generations {
            let Some(plan) = self.plan(generation).await? else {
                return Ok(Ended::Budget);
            };
            self.plans.push(plan);
            let piloted = self.pilot(generation).await?;
            let played = match piloted {
                Ok(()) => self.rollouts(generation).await?,
                Err(exhausted) => Err(exhausted),
            };
            let awaiting = self.conclude(generation, played.is_err())?;
            if played.is_err() {
                return Ok(Ended::Budget);
            }
            if self.accepted() >= self.bench.config.target {
                return Ok(Ended::Target);
            }
            if let Some(digest) = awaiting {
                return Ok(Ended::Awaiting(digest));
            }
        }
        Ok(Ended::Generations)
    }

    fn accepted(&self) -> u64 {
        self.book
            .items()
            .iter()
            .filter(|item| item.attempt.accepted())
            .count() as u64
    }

    /// The index of the pair at work: the last one promoted, else the first.
    fn at_work(&self) -> usize {
        let promoted = |plan: &PlanRecord| plan.outcome == lineage::Outcome::Promoted;
        self.plans.iter().rposition(promoted).unwrap_or(0)
    }

    /// The generations that piloted the pair at work.
    fn generations_of(&self, digest: &str) -> Vec<u32> {
        self.plans
            .iter()
            .filter(|p| p.digest == digest)
            .map(|p| p.generation)
            .collect()
    }

    /// The plan of a generation; `None` when nothing more may be spent.
    async fn plan(&mut self, generation: u32) -> Result<Option<PlanRecord>, SeaError> {
        let proposal = match self.book.plan(generation)? {
            Some(proposal) => proposal,
            None => {
                let Some(proposal) = self.proposal(generation).await? else {
                    return Ok(None);
                };
                self.book.propose(generation, &proposal)?;
                proposal
            }
        };
        let digest = self.store.put_json(&proposal.pair)?;
        Ok(Some(PlanRecord {
            digest: digest.to_string(),
            parent: proposal.parent,
            generation,
            change: proposal.change,
            outcome: lineage::Outcome::Pilot,
            pair: proposal.pair,
            pilot: Default::default(),
            better: None,
        }))
    }

    async fn proposal(&self, generation: u32) -> Result<Option<Proposal>, SeaError> {
        let bench = self.bench;
        let evolution = &bench.config.evolution;
        if generation == 0 {
            let (pair, change) = first(self.store, &evolution.plans)?;
            return Ok(Some(Proposal {
                pair,
                parent: None,
                change,
                spent: Default::default(),
            }));
        }
        let current = &self.plans[self.at_work()];
        if let Some(why) = decide::stopped(&self.plans, self.book.items(), evolution) {
            return Ok(Some(Proposal {
                pair: current.pair.clone(),
                parent: None,
                change: format!("as before: {why}"),
                spent: Default::default(),
            }));
        }
        let of = self.generations_of(&current.digest);
        let attempts: Vec<&Attempt> = self
            .book
            .items()
            .iter()
            .map(|item| &item.attempt)
            .filter(|attempt| of.contains(&attempt.generation))
            .collect();
        let (client, seed) = (&bench.seats.reflector, bench.config.seed);
        let step = reflect(
            client,
            &current.pair,
            &attempts,
            generation,
            seed,
            bench.config.temperature,
        );
        Ok(bench.within(step).await?.ok())
    }

    /// The instances of a generation through scenario, gold, checker and novelty, committed in item order.
    async fn pilot(&mut self, generation: u32) -> Result<Result<(), Exhausted>, SeaError> {
        let Some(plan) = self.plans.last().cloned() else {
            return Ok(Ok(()));
        };
        let size = u64::from(self.bench.config.evolution.pilot_size);
        let mut known: HashSet<String> = self
            .book
            .items()
            .iter()
            .filter(|item| item.attempt.valid())
            .filter_map(|item| item.attempt.task.as_ref())
            .map(canonical)
            .collect();
        let done = (0..size)
            .take_while(|n| self.book.item(&name(generation, *n)).is_some())
            .count() as u64;
        let bench = self.bench;
        let todo = (done..size).map(|n| {
            let number = u64::from(generation) * size + n;
            bench.attempt(&plan, name(generation, n), number)
        });
        let mut stream = futures::stream::iter(todo).buffered(bench.seats.writer.concurrency());
        let stage = format!("generation {generation}: pilot");
        self.tell(&stage, done, size);
        let mut at = done;
        while let Some(result) = stream.next().await {
            let mut item = match result? {
                Ok(item) => item,
                Err(exhausted) => return Ok(Err(exhausted)),
            };
            let attempt = &mut item.attempt;
            if let (Gate::Novelty, Some(task)) = (attempt.gate, &attempt.task) {
                if known.insert(canonical(task)) {
                    attempt.gate = Gate::Rollout;
                    attempt.reason =
                        Some("it was not played: the rollouts of its pilot went to others".into());
                } else {
                    attempt.reason =
                        Some("the same calls and outputs as an earlier instance".into());
                    attempt.cause = Some(Cause::Task);
                }
            }
            self.book.attempted(item)?;
            at += 1;
            self.tell(&stage, at, size);
        }
        Ok(Ok(()))
    }

    /// Real rollouts of the first valid instances of a generation.
    async fn rollouts(&mut self, generation: u32) -> Result<Result<(), Exhausted>, SeaError> {
        let chosen: Vec<Item> = self
            .book
            .items()
            .iter()
            .filter(|item| item.attempt.generation == generation && item.attempt.valid())
            .take(self.bench.config.rollouts as usize)
            .cloned()
            .collect();
        let stage = format!("generation {generation}: rollouts");
        let total = chosen.len() as u64;
        for (n, item) in chosen.into_iter().enumerate() {
            self.tell(&stage, n as u64, total);
            if self.accepted() >= self.bench.config.target {
                return Ok(Ok(()));
            }
            if self.book.played(&item.attempt.id) {
                continue;
            }
            match self.rollout(item).await? {
                Ok(item) => self.book.rolled_out(item)?,
                Err(exhausted) => return Ok(Err(exhausted)),
            }
        }
        self.tell(&stage, total, total);
        Ok(Ok(()))
    }

    async fn rollout(&self, mut item: Item) -> Result<Result<Item, Exhausted>, SeaError> {
        let bench = self.bench;
        let Some(task) = item.attempt.task.clone() else {
            return Ok(Ok(item));
        };
        let settings = Settings {
            seed: looks::draw(&[&bench.config.seed.to_string(), &item.attempt.id]) >> 21,
            ..Settings::default()
        };
        for left in (0..TRIES).rev() {
            let seats = bench.seats;
            let players = Players {
                backend: &bench.world,
                judge: &bench.judge,
                agent: &seats.agent,
                user: User::Model(&seats.user),
                settings: &settings,
            };
            let step = players.play(&task, &item.attempt.id);
            let rollout = match bench.within(step).await? {
                Ok(rollout) => rollout,
                Err(exhausted) => return Ok(Err(exhausted)),
            };
            item.spent.merge(&rollout.agent);
            item.spent.merge(&rollout.user);
            item.attempt.tokens = item.spent.tokens();
            if matches!(rollout.end, End::Infra(_)) && left > 0 {
                continue;
            }
            let attempt = &mut item.attempt;
            match rollout.cause(&task, None) {
                None => {
                    attempt.gate = Gate::Accepted;
                    attempt.reason = None;
                }
                Some((cause, reason)) => {
                    attempt.cause = Some(cause);
                    attempt.reason = Some(reason);
                }
            }
            attempt.messages = rollout.messages;
            attempt.verdict = rollout.verdict;
            break;
        }
        Ok(Ok(item))
    }

    /// Ends a generation; the digest of a pair that a person must decide about.
    fn conclude(&mut self, generation: u32, cut_short: bool) -> Result<Option<String>, SeaError> {
        let parent = self.plans.last().and_then(|plan| plan.parent.clone());
        let parent =
            parent.map(|digest| decide::pilot(self.book.items(), &self.generations_of(&digest)));
        let pilot = decide::pilot(self.book.items(), &[generation]);
        let decision = self.bench.config.decision.clone();
        let Some(plan) = self.plans.last_mut() else {
            return Ok(None);
        };
        plan.pilot = pilot;
        // A pilot that was cut short is compared by what it spent, like any other; one that never began is not.
        if cut_short && plan.pilot.attempted == 0 {
            return Ok(None);
        }
        let said = decision
            .filter(|d| d.digest == plan.digest)
            .map(|d| d.promote);
        let person = self.book.decided(&plan.digest, said)?;
        let ending = decide::ending(plan, parent.as_ref(), &self.bench.config.evolution, person);
        plan.outcome = ending.outcome;
        plan.better = ending.better;
        Ok((ending.outcome == lineage::Outcome::Awaiting).then(|| plan.digest.clone()))
    }

    fn tell(&self, stage: &str, done: u64, total: u64) {
        (self.progress)(&Progress {
            stage: stage.into(),
            done,
            total,
            report: self.report(),
        });
    }

    fn report(&self) -> agoge_crds::report::SynthesisReport {
        let mut report = report(
            self.book.items(),
            &self.plans,
            self.bench.config.evolution.confidence,
        );
        let spent = self.book.spent();
        report.tokens = spent.tokens();
        report.cost = spent.usd;
        report.generation = self.plans.last().map_or(0, |plan| plan.generation);
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
            Ended::Awaiting(digest) => report.awaiting_promotion = Some(digest),
        }
        Outcome {
            report,
            attempts: self
                .book
                .items()
                .iter()
                .map(|item| item.attempt.clone())
                .collect(),
            plans: self.plans,
        }
    }
}

fn name(generation: u32, number: u64) -> String {
    format!("sea-{generation}-{number}")
}

/// The pair to begin with.
fn first(store: &Store, plans: &[String]) -> Result<(PlanPair, String), SeaError> {
    match plans {
        [] => Ok((PlanPair::built_in(), "the built-in pair".into())),
        [one] if one == "builtin" => Ok((PlanPair::built_in(), "the built-in pair".into())),
        [one] => {
            let digest = Digest::parse(one).map_err(|_| {
                SeaError::Plans(format!(
                    "{one} is neither `builtin` nor the digest of a pair, such as sha256:…"
                ))
            })?;
            Ok((
                store.get_json(&digest)?,
                format!("the pair {}", digest.short()),
            ))
        }
        many => Err(SeaError::Plans(format!(
            "{} pairs are listed, and this version begins with one; list one",
            many.len()
        ))),
    }
}
