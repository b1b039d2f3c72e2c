//! A trajectory's tokens as they were seen and sampled. Nothing in it is ever rendered or tokenised again.

use serde::{Deserialize, Serialize};

/// Four columns of one length.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Transcript {
    /// Token ids.
    pub ids: Vec<u32>,
    /// Log-probability of each sampled token under the distribution it was sampled from; 0 elsewhere.
    pub logprobs: Vec<f32>,
    /// True for trained tokens: those that the trained role sampled, its stop token included.
    pub mask: Vec<bool>,
    /// Version of the policy that sampled the token; 0 elsewhere.
    pub versions: Vec<u32>,
}

impl Transcript {
    /// Appends tokens that the model saw and did not sample.
    pub fn push_context(&mut self, ids: &[u32]) {
        self.push(ids, |_| 0.0, false, 0);
    }

    /// Appends tokens that the model sampled. Missing log-probabilities count as 0.
    pub fn push_sampled(&mut self, ids: &[u32], logprobs: &[f32], version: u32) {
        self.push(
            ids,
            |at| logprobs.get(at).copied().unwrap_or(0.0),
            true,
            version,
        );
    }

    /// Returns the number of trained tokens.
    #[must_use]
    pub fn trained_tokens(&self) -> usize {
        self.mask.iter().filter(|m| **m).count()
    }

    fn push(&mut self, ids: &[u32], logprob: impl Fn(usize) -> f32, trained: bool, version: u32) {
        self.ids.extend_from_slice(ids);
        self.logprobs.extend((0..ids.len()).map(logprob));
        self.mask.extend(std::iter::repeat_n(trained, ids.len()));
        self.versions
            .extend(std::iter::repeat_n(version, ids.len()));
    }
}
