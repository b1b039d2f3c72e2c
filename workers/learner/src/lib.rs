//! Training: SFT with exact masks and GRPO over trajectories, and the statistics both are judged by.

pub mod adamw;
pub mod advantage;
pub mod batch;
pub mod certify;
pub mod checkpoint;
pub mod evaluate;
pub mod filter;
pub mod gradient;
pub mod grpo;
pub mod loss;
pub mod parallel;
pub mod passk;
pub mod players;
mod ranks;
pub mod rollout;
mod schedule;
pub mod sft;
pub mod shuffle;

use agoge_c10d::RanksError;
use agoge_model::ModelError;

/// Why a whole batch of work ended. What goes wrong in one episode is in its trajectory instead.
#[derive(Debug, thiserror::Error)]
pub enum LearnerError {
    /// Somebody asked for it; the last checkpoint holds.
    #[error("stopped on request")]
    Stopped,
    /// Nothing to play.
    #[error(
        "there is no task to learn from; give the suite's source a larger target, or share in the split trainRl"
    )]
    NoTasks,
    /// The model does not fit what it is asked.
    #[error("running the model: {0}")]
    Model(#[from] ModelError),
    /// Another rank of the same training is gone, or nothing is heard of it.
    #[error(transparent)]
    Ranks(#[from] RanksError),
    /// No rollout server answers.
    #[error("{0}")]
    Rollouts(String),
    /// What ranks told each other cannot be read.
    #[error("reading what another rank sent: {0}")]
    Message(String),
}
