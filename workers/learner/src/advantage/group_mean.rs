//! `A_i = R_i - mean(R)` (Dr. GRPO, arXiv 2503.20783).

use super::{Advantage, mean};

pub(super) struct GroupMean;

impl Advantage for GroupMean {
    fn of_rewards(&self, rewards: &[f64]) -> Vec<f64> {
        let baseline = mean(rewards);
        rewards.iter().map(|reward| reward - baseline).collect()
    }
}
