//! The plan of a SynthesisJob: its strategies one after another, until targets, budget or generations end it.
//!
//! Each strategy knows the instances of those before it, so that none is made twice, and divides with those after it what
//! is left of the budget. Strategies that ask no model come first: they are done soon.

use std::collections::BTreeMap;
use std::time::Duration;

use agoge_contract::{SynthesizeWork, Work};
use agoge_crds::conditions::{reason, shorten};
use agoge_crds::lineage::MAX_LINEAGE;
use agoge_crds::report::{Report, SynthesisReport, frequent, ranked};
use agoge_crds::shared::Budget;
use agoge_crds::synthesis_job::{StrategyName, StrategySpec, StrategyStatus};
use agoge_crds::{SynthesisJob, SynthesisJobSpec, SynthesisJobStatus, Timestamp};

use crate::child::{self, Child, Needs};
use crate::life::{Cause, DIGEST_BYTES, Life, Verdict, whole};
use crate::names;
use crate::observed::Observed;
use crate::{Plan, Plannable};

/// Instances that are worth a shard of their own.
const INSTANCES_A_SHARD: u64 = 500;
/// Gates that a status lists with their rejections.
const MAX_GATES: usize = 8;
/// Faults that a status lists with their counts.
const MAX_FAULTS: usize = 2;

impl Plannable for SynthesisJob {
    type Status = SynthesisJobStatus;

    fn plan(&self, observed: &Observed, now: Timestamp) -> Plan<SynthesisJobStatus> {
        let mut status = self.status.clone().unwrap_or_default();
        let life = Life {
            policy: &self.spec.run_policy,
            generation: self.metadata.generation,
            observed,
            now: whole(now),
        };
        let outcome = life.over(&mut status.run).unwrap_or_else(|| {
            let mut end = life.observe(&mut status.run);
            if let Err(why) = fold(&self.spec, &mut status, observed, life.now) {
                end.get_or_insert(why);
            }
            let verdict = match end {
                Some(why) => Verdict::Fail(why),
                None => decide(self, &status, &life),
            };
            life.conclude(&mut status.run, verdict)
        });
        Plan {
            status_first: status.decided.is_some()
                || status.run.attempts.values().any(|a| a.current > 0),
            children: outcome.children,
            status,
            requeue: outcome.requeue,
            delete: outcome.delete,
        }
    }
}

/// Takes over what the children reported.
fn fold(
    spec: &SynthesisJobSpec,
    status: &mut SynthesisJobStatus,
    observed: &Observed,
    now: Timestamp,
) -> Result<(), Cause> {
    let before = status.strategies.clone();
    for strategy in &spec.strategies {
        let key = key(strategy.name);
        let attempt = attempt(status, &key);
        let entry = status
            .strategies
            .entry(strategy.name.as_str().to_owned())
            .or_default();
        entry.target = strategy.target.accepted;
        if entry.ended.is_some() {
            continue;
        }
        let bad = |error: String| Cause::new(reason::BAD_RESULT, format!("{key}: {error}"));
        let report = observed.report(&key, attempt, Report::synthesis);
        let Some((report, finished)) = report.map_err(bad)? else {
            continue;
        };
        take(entry, report);
        if finished && report.awaiting_promotion.is_none() {
            let reached = if report.accepted >= entry.target {
                reason::TARGETS_REACHED
            } else {
                reason::GENERATIONS_EXHAUSTED
            };
            entry.ended = Some(
                report
                    .ended
                    .as_deref()
                    .map_or_else(|| reached.to_owned(), |e| shorten(e, 64)),
            );
        }
        if strategy.name.evolves() {
            evolve(status, report, finished);
        }
    }
    acknowledge(spec, status, observed);
    sum(status, before, now);
    if observed.used_by.is_some() {
        status.suite.clone_from(&observed.used_by);
    }
    Ok(())
}

fn take(entry: &mut StrategyStatus, report: &SynthesisReport) {
    entry.attempted = report.attempted;
    entry.valid = report.valid;
    entry.accepted = report.accepted;
    entry.tokens = report.tokens;
    entry.cost = report.cost;
    entry.attribution = report.attribution;
    entry.rejected = frequent(&report.rejected, MAX_GATES, 64);
    entry.faults = frequent(&report.faults, MAX_FAULTS, 160);
    entry.digest = report.digest.as_deref().map(|d| shorten(d, DIGEST_BYTES));
}

/// Plan pairs: the one at work, the lineage, and the one that waits for a person.
fn evolve(status: &mut SynthesisJobStatus, report: &SynthesisReport, finished: bool) {
    status.generation = report.generation;
    status.plan = report.plan.as_deref().map(|d| shorten(d, DIGEST_BYTES));
    let first = report.lineage.len().saturating_sub(MAX_LINEAGE);
    status.lineage = report.lineage[first..].to_vec();
    for generation in &mut status.lineage {
        generation.change = shorten(&generation.change, 160);
        generation.digest = shorten(&generation.digest, DIGEST_BYTES);
        generation.parent = generation
            .parent
            .as_deref()
            .map(|d| shorten(d, DIGEST_BYTES));
    }
    if finished {
        status.awaiting_promotion = report
            .awaiting_promotion
            .as_deref()
            .map(|d| shorten(d, DIGEST_BYTES));
    }
}

/// A person decided about the plan pair that waits: the strategy goes on in a new attempt.
fn acknowledge(spec: &SynthesisJobSpec, status: &mut SynthesisJobStatus, observed: &Observed) {
    let Some(decision) = &observed.decision else {
        return;
    };
    if status.awaiting_promotion.as_deref() == Some(decision.digest.as_str()) {
        status.decided = status.awaiting_promotion.take();
        for strategy in spec.strategies.iter().filter(|s| s.name.evolves()) {
            if !ended(status, strategy.name) {
                let attempts = status.run.attempts.entry(key(strategy.name)).or_default();
                attempts.current = attempts.current.saturating_add(1);
                attempts.retry_at = None;
            }
        }
    }
}

/// The figures of the whole. Rates are taken when counts move, so that time alone changes nothing.
fn sum(status: &mut SynthesisJobStatus, before: BTreeMap<String, StrategyStatus>, now: Timestamp) {
    let total = |figure: fn(&StrategyStatus) -> u64| {
        status
            .strategies
            .values()
            .map(figure)
            .fold(0, u64::saturating_add)
    };
    let (accepted, target, attempted) = (
        total(|s| s.accepted),
        total(|s| s.target),
        total(|s| s.attempted),
    );
    let (valid, tokens) = (total(|s| s.valid), total(|s| s.tokens));
    status.accepted = accepted;
    status.target = target;
    status.attempted = attempted;
    status.valid = valid;
    status.tokens = tokens;
    let cost: f64 = status.strategies.values().map(|s| s.cost).sum();
    status.cost = (cost > 0.0).then(|| format!("{cost:.2}"));
    if before == status.strategies {
        return;
    }
    status.yield_ =
        (attempted > 0).then(|| format!("{}%", accepted.saturating_mul(100) / attempted));
    let minutes = status.run.active(now).as_secs_f64() / 60.0;
    let rate = if minutes > 0.0 {
        accepted as f64 / minutes
    } else {
        0.0
    };
    status.rate = (rate > 0.0).then(|| format!("{rate:.1}/min"));
    let left = target.saturating_sub(accepted) as f64;
    let eta = (rate > 0.0 && left > 0.0)
        .then(|| Duration::from_secs((left / rate).min(1e6).ceil() as u64 * 60));
    status.eta = eta.map(|eta| agoge_crds::Span::from(eta).to_string());
    if !status.strategies.values().all(|s| s.ended.is_some()) {
        return;
    }
    let parts: Vec<String> = status
        .strategies
        .iter()
        .filter_map(|(name, s)| s.digest.as_ref().map(|digest| format!("{name}={digest}\n")))
        .collect();
    status.digest = (!parts.is_empty()).then(|| agoge_crds::digest(&parts.concat()));
}

fn decide(job: &SynthesisJob, status: &SynthesisJobStatus, life: &Life<'_>) -> Verdict {
    if job.spec.run_policy.suspend {
        return Verdict::Suspend;
    }
    let open = open(&job.spec, status);
    if open.is_empty() {
        return end(status, None);
    }
    if let Some(what) = exhausted(&job.spec, status, life) {
        let because = Cause::new(reason::BUDGET_EXHAUSTED, what.clone());
        return if life.observed.anything_runs() {
            Verdict::Drain(because)
        } else {
            end(status, Some(what))
        };
    }
    let waiting = status.awaiting_promotion.as_deref();
    let next = open
        .iter()
        .find(|s| !(s.name.evolves() && waiting.is_some()));
    let Some(next) = next else {
        let digest = waiting.unwrap_or_default();
        let message = format!("plan {digest} waits to be promoted or rolled back");
        return Verdict::Hold(Cause::new(reason::AWAITING_PROMOTION, message));
    };
    let left = life.left(
        &status.run,
        job.spec.budget.wall_clock.map(|w| w.duration()),
    );
    Verdict::Run {
        children: vec![synthesize(job, next, status, life)],
        doing: format!("synthesizing by {}", next.name.as_str()),
        look: left,
    }
}

/// Returns the strategies that have not ended, in the order in which they run.
fn open<'a>(spec: &'a SynthesisJobSpec, status: &SynthesisJobStatus) -> Vec<&'a StrategySpec> {
    let mut open: Vec<&StrategySpec> = spec
        .strategies
        .iter()
        .filter(|s| !ended(status, s.name))
        .collect();
    open.sort_by_key(|s| s.name.asks_models());
    open
}

fn ended(status: &SynthesisJobStatus, name: StrategyName) -> bool {
    status
        .strategies
        .get(name.as_str())
        .is_some_and(|s| s.ended.is_some())
}

/// Returns the part of the budget that is used up.
fn exhausted(
    spec: &SynthesisJobSpec,
    status: &SynthesisJobStatus,
    life: &Life<'_>,
) -> Option<String> {
    let budget = &spec.budget;
    if let Some(wall) = budget.wall_clock
        && life
            .left(&status.run, Some(wall.duration()))
            .is_some_and(|left| left.is_zero())
    {
        return Some(format!("{wall} of active time are used up"));
    }
    if let Some(tokens) = budget.tokens
        && status.tokens >= tokens
    {
        return Some(format!("{tokens} tokens are used up"));
    }
    let cost: f64 = status.strategies.values().map(|s| s.cost).sum();
    budget
        .usd
        .filter(|usd| cost >= *usd)
        .map(|usd| format!("{usd} dollars are used up"))
}

fn end(status: &SynthesisJobStatus, exhausted: Option<String>) -> Verdict {
    let tally: Vec<String> = status
        .strategies
        .iter()
        .map(|(name, s)| format!("{name} {} of {}", s.accepted, s.target))
        .collect();
    let tally = format!("accepted: {}", tally.join(", "));
    let ends: Vec<&str> = status
        .strategies
        .values()
        .filter_map(|s| s.ended.as_deref())
        .collect();
    let budget = exhausted.is_some() || ends.contains(&reason::BUDGET_EXHAUSTED);
    let message = exhausted.map_or_else(|| tally.clone(), |what| format!("{what}; {tally}"));
    if status.accepted == 0 {
        let stopped: Vec<String> = status.strategies.iter().map(stopped).collect();
        let message = format!("{message}; {}", stopped.join("; "));
        return Verdict::Fail(Cause::new(reason::NOTHING_ACCEPTED, message));
    }
    let reached = status.strategies.values().all(|s| s.accepted >= s.target);
    let why = if reached {
        reason::TARGETS_REACHED
    } else if budget {
        reason::BUDGET_EXHAUSTED
    } else if ends.contains(&reason::TASKS_EXHAUSTED)
        && !ends.contains(&reason::GENERATIONS_EXHAUSTED)
    {
        reason::TASKS_EXHAUSTED
    } else {
        reason::GENERATIONS_EXHAUSTED
    };
    Verdict::Done(Cause::new(why, message))
}

/// Says at which gates the attempts of a strategy were stopped, and which faults of endpoints were among the causes.
fn stopped((name, strategy): (&String, &StrategyStatus)) -> String {
    let listed = |counts: &BTreeMap<String, u64>| {
        let each = ranked(counts)
            .into_iter()
            .map(|(what, n)| format!("{what} {n}"));
        each.collect::<Vec<_>>().join(", ")
    };
    if strategy.attempted == 0 {
        return format!("{name} attempted nothing");
    }
    let mut text = format!("{name} attempted {}", strategy.attempted);
    if !strategy.rejected.is_empty() {
        text.push_str(&format!(", stopped at {}", listed(&strategy.rejected)));
    }
    if strategy.attribution.infra > 0 {
        let said = match strategy.faults.is_empty() {
            true => String::new(),
            false => format!(": {}", listed(&strategy.faults)),
        };
        let faults = strategy.attribution.infra;
        text.push_str(&format!(
            "; {faults} by faults of endpoints or processes{said}"
        ));
    }
    text
}

fn key(name: StrategyName) -> String {
    format!("synthesize-{}", name.as_str())
}

fn attempt(status: &SynthesisJobStatus, key: &str) -> u32 {
    status.run.attempts.get(key).map_or(0, |a| a.current)
}

/// The part of what is left that is a strategy's own: its weight among those of the strategies that ask models and have not
/// ended. No worker can spend what is another's, and what one leaves over goes to the others.
struct Share {
    weight: u64,
    sum: u64,
}

impl Share {
    fn of(spec: &SynthesisJobSpec, status: &SynthesisJobStatus, strategy: &StrategySpec) -> Self {
        let weight = |s: &StrategySpec| match s.name.asks_models() {
            true => u64::from(s.weight),
            false => 0,
        };
        match open(spec, status).into_iter().map(weight).sum() {
            0 => Self { weight: 1, sum: 1 },
            sum => Self {
                weight: weight(strategy),
                sum,
            },
        }
    }

    /// Rounds down.
    fn tokens(&self, left: u64) -> u64 {
        let part = u128::from(left) * u128::from(self.weight) / u128::from(self.sum);
        u64::try_from(part).unwrap_or(left)
    }

    fn usd(&self, left: f64) -> f64 {
        left * self.weight as f64 / self.sum as f64
    }

    fn time(&self, left: Duration) -> Duration {
        left.mul_f64(self.weight as f64 / self.sum as f64)
    }
}

/// Returns the tokens and dollars that a strategy may spend. A strategy that asks no model spends none.
fn share_of_budget(
    spec: &SynthesisJobSpec,
    status: &SynthesisJobStatus,
    strategy: &StrategySpec,
) -> Budget {
    let share = Share::of(spec, status, strategy);
    let tokens = over(status).map(|s| s.tokens).fold(0, u64::saturating_add);
    let cost: f64 = over(status).map(|s| s.cost).sum();
    Budget {
        tokens: spec
            .budget
            .tokens
            .map(|all| share.tokens(all.saturating_sub(tokens))),
        usd: spec.budget.usd.map(|all| share.usd((all - cost).max(0.0))),
        tokens_per_instance: spec.budget.tokens_per_instance,
        wall_clock: None,
    }
}

/// Returns the time that is left for a strategy; one that asks models leaves the others of its kind theirs.
fn time_left(
    job: &SynthesisJob,
    strategy: &StrategySpec,
    status: &SynthesisJobStatus,
    life: &Life<'_>,
) -> Option<Duration> {
    let wall = job.spec.budget.wall_clock.map(|w| w.duration());
    let left = life.left(&status.run, wall)?;
    if strategy.name.asks_models() {
        Some(Share::of(&job.spec, status, strategy).time(left))
    } else {
        Some(left)
    }
}

/// Returns the digests of what the strategies that have ended have made.
fn known(status: &SynthesisJobStatus) -> Vec<String> {
    over(status).filter_map(|s| s.digest.clone()).collect()
}

/// Returns the strategies that have ended.
fn over(status: &SynthesisJobStatus) -> impl Iterator<Item = &StrategyStatus> {
    status.strategies.values().filter(|s| s.ended.is_some())
}

fn synthesize(
    job: &SynthesisJob,
    strategy: &StrategySpec,
    status: &SynthesisJobStatus,
    life: &Life<'_>,
) -> Child {
    let spec = &job.spec;
    let owner = child::owner_of(job);
    let key = key(strategy.name);
    let attempt = attempt(status, &key);
    let decision = life
        .observed
        .decision
        .as_ref()
        .filter(|d| status.decided.as_ref() == Some(&d.digest));
    let asks = strategy.name.asks_models();
    let worthwhile = strategy.target.accepted.div_ceil(INSTANCES_A_SHARD);
    // A strategy that asks models waits for them: one worker keeps all its instances in flight, with one meter.
    let shards = if asks || spec.deterministic {
        1
    } else {
        u64::from(spec.parallelism.unwrap_or(1)).clamp(1, worthwhile.max(1))
    };
    Child {
        name: names::child(&owner.name, &key, attempt),
        attempt,
        work: Work::Synthesize(SynthesizeWork {
            dataset: spec
                .output
                .dataset
                .clone()
                .unwrap_or_else(|| owner.name.clone()),
            strategy: strategy.clone(),
            models: spec.models.clone().filter(|_| asks),
            evolution: asks.then(|| spec.evolution.clone()),
            budget: share_of_budget(spec, status, strategy),
            known: known(status),
            parallelism: spec.parallelism,
            deterministic: spec.deterministic,
            decision: decision.filter(|_| asks).cloned(),
        }),
        needs: Needs {
            resources: spec.worker.resources.clone().unwrap_or_default(),
            endpoints: if asks {
                spec.models
                    .as_ref()
                    .map(|m| m.endpoints())
                    .unwrap_or_default()
            } else {
                vec![]
            },
            template: spec.worker.clone(),
        },
        shards: u32::try_from(shards).unwrap_or(1),
        time_left: time_left(job, strategy, status, life),
        owner,
        key,
    }
}
