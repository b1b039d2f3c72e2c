//! `A_i = R_i - mean(R)` (Dr. GRPO, arXiv 2503.20783).

use super::mean;

pub(super) fn advantages(rewards: &[f64]) -> Vec<f64> {
    let baseline = mean(rewards);
    rewards.iter().map(|reward| reward - baseline).collect()
}
