//! Batched decoding with a KV cache: many slots, each a growing sequence, sampled in lock-step.
//!
//! Guarantees: a slot's tokens are a function of its own ids, its keys and the weights, not of who else is decoded (up
//! to the last bits of a float32 sum); equal beginnings of empty slots are computed once; nothing is padded.
//! Assumption: between two `generate` calls on a slot the weights are the same, or the slot was reset.

mod cache;
mod forward;
mod kernels;
mod sample;

use std::collections::HashMap;

use agoge_dialogue::SampleKey;
use tch::Tensor;

use crate::{Decoder, ModelError};
use cache::Slot;
use forward::{Row, Weights, floats};
use sample::{Choice, choose};

/// Tokens of one forward pass at most: bounds the memory of a long prefill.
const MAX_ROWS: usize = 2048;

/// One slot's turn.
#[derive(Clone, Debug)]
pub struct Request {
    /// Which slot.
    pub slot: usize,
    /// Ids to see before sampling: what came since the slot's last turn.
    pub append: Vec<u32>,
    /// Where its random numbers come from.
    pub key: SampleKey,
    /// Sampled ids at most, the stop token included.
    pub max_new: usize,
}

/// How all slots of a call sample.
#[derive(Clone, Debug, Default)]
pub struct Sampling {
    /// 0 is greedy.
    pub temperature: f64,
    /// Ids that end a turn. The one that ended it is part of the generation.
    pub stop: Vec<u32>,
}

/// What a slot said.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Generation {
    /// Sampled ids, the stop token last.
    pub ids: Vec<u32>,
    /// Log-probability of each under the distribution it was drawn from (temperature included; greedy: temperature 1).
    pub logprobs: Vec<f32>,
    /// Whether it ended without a stop token: at `max_new`, or because the slot has no room.
    pub truncated: bool,
}

/// The slots.
#[derive(Debug)]
pub struct Engine {
    slots: Vec<Slot>,
    max_len: usize,
}

/// A request on its way.
struct Active<'a> {
    index: usize,
    request: &'a Request,
    slot: Slot,
    /// Where this turn's row of logits lies.
    logits: usize,
    out: Generation,
}

impl Engine {
    /// `slots` empty sequences of at most `max_len` ids each. Memory grows with what they hold.
    #[must_use]
    pub fn new(slots: usize, max_len: usize) -> Self {
        Self {
            slots: (0..slots).map(|_| Slot::default()).collect(),
            max_len,
        }
    }

    /// Empties a slot; one that does not exist is left alone.
    pub fn reset(&mut self, slot: usize) {
        if let Some(slot) = self.slots.get_mut(slot) {
            slot.clear();
        }
    }

    /// Ids that a slot holds, sampled ones included.
    #[must_use]
    pub fn len(&self, slot: usize) -> usize {
        self.slots.get(slot).map_or(0, Slot::len)
    }

    /// Whether a slot holds nothing.
    #[must_use]
    pub fn is_empty(&self, slot: usize) -> bool {
        self.len(slot) == 0
    }

    /// Lets every request's slot see its ids and sample a turn. Results are in the order of the requests. A slot without
    /// room for its ids says nothing and is `truncated`.
    ///
    /// # Errors
    /// When a request names no slot, names one twice, has nothing to predict from, or holds an id without embedding.
    pub fn generate(
        &mut self,
        decoder: &Decoder,
        requests: &[Request],
        sampling: &Sampling,
    ) -> Result<Vec<Generation>, ModelError> {
        self.check(decoder, requests)?;
        let mut out = vec![
            Generation {
                truncated: true,
                ..Generation::default()
            };
            requests.len()
        ];
        let mut groups: Vec<Vec<Active<'_>>> = Vec::new();
        let mut beginnings: HashMap<&[u32], usize> = HashMap::new();
        for (index, request) in requests.iter().enumerate() {
            let room = self
                .max_len
                .saturating_sub(self.slots[request.slot].len() + request.append.len());
            if room == 0 || request.max_new == 0 {
                continue;
            }
            let slot = std::mem::take(&mut self.slots[request.slot]);
            let fresh = slot.len() == 0;
            let active = Active {
                index,
                request,
                slot,
                logits: 0,
                out: Generation::default(),
            };
            match beginnings.get(request.append.as_slice()).filter(|_| fresh) {
                Some(group) => groups[*group].push(active),
                None => {
                    if fresh {
                        beginnings.insert(&request.append, groups.len());
                    }
                    groups.push(vec![active]);
                }
            }
        }
        let threads = usize::try_from(tch::get_num_threads()).unwrap_or(1).max(1);
        let shards = share_out(groups, threads);
        let results = run(decoder, shards, sampling, self.max_len, threads);
        let mut failure = None;
        for (done, result) in results {
            for active in done {
                self.slots[active.request.slot] = active.slot;
                out[active.index] = active.out;
            }
            failure = failure.or_else(|| result.err());
        }
        failure.map_or(Ok(out), Err)
    }

    fn check(&self, decoder: &Decoder, requests: &[Request]) -> Result<(), ModelError> {
        let vocab = decoder.config().vocab_size;
        let mut seen = vec![false; self.slots.len()];
        for request in requests {
            let refuse = |reason: String| {
                Err(ModelError::Request {
                    slot: request.slot,
                    reason,
                })
            };
            match seen.get_mut(request.slot) {
                None => return refuse(format!("there are {} slots", self.slots.len())),
                Some(true) => return refuse("it is asked for twice in one call".into()),
                Some(first) => *first = true,
            }
            if request.append.is_empty() && self.is_empty(request.slot) {
                return refuse(
                    "it is empty and nothing is appended; append at least one id".into(),
                );
            }
            if let Some(id) = request.append.iter().find(|id| **id as usize >= vocab) {
                return refuse(format!(
                    "id {id} has no embedding; the policy's vocab_size is {vocab}"
                ));
            }
        }
        Ok(())
    }
}

/// Groups to threads: each to the one with the fewest requests so far, in order, so that the split is a function of the
/// requests alone.
fn share_out<T>(groups: Vec<Vec<T>>, threads: usize) -> Vec<Vec<Vec<T>>> {
    let total: usize = groups.iter().map(Vec::len).sum();
    let most = total.div_ceil(threads).max(1);
    let mut shards: Vec<(usize, Vec<Vec<T>>)> = (0..threads).map(|_| (0, Vec::new())).collect();
    for mut group in groups {
        // A group larger than a fair share is split; each part computes its beginning once.
        while !group.is_empty() {
            let rest = if group.len() > most {
                group.split_off(most)
            } else {
                Vec::new()
            };
            if let Some(shard) = shards.iter_mut().min_by_key(|(load, _)| *load) {
                shard.0 += group.len();
                shard.1.push(group);
            }
            group = rest;
        }
    }
    shards
        .into_iter()
        .map(|(_, groups)| groups)
        .filter(|groups| !groups.is_empty())
        .collect()
}

type Done<'a> = (Vec<Active<'a>>, Result<(), ModelError>);

/// One thread a shard, each with single-threaded libtorch: decoding is many small operations, and a shard needs to wait
/// for no other.
fn run<'a>(
    decoder: &Decoder,
    shards: Vec<Vec<Vec<Active<'a>>>>,
    sampling: &Sampling,
    max_len: usize,
    threads: usize,
) -> Vec<Done<'a>> {
    if let (1, [_]) = (threads, shards.as_slice()) {
        let weights = Weights::of(decoder, max_len);
        return shards
            .into_iter()
            .map(|shard| decode(&weights, shard, sampling, max_len))
            .collect();
    }
    let results = std::thread::scope(|scope| {
        let handles: Vec<_> = shards
            .into_iter()
            .map(|shard| {
                let weights = Weights::of(decoder, max_len);
                scope.spawn(move || {
                    tch::set_num_threads(1);
                    decode(&weights, shard, sampling, max_len)
                })
            })
            .collect();
        handles
            .into_iter()
            .map(|handle| {
                handle.join().unwrap_or_else(|_| {
                    (
                        Vec::new(),
                        Err(ModelError::Thread("see the message above".into())),
                    )
                })
            })
            .collect()
    });
    // A thread's setting is also the default for threads to come.
    tch::set_num_threads(i32::try_from(threads).unwrap_or(1));
    results
}

fn decode<'a>(
    weights: &Weights,
    groups: Vec<Vec<Active<'a>>>,
    sampling: &Sampling,
    max_len: usize,
) -> Done<'a> {
    let mut done = Vec::new();
    let mut running = Vec::new();
    let result = tch::no_grad(|| {
        let mut logits = prefill(weights, groups, &mut running)?;
        let mut probabilities = Vec::new();
        loop {
            let mut still = Vec::with_capacity(running.len());
            for mut active in running.drain(..) {
                let position = active.out.ids.len() as u64;
                let row = weights.vocab * active.logits..weights.vocab * (active.logits + 1);
                let uniform = active.request.key.uniform(position);
                let Choice { id, logprob } = choose(
                    &floats(&logits)[row],
                    sampling.temperature,
                    uniform,
                    &mut probabilities,
                );
                active.out.ids.push(id);
                active.out.logprobs.push(logprob);
                active.slot.pending = Some(id);
                let stopped = sampling.stop.contains(&id);
                let full =
                    active.out.ids.len() >= active.request.max_new || active.slot.len() >= max_len;
                active.out.truncated = full && !stopped;
                if stopped || full {
                    done.push(active)
                } else {
                    still.push(active)
                }
            }
            running = still;
            if running.is_empty() {
                return Ok(());
            }
            let mut rows = Vec::with_capacity(running.len());
            for (at, active) in running.iter_mut().enumerate() {
                active.logits = at;
                if let Some(id) = active.slot.pending.take() {
                    rows.push(Row {
                        sequence: at,
                        id,
                        wants_logits: true,
                    });
                }
            }
            let mut slots: Vec<&mut Slot> =
                running.iter_mut().map(|active| &mut active.slot).collect();
            logits = weights.forward(&mut slots, &rows)?;
        }
    });
    done.append(&mut running);
    (done, result)
}

/// Lets the first of each group see its ids, copies its cache to the others, and returns the logits of each group.
fn prefill<'a>(
    weights: &Weights,
    groups: Vec<Vec<Active<'a>>>,
    running: &mut Vec<Active<'a>>,
) -> Result<Tensor, ModelError> {
    let mut firsts: Vec<usize> = Vec::with_capacity(groups.len());
    let sizes: Vec<usize> = groups.iter().map(Vec::len).collect();
    for (number, group) in groups.into_iter().enumerate() {
        firsts.push(running.len());
        running.extend(group.into_iter().map(|active| Active {
            logits: number,
            ..active
        }));
    }
    let mut rows = Vec::new();
    for (number, first) in firsts.iter().enumerate() {
        let active = &mut running[*first];
        let ids: Vec<u32> = active
            .slot
            .pending
            .take()
            .into_iter()
            .chain(active.request.append.iter().copied())
            .collect();
        let last = ids.len().saturating_sub(1);
        rows.extend(ids.iter().enumerate().map(|(at, id)| Row {
            sequence: number,
            id: *id,
            wants_logits: at == last,
        }));
    }
    let mut is_first = vec![false; running.len()];
    for first in &firsts {
        is_first[*first] = true;
    }
    let mut slots: Vec<&mut Slot> = running
        .iter_mut()
        .zip(&is_first)
        .filter(|(_, first)| **first)
        .map(|(active, _)| &mut active.slot)
        .collect();
    let parts = rows
        .chunks(MAX_ROWS)
        .map(|chunk| weights.forward(&mut slots, chunk))
        .collect::<Result<Vec<_>, _>>()?;
    let logits = Tensor::f_cat(&parts, 0)?;
    for (first, size) in firsts.iter().zip(sizes) {
        let (head, tail) = running.split_at_mut(first + 1);
        for member in &mut tail[..size - 1] {
            member.slot.copy_from(&head[*first].slot);
        }
    }
    Ok(logits)
}
