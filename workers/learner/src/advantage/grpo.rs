//! `A_i = (R_i - mean(R)) / (std(R) + eps)`, sample standard deviation, eps 1e-6 (GRPO, arXiv 2402.03300).

use super::{Advantage, mean};

const EPS: f64 = 1e-6;

pub(super) struct Grpo;

impl Advantage for Grpo {
    fn of_rewards(&self, rewards: &[f64]) -> Vec<f64> {
        let baseline = mean(rewards);
        let squares: f64 = rewards
            .iter()
            .map(|reward| (reward - baseline).powi(2))
            .sum();
        let std = (squares / (rewards.len() as f64 - 1.0)).sqrt();
        rewards
            .iter()
            .map(|reward| (reward - baseline) / (std + EPS))
            .collect()
    }
}
