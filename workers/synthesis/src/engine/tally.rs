//! The running figures of a job: each finished item is counted once when it is committed, so that a progress report costs
//! the same however many items there are.

use std::collections::{BTreeMap, BTreeSet};

use agoge_artifacts::reason::general;
use agoge_checker::Cause;
use agoge_crds::lineage::{Attribution, Generation, Interval};
use agoge_crds::report::SynthesisReport;
use agoge_llm::Spent;

use super::ledger::Finished;
use crate::evolution::{self, Pilot};
use crate::plan::PlanRecord;

/// Figures of all items so far.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    report: SynthesisReport,
    generations: BTreeMap<u32, Figures>,
    spent: Spent,
    /// Items counted so far, for the test that this is linear.
    pub counted: u64,
}

/// Figures of one generation.
#[derive(Debug, Default)]
struct Figures {
    attempted: u64,
    valid: u64,
    accepted: u64,
    attribution: Attribution,
    spent: Spent,
    stage_tokens: u64,
    kinds: BTreeSet<String>,
}

impl Tally {
    /// Counts an item; `before` is its record until now, if there is one.
    pub fn count(&mut self, before: Option<&Finished>, now: &Finished) {
        self.counted += 1;
        if let Some(before) = before {
            self.add(before, -1);
        }
        self.add(now, 1);
    }

    fn add(&mut self, item: &Finished, sign: i64) {
        let attempt = &item.attempt;
        let figures = self.generations.entry(attempt.generation).or_default();
        let all = &mut self.report;
        step(&mut all.attempted, sign);
        step(&mut figures.attempted, sign);
        if attempt.valid() {
            step(&mut all.valid, sign);
            step(&mut figures.valid, sign);
            if let Some(task) = &attempt.task {
                figures.kinds.insert(task.branch.clone());
            }
        }
        if attempt.accepted() {
            step(&mut all.accepted, sign);
            step(&mut figures.accepted, sign);
        }
        if let Some(cause) = attempt.cause {
            let gate = all.rejected.entry(attempt.gate.name().into()).or_default();
            step(gate, sign);
            step(field(&mut all.attribution, cause), sign);
            if cause == Cause::Infra {
                let said = general(attempt.reason.as_deref().unwrap_or_default());
                step(all.faults.entry(said).or_default(), sign);
            }
            step(field(&mut figures.attribution, cause), sign);
        }
        figures.stage_tokens = figures
            .stage_tokens
            .wrapping_add_signed(sign * item.stage_tokens.cast_signed());
        if sign > 0 {
            self.spent.merge(&item.spent);
            figures.spent.merge(&item.spent);
        } else {
            subtract(&mut self.spent, &item.spent);
            subtract(&mut figures.spent, &item.spent);
        }
    }

    /// Counts the cost of a reflection.
    pub fn reflected(&mut self, spent: &Spent) {
        self.spent.merge(spent);
    }

    /// Returns what everything so far cost.
    pub fn spent(&self) -> Spent {
        self.spent
    }

    /// Returns the accepted items.
    pub fn accepted(&self) -> u64 {
        self.report.accepted
    }

    /// Returns the attempted and the accepted items of a generation.
    pub fn acceptance(&self, generation: u32) -> (u64, u64) {
        let figures = self.generations.get(&generation);
        figures.map_or((0, 0), |f| (f.attempted, f.accepted))
    }

    /// Returns what the pilots of these generations showed, taken together.
    pub fn pilot(&self, generations: &[u32]) -> Pilot {
        let mut pilot = Pilot::default();
        let mut kinds = BTreeSet::new();
        for figures in generations.iter().filter_map(|g| self.generations.get(g)) {
            pilot.attempted += figures.attempted;
            pilot.valid += figures.valid;
            pilot.tokens += figures.stage_tokens;
            kinds.extend(&figures.kinds);
        }
        pilot.coverage = kinds.len() as u64;
        pilot
    }

    /// Returns the figures of a report, with a line for each plan.
    pub fn report(&self, plans: &[PlanRecord], confidence: f64) -> SynthesisReport {
        let mut report = self.report.clone();
        report.rejected.retain(|_, count| *count > 0);
        report.faults.retain(|_, count| *count > 0);
        report.tokens = self.spent.tokens();
        report.cost = self.spent.usd;
        report.generation = plans.last().map_or(0, |plan| plan.generation);
        report.lineage = plans
            .iter()
            .map(|plan| self.generation(plan, confidence))
            .collect();
        report
    }

    fn generation(&self, plan: &PlanRecord, confidence: f64) -> Generation {
        let empty = Figures::default();
        let own = self.generations.get(&plan.generation).unwrap_or(&empty);
        let pilot = self.pilot(&[plan.generation]);
        let (low, high) = evolution::interval(&pilot, confidence);
        Generation {
            generation: plan.generation,
            digest: plan.digest.clone(),
            parent: plan.parent.clone(),
            change: plan.change.clone(),
            outcome: plan.outcome,
            attempted: pilot.attempted,
            valid: pilot.valid,
            accepted: own.accepted,
            yield_: Interval {
                value: pilot.per_kilotoken(),
                low,
                high,
            },
            attribution: own.attribution,
            tokens: own.spent.tokens(),
            cost: own.spent.usd,
        }
    }
}

fn step(count: &mut u64, sign: i64) {
    *count = count.wrapping_add_signed(sign);
}

fn subtract(from: &mut Spent, spent: &Spent) {
    from.calls -= spent.calls;
    from.prompt -= spent.prompt;
    from.completion -= spent.completion;
    from.usd -= spent.usd;
}

fn field(attribution: &mut Attribution, cause: Cause) -> &mut u64 {
    match cause {
        Cause::Task => &mut attribution.task,
        Cause::Trajectory => &mut attribution.trajectory,
        Cause::User => &mut attribution.user,
        Cause::Infra => &mut attribution.infra,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::ledger::JobLedger;
    use agoge_artifacts::{Attempt, Gate};
    use agoge_world::Split;

    fn item(n: u32, gate: Gate, cause: Option<Cause>) -> Finished {
        let spent = Spent {
            calls: 1,
            prompt: 100,
            completion: u64::from(n % 7),
            usd: 0.0,
        };
        Finished {
            attempt: Attempt {
                id: format!("item-{n}"),
                strategy: "test".into(),
                generation: n % 3,
                plan: None,
                gate,
                reason: None,
                cause,
                split: Split::TrainRl,
                task: None,
                messages: Vec::new(),
                verdict: None,
                tokens: spent.tokens(),
                drafts: Vec::new(),
            },
            stage_tokens: spent.tokens(),
            spent,
            qualification: None,
        }
    }

    /// A report after every commit visits no item again: as many visits as commits, whatever their number.
    #[test]
    fn bookkeeping_visits_each_commit_once_and_says_what_a_recount_says() {
        let dir = tempfile::tempdir().unwrap();
        for n in [50u32, 500] {
            let path = dir.path().join(n.to_string());
            let mut ledger = JobLedger::open(&path).unwrap();
            for i in 0..n {
                ledger
                    .attempted(vec![item(i, Gate::Rollout, None)])
                    .unwrap();
                ledger.tally.report(&[], 0.8);
            }
            for i in 0..n {
                let (gate, cause) = match i % 2 {
                    0 => (Gate::Accepted, None),
                    _ => (Gate::Rollout, Some(Cause::Trajectory)),
                };
                ledger.rolled_out(vec![item(i, gate, cause)]).unwrap();
                ledger.tally.report(&[], 0.8);
            }
            assert_eq!(ledger.tally.counted, u64::from(2 * n));
            let report = ledger.tally.report(&[], 0.8);
            let half = u64::from(n / 2);
            assert_eq!(
                (report.attempted, report.valid),
                (u64::from(n), u64::from(n))
            );
            assert_eq!(
                (report.accepted, report.attribution.trajectory),
                (half, half)
            );
            let tokens: u64 = ledger.items().iter().map(|i| i.spent.tokens()).sum();
            assert_eq!(report.tokens, tokens);
            drop(ledger);
            let again = JobLedger::open(&path).unwrap().tally.report(&[], 0.8);
            assert_eq!(again, report);
        }
    }
}
