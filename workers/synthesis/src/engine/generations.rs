//! A job in generations: a plan pair is piloted, some of its valid instances are played, and figures decide about the pair.
//!
//! 1. *Plan*: the first is the built-in pair or the one the job names; a later one is a child that reflection proposes, or the
//!    pair at work again when evolution has stopped or reflection gave nothing usable.
//! 2. *Pilot*: so many instances as far as the novelty gate.
//! 3. *Rollouts* of the first valid ones.
//! 4. *Decision*: a child is promoted, rolled back or left undecided by [`crate::evolution`], under the qualification of
//!    `agoge-checker`, which no plan can change. With `promotion: manual` a child that the rule would promote awaits a
//!    person.

use std::sync::Arc;

use agoge_artifacts::Attempt;
use agoge_crds::lineage;
use agoge_store::{Digest, Store};
use agoge_world::Split;

use super::ledger::Finished;
use super::{AtWork, Ended, Engine, Exhausted, SynthesisError, decide};
use crate::plan::{Plan, PlanPair, PlanRecord};
use crate::reflect::{Proposal, reflect};
use crate::strategy::{Item, Refused, Strategy};

impl<S: Strategy> Engine<'_, S> {
    /// Runs all generations.
    pub(super) async fn generations(&mut self, plan: &Plan) -> Result<Ended, SynthesisError> {
        for generation in 0..self.bench.settings.evolution.max_generations {
            let Some(record) = self.plan(plan, generation).await? else {
                return Ok(Ended::Budget);
            };
            self.plans.push(record);
            let played = match self.pilot(generation).await? {
                Ok(()) => self.play(generation).await?,
                Err(exhausted) => Err(exhausted),
            };
            let awaiting = self.conclude(generation, played.is_err())?;
            if played.is_err() {
                return Ok(Ended::Budget);
            }
            if self.ledger.tally.accepted() >= self.bench.settings.target as u64 {
                return Ok(Ended::Target);
            }
            if let Some(digest) = awaiting {
                return Ok(Ended::Awaiting(digest));
            }
        }
        Ok(Ended::Generations)
    }

    /// Returns the index of the pair at work: the last one promoted, else the first.
    pub(super) fn at_work(&self) -> usize {
        let promoted = |plan: &PlanRecord| plan.outcome == lineage::Outcome::Promoted;
        self.plans.iter().rposition(promoted).unwrap_or(0)
    }

    /// Returns the generations that piloted a pair.
    fn generations_of(&self, digest: &str) -> Vec<u32> {
        self.plans
            .iter()
            .filter(|p| p.digest == digest)
            .map(|p| p.generation)
            .collect()
    }

    /// Returns the plan of a generation; `None` when nothing more may be spent.
    async fn plan(
        &mut self,
        plan: &Plan,
        generation: u32,
    ) -> Result<Option<PlanRecord>, SynthesisError> {
        let proposal = match self.ledger.plan(generation)? {
            Some(proposal) => proposal,
            None => {
                let Some(proposal) = self.proposal(plan, generation).await? else {
                    return Ok(None);
                };
                self.ledger.propose(generation, &proposal)?;
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

    async fn proposal(
        &self,
        plan: &Plan,
        generation: u32,
    ) -> Result<Option<Proposal>, SynthesisError> {
        let settings = &self.bench.settings;
        if generation == 0 {
            let (pair, change) = first(plan, &self.store, &settings.evolution.plans)?;
            return Ok(Some(Proposal::unchanged(&pair, change)));
        }
        let current = &self.plans[self.at_work()];
        let stopped = decide::stopped(&self.plans, &self.ledger.tally, &settings.evolution);
        if let Some(why) = stopped {
            let change = format!("as before: {why}");
            return Ok(Some(Proposal::unchanged(&current.pair, change)));
        }
        let Some(clients) = &self.bench.clients else {
            let change = "as before: no model is bound that could reflect";
            return Ok(Some(Proposal::unchanged(&current.pair, change)));
        };
        let of = self.generations_of(&current.digest);
        let attempts: Vec<&Attempt> = self
            .ledger
            .items()
            .iter()
            .map(|item| &item.attempt)
            .filter(|attempt| of.contains(&attempt.generation))
            .collect();
        let step = reflect(
            &clients.reflector,
            plan,
            &current.pair,
            &attempts,
            generation,
            settings.seed,
            settings.temperature,
        );
        Ok(self.bench.within(step).await?.ok())
    }

    /// Makes the instances of a generation, as far as the novelty gate.
    async fn pilot(&mut self, generation: u32) -> Result<Result<(), Exhausted>, SynthesisError> {
        let Some(plan) = self.plans.last() else {
            return Ok(Ok(()));
        };
        let at_work = AtWork {
            pair: Arc::new(plan.pair.clone()),
            digest: plan.digest.clone(),
            generation,
        };
        let size = u64::from(self.bench.settings.evolution.pilot_size);
        let items = (0..size).map(|n| {
            let item = Item {
                id: format!("{}-{generation}-{n}", S::NAME),
                number: u64::from(generation) * size + n,
                kind: S::NAME.into(),
                split: Split::TrainRl,
                task: None,
            };
            (item, None)
        });
        let stage = format!("generation {generation}: pilot");
        self.attempts(items.collect(), Some(&at_work), (&stage, Some(size)))
            .await
    }

    /// Plays the first valid instances of a generation.
    async fn play(&mut self, generation: u32) -> Result<Result<(), Exhausted>, SynthesisError> {
        let chosen: Vec<Finished> = self
            .ledger
            .items()
            .iter()
            .filter(|item| item.attempt.generation == generation && item.attempt.valid())
            .take(self.strategy.rollouts())
            .cloned()
            .collect();
        let stage = format!("generation {generation}: rollouts");
        let total = Some(chosen.len() as u64);
        self.rollouts(chosen, (&stage, total)).await
    }

    /// Ends a generation; returns the digest of a pair that a person must decide about.
    fn conclude(
        &mut self,
        generation: u32,
        cut_short: bool,
    ) -> Result<Option<String>, SynthesisError> {
        let parent = self.plans.last().and_then(|plan| plan.parent.clone());
        let parent = parent.map(|digest| self.ledger.tally.pilot(&self.generations_of(&digest)));
        let pilot = self.ledger.tally.pilot(&[generation]);
        let decision = self.bench.settings.decision.clone();
        let Some(plan) = self.plans.last_mut() else {
            return Ok(None);
        };
        plan.pilot = pilot;
        // A pilot that was cut short is compared by what it spent, like any other; one that never began is not.
        if cut_short && plan.pilot.attempted == 0 {
            return Ok(None);
        }
        let now = decision
            .filter(|d| d.digest == plan.digest)
            .map(|d| d.promote);
        let person = self.ledger.decided(&plan.digest, now)?;
        let evolution = &self.bench.settings.evolution;
        let ending = decide::ending(plan, parent.as_ref(), evolution, person);
        plan.outcome = ending.outcome;
        plan.better = ending.better;
        let digest = plan.digest.clone();
        let size = u64::from(evolution.pilot_size);
        self.tell(
            (&format!("generation {generation}: decision"), Some(size)),
            size,
        );
        Ok((ending.outcome == lineage::Outcome::Awaiting).then_some(digest))
    }
}

/// Returns the pair to begin with.
fn first(
    plan: &Plan,
    store: &Store,
    named: &[String],
) -> Result<(PlanPair, String), SynthesisError> {
    let built_in = || (plan.built_in.clone(), "the built-in pair".to_owned());
    match named {
        [] => Ok(built_in()),
        [one] if one == "builtin" => Ok(built_in()),
        [one] => {
            let digest = Digest::parse(one).map_err(|_| {
                Refused(format!(
                    "evolution.plans: {one} is neither `builtin` nor the digest of a pair, such as sha256:…"
                ))
            })?;
            Ok((
                store.get_json(&digest)?,
                format!("the pair {}", digest.short()),
            ))
        }
        many => Err(Refused(format!(
            "evolution.plans: {} pairs are listed, and this version begins with one; list one",
            many.len()
        ))
        .into()),
    }
}
