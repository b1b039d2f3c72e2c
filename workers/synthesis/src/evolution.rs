//! The rule by which a child plan replaces its parent: pure, and nothing a plan writes can change it.
//!
//! A plan's yield is the number of valid and novel instances a pilot made per token it spent. Counts over an exposure
//! are read as a Poisson process: with a Jeffreys prior the rate's posterior is `Gamma(valid + 1/2, tokens)`, and the
//! chance that the child's rate beats the parent's has the closed form below. The choice of this model is ours.

pub use agoge_artifacts::Pilot;
use serde::{Deserialize, Serialize};
use statrs::function::beta::beta_reg;
use statrs::function::gamma::gamma_lr;

/// The end of a comparison of child and parent. All three are honest ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Decision {
    /// The child's yield is higher with the stated confidence and its coverage is no lower.
    Promoted,
    /// The parent's yield is higher with the stated confidence, or the child lost coverage while not being better.
    RolledBack,
    /// The pilots do not tell.
    Undecided,
}

/// The chance that the child's yield per token is above the parent's: `1 - I_x(a, b)` with `a = valid_child + 1/2`,
/// `b = valid_parent + 1/2`, `x = tokens_child / (tokens_child + tokens_parent)`; 1/2 when either spent nothing.
#[must_use]
pub fn chance_child_is_better(parent: &Pilot, child: &Pilot) -> f64 {
    if parent.tokens == 0 || child.tokens == 0 {
        return 0.5;
    }
    let x = child.tokens as f64 / (child.tokens + parent.tokens) as f64;
    1.0 - beta_reg(child.valid as f64 + 0.5, parent.valid as f64 + 0.5, x)
}

/// The central interval of valid instances per thousand tokens that holds the rate with this probability, by the same
/// posterior, `Gamma(valid + 1/2, tokens)`.
#[must_use]
pub fn interval(pilot: &Pilot, confidence: f64) -> (f64, f64) {
    if pilot.tokens == 0 {
        return (0.0, 0.0);
    }
    let tail = (1.0 - confidence.clamp(0.5, 1.0)) / 2.0;
    let shape = pilot.valid as f64 + 0.5;
    let quantile = |p: f64| {
        let (mut low, mut high) = (0.0, 10.0 * (shape + 10.0));
        for _ in 0..80 {
            let middle = (low + high) / 2.0;
            if gamma_lr(shape, middle) < p {
                low = middle;
            } else {
                high = middle;
            }
        }
        1000.0 * (low + high) / 2.0 / pilot.tokens as f64
    };
    (quantile(tail), quantile(1.0 - tail))
}

/// Compares a child's pilot with its parent's. `confidence` is a probability above one half, such as 0.8.
#[must_use]
pub fn decide(parent: &Pilot, child: &Pilot, confidence: f64) -> Decision {
    let better = chance_child_is_better(parent, child);
    let confidence = confidence.clamp(0.5, 1.0);
    if better >= confidence && child.coverage >= parent.coverage && child.valid > 0 {
        Decision::Promoted
    } else if 1.0 - better >= confidence {
        Decision::RolledBack
    } else {
        Decision::Undecided
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pilot(valid: u64, tokens: u64, coverage: u64) -> Pilot {
        Pilot {
            attempted: 6,
            valid,
            tokens,
            coverage,
        }
    }

    #[test]
    fn a_clear_gain_is_promoted_a_clear_loss_rolled_back_and_noise_left_undecided() {
        let confidence = 0.9;
        assert_eq!(
            decide(&pilot(0, 6000, 0), &pilot(5, 6000, 3), confidence),
            Decision::Promoted
        );
        assert_eq!(
            decide(&pilot(5, 6000, 3), &pilot(0, 6000, 0), confidence),
            Decision::RolledBack
        );
        assert_eq!(
            decide(&pilot(3, 6000, 2), &pilot(3, 6000, 2), confidence),
            Decision::Undecided
        );
    }

    #[test]
    fn more_instances_of_fewer_kinds_are_not_promoted() {
        let narrow = decide(&pilot(1, 6000, 1), &pilot(6, 6000, 0), 0.8);
        assert_ne!(narrow, Decision::Promoted);
    }

    #[test]
    fn the_same_yield_at_twice_the_tokens_is_no_gain() {
        let chance = chance_child_is_better(&pilot(4, 4000, 2), &pilot(4, 8000, 2));
        assert!(chance < 0.3, "{chance}");
    }

    #[test]
    fn the_interval_holds_the_estimate_and_narrows_with_more_tokens() {
        let width = |p: &Pilot| {
            let (low, high) = interval(p, 0.8);
            assert!(
                low < p.per_kilotoken() && p.per_kilotoken() < high,
                "{low} {high}"
            );
            high - low
        };
        assert!(width(&pilot(3, 6000, 1)) > width(&pilot(30, 60_000, 1)));
    }

    proptest! {
        #[test]
        fn comparison_is_antisymmetric_and_never_promotes_both_ways(
            a in 0u64..20, b in 0u64..20, s in 1u64..50_000, t in 1u64..50_000
        ) {
            let (p, q) = (pilot(a, s, 1), pilot(b, t, 1));
            let sum = chance_child_is_better(&p, &q) + chance_child_is_better(&q, &p);
            prop_assert!((sum - 1.0).abs() < 1e-9);
            let both = [decide(&p, &q, 0.8), decide(&q, &p, 0.8)];
            prop_assert!(both != [Decision::Promoted, Decision::Promoted]);
        }
    }
}
