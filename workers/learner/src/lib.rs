//! Training: SFT with exact masks and GRPO over trajectories, and the statistics both are judged by.

pub mod adamw;
pub mod advantage;
pub mod aggregation;
pub mod arena;
pub mod batch;
pub mod certify;
pub mod checkpoint;
pub mod correction;
pub mod evaluate;
pub mod filter;
pub mod gradient;
pub mod grpo;
pub mod loss;
pub mod objective;
pub mod parallel;
pub mod players;
mod ranks;
pub mod rollout;
mod sampler;
mod schedule;
pub mod sft;
pub mod shuffle;
pub mod source;
mod speaker;
pub mod tasks;

use agoge_c10d::RanksError;
use agoge_model::ModelError;

/// An error that ends a whole batch of work. An error of one episode is in its trajectory instead.
#[derive(Debug, thiserror::Error)]
pub enum LearnerError {
    /// Training was asked to stop; the last checkpoint holds.
    #[error("stopped on request")]
    Stopped,
    /// There is no task to play.
    #[error(
        "there is no task to learn from; give the suite's source a larger target, or share in the split trainRl"
    )]
    NoTasks,
    /// The model does not fit the work.
    #[error("running the model: {0}")]
    Model(#[from] ModelError),
    /// Another rank of the same training is gone, or does not answer.
    #[error(transparent)]
    Ranks(#[from] RanksError),
    /// No rollout server answers.
    #[error("{0}")]
    Rollouts(String),
    /// A message between ranks cannot be read.
    #[error("reading what another rank sent: {0}")]
    Message(String),
    /// No rollout has room for its first token.
    #[error(
        "maxTrajectoryTokens is {limit}, and the prompt with the shortest first message of a user has {prompt} tokens, so no rollout could say anything; raise it well above {prompt}"
    )]
    NoRoom {
        /// Tokens before the first one that the agent samples.
        prompt: usize,
        /// Tokens of a trajectory at most.
        limit: u32,
    },
    /// Gradients stay infinite or NaN.
    #[error(
        "the gradient was not finite in {count} steps in a row, so nothing was learned in them; lower learningRate, or raise warmup"
    )]
    Diverged {
        /// Steps, or updates of an epoch.
        count: usize,
    },
    /// Steps pass without an update.
    #[error("{0}")]
    NoUpdate(Box<grpo::Idle>),
    /// Demonstrations are longer than a rollout may be.
    #[error(
        "{} of {of} demonstrations fit into a rollout, so what they show cannot be played; raise {raise} under stages.grpo",
        some(.fitting)
    )]
    DoNotFit {
        /// Demonstrations that fit.
        fitting: usize,
        /// Demonstrations.
        of: usize,
        /// The limits with the sizes that the longest demonstration needs.
        raise: String,
    },
}

fn some(count: &usize) -> String {
    match count {
        0 => "none".to_owned(),
        count => count.to_string(),
    }
}
