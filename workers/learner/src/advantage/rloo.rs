//! `A_i = R_i - mean of the others = n / (n - 1) * (R_i - mean(R))` (RLOO, arXiv 2402.14740).

use super::{Advantage, mean};

pub(super) struct Rloo;

impl Advantage for Rloo {
    fn of_rewards(&self, rewards: &[f64]) -> Vec<f64> {
        let baseline = mean(rewards);
        let n = rewards.len() as f64;
        rewards
            .iter()
            .map(|reward| n / (n - 1.0) * (reward - baseline))
            .collect()
    }
}
