//! The check that a curve of pass^k can come from counts at all.
//!
//! With the estimator `mean C(c, k) / C(n, k)` the `r`-th difference at `k` is a probability: that of `k + r` trials of a
//! task, drawn without replacement, the first `k` pass and the other `r` fail. So every difference
//! `sum over i of (-1)^i C(r, i) pass^(k+i)` is at least 0, for every `k` and `r` within the curve, where pass^0 is 1. Such a
//! sequence is called completely monotone (Hausdorff 1921). Published tables break the rule when their columns come from
//! different runs, or when a column is not pass^k.

/// A difference of a curve that is negative, which no counts can give.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error(
    "no counts can give these figures: the difference of order {order} at pass^{k} is {value:.4}, and it is a probability"
)]
pub struct Violation {
    /// The `k` at which the difference begins; 0 is pass^0, which is 1.
    pub k: u32,
    /// The order of the difference; 1 says that pass^k rises.
    pub order: u32,
    /// The difference, below 0 by more than rounding explains.
    pub value: f64,
}

/// Checks a curve `pass^1, pass^2, ...` of exact values in [0, 1].
///
/// # Errors
/// The [`Violation`] of lowest order.
pub fn consistent(curve: &[f64]) -> Result<(), Violation> {
    consistent_within(curve, 1e-12)
}

/// Checks a curve of values in [0, 1] that were rounded, each by at most `rounding`: 0.0005 for percentages with one
/// decimal. A difference of order `r` may then be `2^r` times as much below 0.
///
/// # Errors
/// The [`Violation`] of lowest order.
pub fn consistent_within(curve: &[f64], rounding: f64) -> Result<(), Violation> {
    let mut differences: Vec<f64> = std::iter::once(1.0).chain(curve.iter().copied()).collect();
    let mut allowed = rounding.max(1e-12);
    for order in 1..=curve.len() {
        allowed *= 2.0;
        differences = differences.windows(2).map(|w| w[0] - w[1]).collect();
        let broken = differences
            .iter()
            .position(|value| value.is_nan() || *value < -allowed);
        if let Some(k) = broken {
            return Err(Violation {
                k: u32::try_from(k).unwrap_or(u32::MAX),
                order: u32::try_from(order).unwrap_or(u32::MAX),
                value: differences[k],
            });
        }
    }
    Ok(())
}

/// Returns the pass@k that a curve pass^1 to pass^k implies, by inclusion and exclusion; `None` without a curve.
#[must_use]
pub fn implied_pass_any(curve: &[f64]) -> Option<f64> {
    if curve.is_empty() {
        return None;
    }
    let mut differences: Vec<f64> = std::iter::once(1.0).chain(curve.iter().copied()).collect();
    while differences.len() > 1 {
        differences = differences.windows(2).map(|w| w[0] - w[1]).collect();
    }
    // The last difference is the chance that every trial fails.
    Some(1.0 - differences[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn percent(curve: &[f64]) -> Vec<f64> {
        curve.iter().map(|value| value / 100.0).collect()
    }

    #[test]
    fn published_curves_that_no_counts_can_give_are_found() {
        let retail = consistent_within(&percent(&[67.5, 63.5, 57.9]), 0.0005).unwrap_err();
        assert_eq!((retail.k, retail.order), (1, 2));
        assert!((retail.value + 0.016).abs() < 1e-9, "{retail}");
        let telecom = consistent_within(&percent(&[93.0, 88.6, 81.6, 81.6]), 0.0005).unwrap_err();
        assert_eq!((telecom.k, telecom.order), (1, 2));
        assert!((telecom.value + 0.026).abs() < 1e-9, "{telecom}");
        let rises = consistent(&[0.5, 0.6]).unwrap_err();
        assert_eq!((rises.k, rises.order), (1, 1));
        // One trial in ten fails, so of two at least one fails in a fifth of all draws at most.
        let low = consistent(&[0.9, 0.7]).unwrap_err();
        assert_eq!((low.k, low.order), (0, 2));
        assert!(consistent(&[f64::NAN]).is_err());
    }

    #[test]
    fn rounded_curves_of_counts_hold_and_imply_their_pass_any() {
        for curve in [
            [71.0, 68.0, 66.5, 66.0],
            [84.21, 75.15, 69.08, 64.91],
            [94.08, 89.33, 85.53, 82.46],
        ] {
            assert_eq!(consistent_within(&percent(&curve), 0.0005), Ok(()));
        }
        let any = implied_pass_any(&percent(&[71.0, 68.0, 66.5, 66.0])).unwrap();
        assert!((any - 0.76).abs() < 1e-9);
        assert_eq!(implied_pass_any(&[]), None);
    }
}
