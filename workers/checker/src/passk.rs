//! pass^k from raw trial counts, with its interval: what an evaluation may claim.
//!
//! `pass^k = mean over tasks of C(c, k) / C(n, k)`, where `c` of a task's `n` trials passed: the chance that `k` fresh
//! trials of a task *all* pass (arXiv 2406.12045). It is not pass@k, the chance that at least one does.

use serde::{Deserialize, Serialize};

/// An estimate with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The mean over tasks.
    pub value: f64,
    /// Lower end of the 95 % interval.
    pub low: f64,
    /// Upper end of the 95 % interval.
    pub high: f64,
    /// Tasks counted.
    pub n: usize,
}

/// `C(passed, k) / C(trials, k)`; `None` when there were fewer than `k` trials.
#[must_use]
pub fn pass_hat(passed: u32, trials: u32, k: u32) -> Option<f64> {
    if k == 0 || trials < k || passed > trials {
        return None;
    }
    if passed < k {
        return Some(0.0);
    }
    Some(
        (0..k)
            .map(|i| f64::from(passed - i) / f64::from(trials - i))
            .product(),
    )
}

/// pass^k over tasks given as `(passed, trials)`; tasks with fewer than `k` trials are left out.
#[must_use]
pub fn pass_hat_k(tasks: &[(u32, u32)], k: u32) -> Estimate {
    let per_task: Vec<f64> = tasks
        .iter()
        .filter_map(|(c, n)| pass_hat(*c, *n, k))
        .collect();
    mean_interval(&per_task, 0.0, 1.0)
}

/// The mean of paired differences `a - b` with its 95 % interval.
#[must_use]
pub fn paired_difference(a: &[f64], b: &[f64]) -> Estimate {
    let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
    mean_interval(&differences, -1.0, 1.0)
}

/// Mean with a normal 95 % interval over tasks, cut at the bounds the quantity has. No task: the whole range.
#[must_use]
pub fn mean_interval(values: &[f64], floor: f64, ceiling: f64) -> Estimate {
    let n = values.len();
    if n == 0 {
        return Estimate {
            value: 0.0,
            low: floor,
            high: ceiling,
            n,
        };
    }
    let value = values.iter().sum::<f64>() / n as f64;
    let variance = values.iter().map(|v| (v - value).powi(2)).sum::<f64>() / (n.max(2) - 1) as f64;
    let half = 1.959_964 * (variance / n as f64).sqrt();
    Estimate {
        value,
        low: (value - half).max(floor),
        high: (value + half).min(ceiling),
        n,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn choose(n: u32, k: u32) -> f64 {
        (0..k)
            .map(|i| f64::from(n - i) / f64::from(i + 1))
            .product()
    }

    proptest! {
        #[test]
        fn pass_hat_is_the_ratio_of_binomials(n in 1u32..20, c in 0u32..20, k in 1u32..20) {
            let (c, k) = (c.min(n), k.min(n));
            let expected = if c < k { 0.0 } else { choose(c, k) / choose(n, k) };
            prop_assert!((pass_hat(c, n, k).unwrap() - expected).abs() < 1e-9);
        }

        #[test]
        fn pass_hat_k_never_rises_with_k(tasks in proptest::collection::vec(0u32..=4, 1..40)) {
            let tasks: Vec<(u32, u32)> = tasks.into_iter().map(|c| (c, 4)).collect();
            let curve: Vec<f64> = (1..=4).map(|k| pass_hat_k(&tasks, k).value).collect();
            prop_assert!(curve.windows(2).all(|pair| pair[0] >= pair[1] - 1e-12));
        }
    }

    #[test]
    fn an_interval_holds_its_mean_and_stays_within_bounds() {
        let estimate = pass_hat_k(&[(4, 4), (4, 4), (0, 4), (2, 4)], 1);
        assert!((estimate.value - 0.625).abs() < 1e-12);
        assert!(estimate.low <= estimate.value && estimate.value <= estimate.high);
        assert!(estimate.high <= 1.0 && estimate.low >= 0.0 && estimate.n == 4);
    }
}
