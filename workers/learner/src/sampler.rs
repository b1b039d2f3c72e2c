//! Our own engine behind the seam [`Sampler`]: the turns of all who ask are sampled in one batch, which turns join and leave
//! between two forward passes.

use std::cell::RefCell;
use std::task::{Poll, Waker};

use agoge_model::{Batch, Generation, ModelError, Request};
use agoge_world::{Fault, Sampler, TokensIn, TokensOut};
use async_trait::async_trait;

use crate::tasks::Batching;

/// One model's batch. A sequence is a slot of it, so their numbers are below its number of slots.
pub struct BatchSampler {
    state: RefCell<State>,
    version: u32,
}

struct State {
    batch: Batch,
    /// One per slot.
    answers: Vec<Answer>,
    /// The first request that the model could not take.
    failure: Option<ModelError>,
}

#[derive(Default)]
enum Answer {
    #[default]
    Nobody,
    Awaited(Option<Waker>),
    Complete(Generation),
}

impl BatchSampler {
    /// A sampler of `slots` sequences, whose tokens are stamped with `version`.
    #[must_use]
    pub fn new(batch: Batch, slots: usize, version: u32) -> Self {
        Self {
            state: RefCell::new(State {
                batch,
                answers: (0..slots).map(|_| Answer::default()).collect(),
                failure: None,
            }),
            version,
        }
    }
}

impl State {
    fn join(&mut self, request: TokensIn) -> Result<usize, Fault> {
        let slot = usize::try_from(request.sequence).unwrap_or(usize::MAX);
        let request = Request {
            slot,
            append: request.append,
            key: request.key,
            max_new: request.max_new,
        };
        match self.batch.join(&request) {
            Ok(()) => {
                self.answers[slot] = Answer::Awaited(None);
                Ok(slot)
            }
            Err(error) => {
                let fault = Fault::Infra(error.to_string());
                self.failure.get_or_insert(error);
                Err(fault)
            }
        }
    }

    fn poll(&mut self, slot: usize, waker: &Waker) -> Poll<Generation> {
        match std::mem::take(&mut self.answers[slot]) {
            Answer::Complete(generation) => Poll::Ready(generation),
            _ => {
                self.answers[slot] = Answer::Awaited(Some(waker.clone()));
                Poll::Pending
            }
        }
    }
}

#[async_trait(?Send)]
impl Sampler for BatchSampler {
    async fn sample(&self, request: TokensIn) -> Result<TokensOut, Fault> {
        let slot = self.state.borrow_mut().join(request)?;
        let answer = std::future::poll_fn(|cx| self.state.borrow_mut().poll(slot, cx.waker()));
        let Generation {
            ids,
            logprobs,
            truncated,
        } = answer.await;
        Ok(TokensOut {
            ids,
            logprobs,
            truncated,
            version: self.version,
        })
    }

    fn release(&self, sequence: u64) {
        let slot = usize::try_from(sequence).unwrap_or(usize::MAX);
        self.state.borrow_mut().batch.reset(slot);
    }
}

impl Batching for BatchSampler {
    type Error = ModelError;

    /// Counts a failure, too: the next step returns it.
    fn waiting(&self) -> usize {
        let state = self.state.borrow();
        state.batch.running() + usize::from(state.failure.is_some())
    }

    fn step(&self) -> Result<(), ModelError> {
        let mut state = self.state.borrow_mut();
        if let Some(failure) = state.failure.take() {
            return Err(failure);
        }
        for (slot, generation) in state.batch.step()? {
            let before = std::mem::replace(&mut state.answers[slot], Answer::Complete(generation));
            if let Answer::Awaited(Some(waker)) = before {
                waker.wake();
            }
        }
        Ok(())
    }
}
