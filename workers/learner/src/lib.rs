//! Training: SFT with exact masks and GRPO over trajectories, and the statistics both are judged by.

pub mod advantage;
pub mod filter;
pub mod loss;
pub mod passk;
