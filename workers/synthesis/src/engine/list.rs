//! A job without generations: a list of items, divided over shards, and another item for every one that was rejected, unless
//! the list is fixed.
//!
//! The list depends on domain, seed and target alone, and so do the replacements of each kind: all shards come to the same
//! sequence, and each takes its own part of it.

use std::collections::HashMap;

use super::ledger::Finished;
use super::novelty::Novelty;
use super::{Ended, Engine, Exhausted, SynthesisError};
use crate::strategy::{Item, Refused, Strategy};

/// Replacements of one kind that are tried before the job gives up.
const SPARES: usize = 200;

/// The items of all shards, and how many replacements of each kind were taken.
struct Listing {
    items: Vec<(Item, Option<String>)>,
    novelty: Novelty,
    taken: HashMap<String, usize>,
    /// Items listed before any replacement.
    listed: usize,
}

impl Listing {
    /// Puts an item on the list; returns true when it asks for nothing that an earlier one asks for.
    fn take(&mut self, item: Item) -> bool {
        let task = item.task.as_ref();
        let earlier = task.and_then(|task| self.novelty.take(task, &item.id));
        let new = earlier.is_none();
        self.items.push((item, earlier));
        new
    }

    /// Returns the next replacement of an item, with its number among those of its kind.
    fn next<S: Strategy>(
        &mut self,
        strategy: &S,
        shared: &S::Shared,
        rejected: &Item,
    ) -> Result<Option<(Item, usize)>, Refused> {
        let nth = self.taken.entry(rejected.kind.clone()).or_default();
        let item = strategy.replacement(shared, rejected, *nth, self.listed)?;
        *nth += 1;
        Ok(item.map(|item| (item, *nth - 1)))
    }
}

impl<S: Strategy> Engine<'_, S> {
    /// Makes the items of this shard until its target is reached.
    pub(super) async fn list(&mut self) -> Result<Ended, SynthesisError> {
        let mut listing = self.listing()?;
        let settings = &self.bench.settings;
        let (shard, shards) = (settings.shard, settings.shards.max(1));
        let mut due: Vec<(Item, Option<String>)> = listing
            .items
            .iter()
            .enumerate()
            .filter(|(at, _)| at % shards == shard)
            .map(|(_, listed)| listed.clone())
            .collect();
        let mut tried: HashMap<String, usize> = HashMap::new();
        let stage = format!("{} instances", S::NAME);
        while !due.is_empty() {
            if self.round(&due, &stage).await?.is_err() {
                return Ok(Ended::Budget);
            }
            if S::FIXED {
                let accepted = self.ledger.tally.accepted();
                return Ok(match accepted < due.len() as u64 {
                    true => Ended::Tasks,
                    false => Ended::Target,
                });
            }
            let mut next = Vec::new();
            for (item, earlier) in &due {
                let rejected = self.ledger.item(&item.id).filter(|f| !f.attempt.accepted());
                if let (Some(rejected), None) = (rejected, earlier) {
                    let reason = rejected.attempt.reason.clone().unwrap_or_default();
                    let tried = tried.entry(item.kind.clone()).or_default();
                    *tried += 1;
                    let spare = if *tried > SPARES {
                        None
                    } else {
                        self.spare(&mut listing, item)?
                    };
                    next.push(spare.ok_or_else(|| SynthesisError::Barren {
                        strategy: S::NAME,
                        kind: item.kind.clone(),
                        tried: *tried,
                        reason,
                    })?);
                }
            }
            due = next.into_iter().map(|item| (item, None)).collect();
        }
        Ok(Ended::Target)
    }

    /// Lists the items of all shards. A duplicate stays on the list, and the next new item of its kind follows it.
    fn listing(&self) -> Result<Listing, SynthesisError> {
        let target = self.bench.settings.target;
        let items = self.strategy.items(&self.shared, target);
        let mut listing = Listing {
            items: Vec::with_capacity(items.len()),
            novelty: self.known.clone(),
            taken: HashMap::new(),
            listed: items.len(),
        };
        for item in items {
            if S::FIXED {
                listing.items.push((item, None));
                continue;
            }
            let rejected = item.clone();
            if listing.take(item) {
                continue;
            }
            let mut found = false;
            for _ in 0..SPARES {
                match listing.next(&*self.strategy, &self.shared, &rejected)? {
                    None => break,
                    Some((spare, _)) => found = listing.take(spare),
                }
                if found {
                    break;
                }
            }
            if !found {
                let of = |listed: &&(Item, Option<String>)| {
                    listed.1.is_none() && listed.0.kind == rejected.kind
                };
                let most = listing.items.iter().filter(of).count();
                return Err(Refused(format!(
                    "strategies[{}].target.accepted: {target} are asked for, but only {most} different instances of the kind {} \
                     can be made; ask for fewer, or add records or templates",
                    S::NAME, rejected.kind
                ))
                .into());
            }
        }
        Ok(listing)
    }

    /// Makes and plays these items.
    async fn round(
        &mut self,
        due: &[(Item, Option<String>)],
        stage: &str,
    ) -> Result<Result<(), Exhausted>, SynthesisError> {
        if let Err(exhausted) = self.attempts(due.to_vec(), None, (stage, None)).await? {
            return Ok(Err(exhausted));
        }
        let valid = due
            .iter()
            .filter_map(|(item, _)| self.ledger.item(&item.id));
        let chosen: Vec<Finished> = valid
            .filter(|item| item.attempt.valid() && !item.attempt.accepted())
            .cloned()
            .collect();
        self.rollouts(chosen, (stage, None)).await
    }

    /// Returns the next replacement that is this shard's own and asks for something new.
    fn spare(&self, listing: &mut Listing, rejected: &Item) -> Result<Option<Item>, Refused> {
        let settings = &self.bench.settings;
        while let Some((item, nth)) = listing.next(&*self.strategy, &self.shared, rejected)? {
            let own = nth % settings.shards.max(1) == settings.shard;
            if listing.take(item.clone()) && own {
                return Ok(Some(item));
            }
        }
        Ok(None)
    }
}
