//! Advantages of the trajectories of one group: statistics over trajectories, never over samples or tokens.
//!
//! A group is the `G` rollouts of one task. A rollout that ended in an error (infrastructure, checker, user) has no reward:
//! it is `None` here, enters no statistic, and gets advantage 0.

mod group_mean;
mod grpo;
mod rloo;

use agoge_crds::grpo_run::Algorithm;

/// An estimator of advantages. One small file per algorithm.
pub trait Advantage {
    /// Returns the advantage of each of at least two rewards.
    fn of_rewards(&self, rewards: &[f64]) -> Vec<f64>;
}

/// Returns the estimator of an algorithm.
#[must_use]
pub fn estimator(algorithm: Algorithm) -> &'static dyn Advantage {
    match algorithm {
        Algorithm::GroupMean => &group_mean::GroupMean,
        Algorithm::Grpo => &grpo::Grpo,
        Algorithm::Rloo => &rloo::Rloo,
    }
}

/// Returns the advantages of one group, in the order of `rewards`; members without a reward get 0.
///
/// A group with fewer than two rewards carries no comparison: everything is 0, never NaN.
#[must_use]
pub fn advantages(algorithm: Algorithm, rewards: &[Option<f64>]) -> Vec<f64> {
    let valid: Vec<f64> = rewards.iter().flatten().copied().collect();
    if valid.len() < 2 {
        return vec![0.0; rewards.len()];
    }
    let mut next = estimator(algorithm).of_rewards(&valid).into_iter();
    rewards
        .iter()
        .map(|reward| reward.and_then(|_| next.next()).unwrap_or(0.0))
        .collect()
}

/// Returns the arithmetic mean of a non-empty slice.
fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALL: [Algorithm; 3] = [Algorithm::GroupMean, Algorithm::Grpo, Algorithm::Rloo];

    fn group() -> impl Strategy<Value = Vec<Option<f64>>> {
        proptest::collection::vec(proptest::option::weighted(0.8, 0.0..1.0f64), 0..16)
    }

    proptest! {
        #[test]
        fn advantages_of_a_group_sum_to_zero(rewards in group()) {
            for algorithm in ALL {
                let sum: f64 = advantages(algorithm, &rewards).iter().sum();
                prop_assert!(sum.abs() < 1e-9, "{algorithm:?}: {sum}");
            }
        }

        #[test]
        fn an_errored_member_changes_nobody_elses_advantage(rewards in group(), at in 0usize..16) {
            let at = at.min(rewards.len());
            let mut with_error = rewards.clone();
            with_error.insert(at, None);
            for algorithm in ALL {
                let mut got = advantages(algorithm, &with_error);
                prop_assert_eq!(got.remove(at), 0.0);
                prop_assert_eq!(got, advantages(algorithm, &rewards));
            }
        }

        #[test]
        fn equal_rewards_carry_no_advantage_and_no_nan(reward in 0.0..1.0f64, n in 0usize..16) {
            for algorithm in ALL {
                for advantage in advantages(algorithm, &vec![Some(reward); n]) {
                    prop_assert!(advantage.abs() < 1e-9);
                }
            }
        }
    }

    #[test]
    fn formulas_match_a_hand_computed_group() {
        let rewards = [Some(1.0), Some(0.0), None, Some(1.0), Some(0.0)];
        assert_eq!(
            advantages(Algorithm::GroupMean, &rewards),
            [0.5, -0.5, 0.0, 0.5, -0.5]
        );
        let rloo = advantages(Algorithm::Rloo, &rewards);
        assert!((rloo[0] - 2.0 / 3.0).abs() < 1e-12 && rloo[2] == 0.0);
        let grpo = advantages(Algorithm::Grpo, &rewards);
        let std = (1.0f64 / 3.0).sqrt();
        assert!((grpo[0] - 0.5 / (std + 1e-6)).abs() < 1e-12);
    }
}
