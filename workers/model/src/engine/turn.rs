//! One step of many turns: a forward pass over the ids that each has not seen yet, then one sampled id for each.

use std::collections::HashMap;

use tch::Tensor;

use super::cache::Slot;
use super::forward::{Row, Weights, floats};
use super::sample::{Choice, choose};
use super::{Generation, MAX_ROWS, Request, Sampling};
use crate::{ModelError, SampleKey};

/// A turn being sampled.
pub(super) struct Turn {
    /// The caller's number for it.
    pub(super) number: usize,
    /// Its sequence.
    pub(super) slot: Slot,
    pub(super) out: Generation,
    pub(super) ended: bool,
    /// Ids that no forward pass has seen.
    unseen: Vec<u32>,
    key: SampleKey,
    max_new: usize,
}

impl Turn {
    /// A turn that continues `slot` with the request's ids.
    pub(super) fn new(number: usize, mut slot: Slot, request: &Request) -> Self {
        let pending = slot.pending.take();
        if slot.cached == 0 {
            slot.begin(0);
        }
        Self {
            number,
            slot,
            out: Generation::default(),
            ended: false,
            unseen: pending
                .into_iter()
                .chain(request.append.iter().copied())
                .collect(),
            key: request.key,
            max_new: request.max_new,
        }
    }

    /// Skips the ids that the slot has cached already; at least one is left to see.
    pub(super) fn skip(&mut self, positions: usize) {
        self.unseen.drain(..positions);
    }

    /// Takes the chosen id, and ends when it stops the turn or no room is left.
    fn take(&mut self, choice: Choice, sampling: &Sampling, max_len: usize) {
        let Choice { id, logprob } = choice;
        self.out.ids.push(id);
        self.out.logprobs.push(logprob);
        let stopped = sampling.stop.contains(&id);
        let full = self.out.ids.len() >= self.max_new || self.slot.cached + 1 >= max_len;
        self.ended = stopped || full;
        self.out.truncated = full && !stopped;
        if self.ended {
            self.slot.pending = Some(id);
        } else {
            self.unseen.push(id);
        }
    }
}

/// Lets every turn see its ids and sample one more. Turns that begin empty slots with the same ids compute them once.
/// None of the turns has ended before.
pub(super) fn step(
    weights: &Weights,
    turns: &mut [Turn],
    sampling: &Sampling,
    max_len: usize,
) -> Result<(), ModelError> {
    tch::no_grad(|| pass(weights, turns, sampling, max_len))
}

fn pass(
    weights: &Weights,
    turns: &mut [Turn],
    sampling: &Sampling,
    max_len: usize,
) -> Result<(), ModelError> {
    let leaders = leaders(turns);
    let mut rows = Vec::new();
    let mut logits_of: Vec<usize> = Vec::with_capacity(turns.len());
    let mut wanted = 0;
    for (at, leader) in leaders.iter().enumerate() {
        let unseen = std::mem::take(&mut turns[at].unseen);
        if *leader != at {
            logits_of.push(logits_of[*leader]);
            continue;
        }
        logits_of.push(wanted);
        wanted += 1;
        let last = unseen.len().saturating_sub(1);
        rows.extend(unseen.iter().enumerate().map(|(n, id)| Row {
            sequence: at,
            id: *id,
            wants_logits: n == last,
        }));
        turns[at].slot.seen.extend_from_slice(&unseen);
    }
    let logits = {
        let mut slots: Vec<&mut Slot> = turns.iter_mut().map(|turn| &mut turn.slot).collect();
        let mut parts = rows
            .chunks(MAX_ROWS)
            .map(|chunk| weights.forward(&mut slots, chunk))
            .collect::<Result<Vec<_>, _>>()?;
        match parts.len() {
            1 => parts.remove(0),
            _ => Tensor::f_cat(&parts, 0)?,
        }
    };
    for (at, leader) in leaders.into_iter().enumerate() {
        if leader != at {
            // A leader comes before those it leads.
            let (before, after) = turns.split_at_mut(at);
            let from = &before[leader].slot;
            after[0].slot.begin_as(from, weights.width, from.cached);
        }
    }
    let mut scratch = Vec::new();
    for (turn, row) in turns.iter_mut().zip(logits_of) {
        let row = weights.vocab * row..weights.vocab * (row + 1);
        let uniform = turn.key.uniform(turn.out.ids.len() as u64);
        let logits = &floats(&logits)[row];
        let choice = choose(logits, sampling.temperature, uniform, &mut scratch);
        turn.take(choice, sampling, max_len);
    }
    Ok(())
}

/// For each turn the first one that begins an empty slot with the same ids; its own number where there is none.
fn leaders(turns: &[Turn]) -> Vec<usize> {
    let mut beginnings: HashMap<&[u32], usize> = HashMap::new();
    let first = |(at, turn)| -> usize {
        let turn: &Turn = turn;
        match turn.slot.cached {
            0 => *beginnings.entry(&turn.unseen).or_insert(at),
            _ => at,
        }
    };
    turns.iter().enumerate().map(first).collect()
}
