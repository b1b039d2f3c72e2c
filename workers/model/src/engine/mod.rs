//! Batched decoding with a KV cache: many slots, each a growing sequence, sampled in lock-step.
//!
//! Guarantees: a slot's tokens are a function of its own ids, its keys and the weights, not of who else is decoded (up
//! to the last bits of a float32 sum); equal beginnings of empty slots are computed once; nothing is padded.
//! Assumption: between two `generate` calls on a slot the weights are the same, or the slot was reset.

mod batch;
mod cache;
mod forward;
mod kernels;
mod sample;
mod turn;

use std::collections::HashMap;

use crate::{Decoder, ModelError, SampleKey};
use cache::Slot;
use forward::Weights;
use turn::{Turn, step};

pub use batch::Batch;

/// Tokens of one forward pass at most: bounds the memory of a long prefill.
const MAX_ROWS: usize = 2048;

/// One slot's turn.
#[derive(Clone, Debug)]
pub struct Request {
    /// The slot.
    pub slot: usize,
    /// Ids to see before sampling: what came since the slot's last turn.
    pub append: Vec<u32>,
    /// Where its random numbers come from.
    pub key: SampleKey,
    /// Sampled ids at most, the stop token included.
    pub max_new: usize,
}

/// The sampling settings of all slots of a call.
#[derive(Clone, Debug, Default)]
pub struct Sampling {
    /// 0 is greedy.
    pub temperature: f64,
    /// Ids that end a turn. The one that ended it is part of the generation.
    pub stop: Vec<u32>,
}

/// The tokens that a slot generated.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Generation {
    /// Sampled ids, the stop token last.
    pub ids: Vec<u32>,
    /// Log-probability of each under the distribution it was drawn from (temperature included; greedy: temperature 1).
    pub logprobs: Vec<f32>,
    /// True when it ended without a stop token: at `max_new`, or because the slot has no room.
    pub truncated: bool,
}

/// The slots.
#[derive(Debug)]
pub struct Engine {
    slots: Vec<Slot>,
    max_len: usize,
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

    /// Returns true when a slot holds nothing.
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
        let mut groups: Vec<Vec<Turn>> = Vec::new();
        let mut beginnings: HashMap<&[u32], usize> = HashMap::new();
        for (index, request) in requests.iter().enumerate() {
            if !has_room(&self.slots[request.slot], request, self.max_len) {
                continue;
            }
            let slot = std::mem::take(&mut self.slots[request.slot]);
            let fresh = slot.len() == 0;
            let turn = Turn::new(index, slot, request);
            match beginnings.get(request.append.as_slice()).filter(|_| fresh) {
                Some(group) => groups[*group].push(turn),
                None => {
                    if fresh {
                        beginnings.insert(&request.append, groups.len());
                    }
                    groups.push(vec![turn]);
                }
            }
        }
        let threads = usize::try_from(tch::get_num_threads()).unwrap_or(1).max(1);
        let shards = share_out(groups, threads);
        let results = run(decoder, shards, sampling, self.max_len, threads);
        let mut failure = None;
        for (done, result) in results {
            for turn in done {
                self.slots[requests[turn.number].slot] = turn.slot;
                out[turn.number] = turn.out;
            }
            failure = failure.or_else(|| result.err());
        }
        failure.map_or(Ok(out), Err)
    }

    fn check(&self, decoder: &Decoder, requests: &[Request]) -> Result<(), ModelError> {
        let vocab = decoder.config().vocab_size;
        let mut seen = vec![false; self.slots.len()];
        for request in requests {
            match seen.get_mut(request.slot) {
                None => {
                    let reason = format!("there are {} slots", self.slots.len());
                    return Err(refused(request, reason));
                }
                Some(true) => {
                    return Err(refused(request, "it is asked for twice in one call".into()));
                }
                Some(first) => *first = true,
            }
            check_ids(request, &self.slots[request.slot], vocab)?;
        }
        Ok(())
    }
}

fn refused(request: &Request, reason: String) -> ModelError {
    ModelError::Request {
        slot: request.slot,
        reason,
    }
}

/// Refuses a request that has nothing to predict from, or an id that the vocabulary lacks.
fn check_ids(request: &Request, slot: &Slot, vocab: usize) -> Result<(), ModelError> {
    if request.append.is_empty() && slot.len() == 0 {
        let reason = "it is empty and nothing is appended; append at least one id";
        return Err(refused(request, reason.into()));
    }
    match request.append.iter().find(|id| **id as usize >= vocab) {
        Some(id) => {
            let reason = format!("id {id} has no embedding; the policy's vocab_size is {vocab}");
            Err(refused(request, reason))
        }
        None => Ok(()),
    }
}

/// Returns true when a slot can take the request's ids and at least one more.
fn has_room(slot: &Slot, request: &Request, max_len: usize) -> bool {
    slot.len() + request.append.len() < max_len && request.max_new > 0
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

type Done = (Vec<Turn>, Result<(), ModelError>);

/// One thread a shard, each with single-threaded libtorch: decoding is many small operations, and a shard needs to wait
/// for no other.
fn run(
    decoder: &Decoder,
    shards: Vec<Vec<Vec<Turn>>>,
    sampling: &Sampling,
    max_len: usize,
    threads: usize,
) -> Vec<Done> {
    let shards = shards
        .into_iter()
        .map(|groups| groups.into_iter().flatten());
    if threads == 1 {
        let weights = Weights::of(decoder, max_len);
        return shards
            .map(|shard| decode(&weights, shard.collect(), sampling, max_len))
            .collect();
    }
    let results = std::thread::scope(|scope| {
        let handles: Vec<_> = shards
            .map(|shard| {
                let weights = Weights::of(decoder, max_len);
                let turns: Vec<Turn> = shard.collect();
                scope.spawn(move || {
                    tch::set_num_threads(1);
                    decode(&weights, turns, sampling, max_len)
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

/// Samples every turn to its end.
fn decode(weights: &Weights, mut turns: Vec<Turn>, sampling: &Sampling, max_len: usize) -> Done {
    let mut done = Vec::new();
    while !turns.is_empty() {
        if let Err(error) = step(weights, &mut turns, sampling, max_len) {
            done.append(&mut turns);
            return (done, Err(error));
        }
        done.extend(turns.extract_if(.., |turn| turn.ended));
    }
    (done, Ok(()))
}
