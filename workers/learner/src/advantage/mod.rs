//! Advantages of the trajectories of one group: statistics over trajectories, never over samples or tokens.
//!
//! A group is the `G` rollouts of one task. A rollout that errored (infrastructure, checker, user) has no reward: it is
//! `None` here, enters no statistic, and gets advantage 0.

mod group_mean;
mod grpo;
mod rloo;

use serde::{Deserialize, Serialize};

/// Which advantage a trajectory gets from the rewards of its group. One small file per estimator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Estimator {
    /// `R - mean(R)`: Dr. GRPO's advantage, no difficulty bias. The default.
    #[default]
    GroupMean,
    /// `(R - mean(R)) / (std(R) + 1e-6)` with the sample standard deviation: the GRPO paper's.
    Grpo,
    /// `n / (n - 1) * (R - mean(R))`: the leave-one-out baseline.
    Rloo,
}

impl Estimator {
    /// Advantages of one group, in the order of `rewards`; errored members (`None`) get 0.
    ///
    /// A group with fewer than two rewards carries no comparison: everything is 0, never NaN.
    #[must_use]
    pub fn advantages(self, rewards: &[Option<f64>]) -> Vec<f64> {
        let valid: Vec<f64> = rewards.iter().flatten().copied().collect();
        if valid.len() < 2 {
            return vec![0.0; rewards.len()];
        }
        let of_valid = match self {
            Self::GroupMean => group_mean::advantages(&valid),
            Self::Grpo => grpo::advantages(&valid),
            Self::Rloo => rloo::advantages(&valid),
        };
        let mut next = of_valid.into_iter();
        rewards
            .iter()
            .map(|reward| reward.and_then(|_| next.next()).unwrap_or(0.0))
            .collect()
    }
}

/// Arithmetic mean of a non-empty slice.
fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALL: [Estimator; 3] = [Estimator::GroupMean, Estimator::Grpo, Estimator::Rloo];

    fn group() -> impl Strategy<Value = Vec<Option<f64>>> {
        proptest::collection::vec(proptest::option::weighted(0.8, 0.0..1.0f64), 0..16)
    }

    proptest! {
        #[test]
        fn advantages_of_a_group_sum_to_zero(rewards in group()) {
            for estimator in ALL {
                let sum: f64 = estimator.advantages(&rewards).iter().sum();
                prop_assert!(sum.abs() < 1e-9, "{estimator:?}: {sum}");
            }
        }

        #[test]
        fn an_errored_member_changes_nobody_elses_advantage(rewards in group(), at in 0usize..16) {
            let at = at.min(rewards.len());
            let mut with_error = rewards.clone();
            with_error.insert(at, None);
            for estimator in ALL {
                let mut got = estimator.advantages(&with_error);
                prop_assert_eq!(got.remove(at), 0.0);
                prop_assert_eq!(got, estimator.advantages(&rewards));
            }
        }

        #[test]
        fn equal_rewards_carry_no_advantage_and_no_nan(reward in 0.0..1.0f64, n in 0usize..16) {
            for estimator in ALL {
                for advantage in estimator.advantages(&vec![Some(reward); n]) {
                    prop_assert!(advantage.abs() < 1e-9);
                }
            }
        }
    }

    #[test]
    fn formulas_match_a_hand_computed_group() {
        let rewards = [Some(1.0), Some(0.0), None, Some(1.0), Some(0.0)];
        assert_eq!(
            Estimator::GroupMean.advantages(&rewards),
            [0.5, -0.5, 0.0, 0.5, -0.5]
        );
        let rloo = Estimator::Rloo.advantages(&rewards);
        assert!((rloo[0] - 2.0 / 3.0).abs() < 1e-12 && rloo[2] == 0.0);
        let grpo = Estimator::Grpo.advantages(&rewards);
        let std = (1.0f64 / 3.0).sqrt();
        assert!((grpo[0] - 0.5 / (std + 1e-6)).abs() < 1e-12);
    }
}
