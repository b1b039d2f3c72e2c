//! A batch that turns join and leave between two forward passes, so that a place is taken again as soon as it is free.
//!
//! Guarantees: what a step computes is a function of the turns in the batch, their order of slots and the weights; the
//! longest beginning that another slot has seen is copied, not computed again.

use super::cache::Slot;
use super::forward::Weights;
use super::turn::{Turn, step};
use super::{Generation, Request, Sampling, check_ids, has_room, refused};
use crate::{Decoder, ModelError};

/// Equal ids at the beginning from which on a copy is worth it.
const WORTH_COPYING: usize = 8;

/// Slots, the turns that are being sampled in them, and the weights that sample.
pub struct Batch {
    weights: Weights,
    sampling: Sampling,
    max_len: usize,
    slots: Vec<Slot>,
    /// In the order of their slots; a turn holds its slot while it is sampled.
    turns: Vec<Turn>,
    /// Turns that ended before they began, for lack of room.
    stillborn: Vec<(usize, Generation)>,
}

impl Batch {
    /// A batch of `slots` empty sequences of at most `max_len` ids each, sampled by the decoder's weights as they are now.
    #[must_use]
    pub fn new(decoder: &Decoder, slots: usize, max_len: usize, sampling: Sampling) -> Self {
        Self {
            weights: Weights::of(decoder, max_len),
            sampling,
            max_len,
            slots: (0..slots).map(|_| Slot::default()).collect(),
            turns: Vec::new(),
            stillborn: Vec::new(),
        }
    }

    /// Empties a slot whose turn has ended.
    pub fn reset(&mut self, slot: usize) {
        if let Some(slot) = self.slots.get_mut(slot) {
            slot.clear();
        }
    }

    /// Returns the number of turns that are being sampled.
    #[must_use]
    pub fn running(&self) -> usize {
        self.turns.len() + self.stillborn.len()
    }

    /// Adds a turn from the next step on.
    ///
    /// # Errors
    /// When the request names no slot, a slot whose turn has not ended, has nothing to predict from, or holds an id without
    /// embedding.
    pub fn join(&mut self, request: &Request) -> Result<(), ModelError> {
        let at = match self
            .turns
            .binary_search_by_key(&request.slot, |turn| turn.number)
        {
            Ok(_) => return Err(refused(request, "its turn has not ended".into())),
            Err(at) => at,
        };
        let Some(slot) = self.slots.get_mut(request.slot) else {
            let reason = format!("there are {} slots", self.slots.len());
            return Err(refused(request, reason));
        };
        check_ids(request, slot, self.weights.vocab)?;
        if !has_room(slot, request, self.max_len) {
            let nothing = Generation {
                truncated: true,
                ..Generation::default()
            };
            self.stillborn.push((request.slot, nothing));
            return Ok(());
        }
        let mut slot = std::mem::take(slot);
        let known = match slot.len() {
            0 => self.begin(&mut slot, &request.append),
            _ => 0,
        };
        let mut turn = Turn::new(request.slot, slot, request);
        turn.skip(known);
        self.turns.insert(at, turn);
        Ok(())
    }

    /// Samples one id in every turn and returns the turns that ended, in the order of their slots.
    ///
    /// # Errors
    /// When libtorch fails; the batch is then of no use any more.
    pub fn step(&mut self) -> Result<Vec<(usize, Generation)>, ModelError> {
        let mut ended = std::mem::take(&mut self.stillborn);
        if !self.turns.is_empty() {
            step(&self.weights, &mut self.turns, &self.sampling, self.max_len)?;
        }
        for turn in self.turns.extract_if(.., |turn| turn.ended) {
            self.slots[turn.number] = turn.slot;
            ended.push((turn.number, turn.out));
        }
        ended.sort_by_key(|(slot, _)| *slot);
        Ok(ended)
    }

    /// Begins an empty slot with as many of the ids as any slot has seen as its own beginning, at most all but one.
    /// Returns their number.
    fn begin(&self, slot: &mut Slot, ids: &[u32]) -> usize {
        let most = ids.len().saturating_sub(1);
        let common = |other: &Slot| {
            let pairs = other.seen.iter().zip(&ids[..most]);
            pairs.take_while(|(a, b)| a == b).count()
        };
        let own = common(slot);
        let idle = self.slots.iter();
        let busy = self.turns.iter().map(|turn| &turn.slot);
        // The first of the best: the order of slots, never of time.
        let mut best: Option<(usize, &Slot)> = None;
        for other in idle.chain(busy) {
            let known = common(other);
            if known > best.map_or(own, |(most, _)| most) {
                best = Some((known, other));
            }
        }
        match best {
            Some((known, other)) if known >= WORTH_COPYING => {
                slot.begin_as(other, self.weights.width, known);
                known
            }
            _ => {
                slot.begin(own);
                own
            }
        }
    }
}
