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
    #[error(
        "{steps} steps in a row brought no update: in {:.0} % of their groups no rollout passed, in {:.0} % every one did, and {:.0} % of the rollouts met a limit; train the policy on more demonstrations first, raise maxTurns, maxTokensPerTurn or maxTrajectoryTokens if rollouts meet a limit, or raise groupSize",
        100.0 * .all_fail, 100.0 * .all_pass, 100.0 * .truncated
    )]
    NoUpdate {
        /// Steps in a row.
        steps: usize,
        /// Share of groups in which no rollout passed.
        all_fail: f64,
        /// Share of groups in which every rollout passed.
        all_pass: f64,
        /// Share of rollouts that a limit ended.
        truncated: f64,
    },
}
