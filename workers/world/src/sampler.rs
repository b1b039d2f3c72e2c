//! The seam to an engine that samples tokens: our own engine, a server of ours, or one that the user runs.

use agoge_dialogue::SampleKey;
use async_trait::async_trait;

use crate::end::Fault;

/// One turn's request to a sampler.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TokensIn {
    /// The growing sequence that the turn belongs to. Each episode has its own for each role.
    pub sequence: u64,
    /// The ids to append before sampling: everything that came since the sequence's last turn.
    pub append: Vec<u32>,
    /// The key of the turn's random numbers.
    pub key: SampleKey,
    /// Sampled ids at most, the stop token included.
    pub max_new: usize,
}

/// One sampled turn.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TokensOut {
    /// The sampled ids, the stop token last.
    pub ids: Vec<u32>,
    /// The log-probability of each id under the distribution it was sampled from.
    pub logprobs: Vec<f32>,
    /// True when the turn ended without a stop token.
    pub truncated: bool,
    /// The version of the weights that sampled the ids.
    pub version: u32,
}

/// An engine that continues sequences of tokens. It may batch the requests of all who wait.
#[async_trait(?Send)]
pub trait Sampler {
    /// Appends to a sequence and samples one turn of it.
    ///
    /// # Errors
    /// [`Fault::Infra`] when the engine or its connection fails.
    async fn sample(&self, request: TokensIn) -> Result<TokensOut, Fault>;

    /// Forgets a sequence, whose episode has ended.
    fn release(&self, _sequence: u64) {}
}
