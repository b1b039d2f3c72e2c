//! The one module of statistics: pass^k, pass@k, rates and paired differences with 95 % intervals that may be claimed.
//!
//! `pass^k = mean over tasks of C(c, k) / C(n, k)`, where `c` of a task's `n` trials passed: the chance that `k` fresh
//! trials of a task *all* pass (arXiv 2406.12045). `pass@k = mean over tasks of 1 - C(n - c, k) / C(n, k)`: the chance
//! that at least one of them does (arXiv 2107.03374). Both are computed from the counts of each task, never from one
//! another. [`consistent`] finds curves that no counts can give.
//!
//! - A trial that an error ended which is not the agent's is no trial: leave it out of `n` and report it apart.
//! - Tasks of one [`family`] (a branch of the policy) succeed and fail together. Intervals over tasks are clustered by
//!   family: the variance is that of family totals (the linearised variance of a mean over clusters, Liang and Zeger 1986,
//!   with the factor G/(G-1)), the quantile Student's with one degree of freedom less than there are families.
//! - Rates are Wilson intervals, never Wald. Over clusters they use the effective number of trials (Korn and Graubard
//!   1998), so they stay within [0, 1] and are not empty where every task passes.
//! - Trials at temperature 0 against a script are copies of one trial: [`copies`] says when to play a task only once.

mod consistent;

use std::collections::BTreeMap;

use agoge_world::Task;
use serde::{Deserialize, Serialize};

pub use consistent::{Violation, consistent, consistent_within, implied_pass_any};

/// The 97.5 % quantile of the standard normal distribution.
const Z: f64 = 1.959_964;

/// An estimate with its 95 % interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
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

/// The trials of one task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trials<'a> {
    /// The tasks that succeed and fail together with this one: the branch of the policy.
    pub cluster: &'a str,
    /// Trials that passed.
    pub passed: u32,
    /// Trials that came to a verdict.
    pub trials: u32,
}

impl<'a> Trials<'a> {
    /// A task of this branch before its first trial.
    #[must_use]
    pub fn none(cluster: &'a str) -> Self {
        Self {
            cluster,
            passed: 0,
            trials: 0,
        }
    }
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

/// `1 - C(trials - passed, k) / C(trials, k)`; `None` when there were fewer than `k` trials.
#[must_use]
pub fn pass_any(passed: u32, trials: u32, k: u32) -> Option<f64> {
    let failed = trials.checked_sub(passed)?;
    Some(1.0 - pass_hat(failed, trials, k)?)
}

/// Returns the name of the tasks that succeed and fail together with this one: its branch of the policy, without one its
/// template, without either the task itself.
#[must_use]
pub fn family(task: &Task) -> &str {
    let names = [&task.branch, &task.template];
    let found = names.into_iter().find(|name| !name.is_empty());
    found.map_or(task.id.as_str(), String::as_str)
}

/// pass@k over tasks, its interval clustered. Tasks with fewer than `k` trials are left out.
#[must_use]
pub fn pass_any_k(tasks: &[Trials<'_>], k: u32) -> Estimate {
    let counted = tasks
        .iter()
        .filter_map(|task| Some((task.cluster, pass_any(task.passed, task.trials, k)?)));
    clustered_rate(&counted.collect::<Vec<_>>())
}

/// pass^k over tasks, its interval clustered. Tasks with fewer than `k` trials are left out.
#[must_use]
pub fn pass_hat_k(tasks: &[Trials<'_>], k: u32) -> Estimate {
    let counted = tasks
        .iter()
        .filter_map(|task| Some((task.cluster, pass_hat(task.passed, task.trials, k)?)));
    clustered_rate(&counted.collect::<Vec<_>>())
}

/// pass^1 of each branch. Within a branch, tasks are what is sampled, so each is its own cluster.
#[must_use]
pub fn by_branch(tasks: &[Trials<'_>]) -> BTreeMap<String, Estimate> {
    let mut values: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for task in tasks {
        let branch = values.entry(task.cluster).or_default();
        branch.extend(pass_hat(task.passed, task.trials, 1));
    }
    values
        .into_iter()
        .map(|(branch, values)| (branch.to_owned(), mean_rate(&values)))
        .collect()
}

/// The mean of values in [0, 1], each of which is independent of the others.
#[must_use]
pub fn mean_rate(values: &[f64]) -> Estimate {
    let names: Vec<String> = (0..values.len()).map(|n| n.to_string()).collect();
    let named: Vec<(&str, f64)> = names
        .iter()
        .map(String::as_str)
        .zip(values.iter().copied())
        .collect();
    clustered_rate(&named)
}

/// A rate of independent trials with its Wilson interval.
#[must_use]
pub fn rate(passed: usize, trials: usize) -> Estimate {
    if trials == 0 {
        return unknown(0.0);
    }
    let value = passed as f64 / trials as f64;
    let (low, high) = wilson(value, trials as f64);
    Estimate {
        value,
        low,
        high,
        n: trials,
    }
}

/// The mean of values in [0, 1] with their clusters: the Wilson interval of the effective number of trials.
#[must_use]
pub fn clustered_rate(values: &[(&str, f64)]) -> Estimate {
    let n = values.len();
    if n == 0 {
        return unknown(0.0);
    }
    let value = mean(values);
    let (variance, clusters) = variance_of_mean(values, value);
    // One cluster tells nothing of others: it counts as one trial.
    let effective = match clusters {
        1 => 1.0,
        // Without any variance between clusters, each of them counts as one trial.
        _ if variance <= f64::EPSILON => clusters as f64,
        _ => {
            let ratio = Z / student(clusters - 1);
            (value * (1.0 - value) / variance * ratio * ratio).max(1.0)
        }
    };
    let (low, high) = wilson(value, effective);
    Estimate {
        value,
        low,
        high,
        n,
    }
}

/// The mean of paired differences in [-1, 1] with their clusters.
///
/// Where every difference is the same the variance is 0, and the half width is 3 over the number of clusters: what has
/// not been seen in any of them may still occur in that share (the rule of three).
#[must_use]
pub fn paired_difference(differences: &[(&str, f64)]) -> Estimate {
    let n = differences.len();
    if n == 0 {
        return unknown(-1.0);
    }
    let value = mean(differences);
    let (variance, clusters) = variance_of_mean(differences, value);
    let half = match clusters {
        1 => 2.0,
        _ if variance <= f64::EPSILON => 3.0 / clusters as f64,
        _ => student(clusters - 1) * variance.sqrt(),
    };
    Estimate {
        value,
        low: (value - half).max(-1.0),
        high: (value + half).min(1.0),
        n,
    }
}

/// Returns true when trials of one task can only repeat each other: nothing that takes part samples.
#[must_use]
pub fn copies(temperatures: &[f64]) -> bool {
    temperatures.iter().all(|temperature| *temperature <= 0.0)
}

/// Nothing is known: the whole range.
fn unknown(low: f64) -> Estimate {
    Estimate {
        value: 0.0,
        low,
        high: 1.0,
        n: 0,
    }
}

fn mean(values: &[(&str, f64)]) -> f64 {
    let sum: f64 = values.iter().map(|(_, value)| value).sum();
    (sum / values.len() as f64).clamp(-1.0, 1.0)
}

/// The variance of the mean from the totals of clusters, with their number: G/(G-1) * sum over clusters of
/// (sum of (x - mean))^2, over n^2. With one task a cluster it is the usual variance of a mean.
fn variance_of_mean(values: &[(&str, f64)], mean: f64) -> (f64, usize) {
    let mut totals: BTreeMap<&str, f64> = BTreeMap::new();
    for (cluster, value) in values {
        *totals.entry(cluster).or_default() += value - mean;
    }
    let clusters = totals.len();
    let squares: f64 = totals.values().map(|total| total * total).sum();
    let correction = clusters as f64 / (clusters.max(2) - 1) as f64;
    let n = values.len() as f64;
    (correction * squares / (n * n), clusters)
}

/// Wilson's interval of a rate over `n` trials; `n` need not be whole.
fn wilson(value: f64, n: f64) -> (f64, f64) {
    let z2 = Z * Z;
    let centre = (value + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = Z / (1.0 + z2 / n) * (value * (1.0 - value) / n + z2 / (4.0 * n * n)).sqrt();
    // At the ends of the range the interval reaches them exactly, up to rounding.
    let low = (centre - half).clamp(0.0, value);
    let high = (centre + half).clamp(value, 1.0);
    (low, high)
}

/// The 97.5 % quantile of Student's distribution with `df` degrees of freedom (Abramowitz and Stegun 26.7.5; exact for 1
/// and 2).
fn student(df: usize) -> f64 {
    match df {
        0 => f64::INFINITY,
        1 => 12.706_205,
        2 => 4.302_653,
        _ => {
            let v = df as f64;
            let z2 = Z * Z;
            let g1 = (z2 + 1.0) / 4.0;
            let g2 = ((5.0 * z2 + 16.0) * z2 + 3.0) / 96.0;
            let g3 = (((3.0 * z2 + 19.0) * z2 + 17.0) * z2 - 15.0) / 384.0;
            let g4 = ((((79.0 * z2 + 776.0) * z2 + 1482.0) * z2 - 1920.0) * z2 - 945.0) / 92_160.0;
            Z * (1.0 + (g1 + (g2 + (g3 + g4 / v) / v) / v) / v)
        }
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

    /// Values with the number of their cluster.
    fn clustered() -> impl Strategy<Value = Vec<(u8, f64)>> {
        proptest::collection::vec((0u8..9, 0u8..=4), 1..60).prop_map(|drawn| {
            drawn
                .into_iter()
                .map(|(g, x)| (g, f64::from(x) / 4.0))
                .collect()
        })
    }

    fn named(values: &[(u8, f64)]) -> Vec<(&'static str, f64)> {
        const NAMES: [&str; 9] = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];
        values
            .iter()
            .map(|(g, x)| (NAMES[*g as usize], *x))
            .collect()
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
            let tasks: Vec<Trials<'_>> = tasks
                .into_iter()
                .map(|passed| Trials { cluster: "a", passed, trials: 4 })
                .collect();
            let curve: Vec<f64> = (1..=4).map(|k| pass_hat_k(&tasks, k).value).collect();
            prop_assert!(curve.windows(2).all(|pair| pair[0] >= pair[1] - 1e-12));
        }

        #[test]
        fn pass_any_is_the_inclusion_and_exclusion_of_pass_hat(n in 1u32..12, c in 0u32..12, k in 1u32..12) {
            let (c, k) = (c.min(n), k.min(n));
            let sum: f64 = (1..=k)
                .map(|i| {
                    let sign = if i % 2 == 1 { 1.0 } else { -1.0 };
                    sign * choose(k, i) * pass_hat(c, n, i).unwrap()
                })
                .sum();
            prop_assert!((pass_any(c, n, k).unwrap() - sum).abs() < 1e-6);
        }

        /// Whatever the counts are, their curve passes the check that published curves are held to.
        #[test]
        fn a_curve_of_counts_is_consistent(tasks in proptest::collection::vec(0u32..=8, 1..40)) {
            let tasks: Vec<Trials<'_>> = tasks
                .into_iter()
                .map(|passed| Trials { cluster: "a", passed, trials: 8 })
                .collect();
            let curve: Vec<f64> = (1..=8).map(|k| pass_hat_k(&tasks, k).value).collect();
            prop_assert_eq!(consistent(&curve), Ok(()));
            let any = implied_pass_any(&curve).unwrap();
            prop_assert!((pass_any_k(&tasks, 8).value - any).abs() < 1e-6);
        }

        #[test]
        fn every_interval_holds_its_value_within_bounds_and_has_a_width(values in clustered()) {
            let values = named(&values);
            for (estimate, floor) in [(clustered_rate(&values), 0.0), (paired_difference(&values), -1.0)] {
                prop_assert!(estimate.low <= estimate.value && estimate.value <= estimate.high);
                prop_assert!(estimate.low >= floor && estimate.high <= 1.0);
                prop_assert!(estimate.high - estimate.low > 1e-5, "{estimate:?}");
            }
        }

        /// A task counted twice in its branch is no more evidence: only independent estimates narrow.
        #[test]
        fn copies_of_tasks_within_their_branch_do_not_narrow_an_interval(values in clustered()) {
            let values = named(&values);
            let doubled: Vec<_> = values.iter().chain(&values).copied().collect();
            let (one, two) = (clustered_rate(&values), clustered_rate(&doubled));
            prop_assert!((one.low - two.low).abs() < 1e-9 && (one.high - two.high).abs() < 1e-9);
        }

        /// The Wilson interval is the set of rates p with |x - p| <= z sqrt(p (1 - p) / n).
        #[test]
        fn wilson_ends_where_the_score_test_does(passed in 0usize..=50, more in 0usize..50) {
            let trials = (passed + more).max(1);
            let estimate = rate(passed, trials);
            for end in [estimate.low, estimate.high] {
                let gap = (estimate.value - end).abs();
                let bound = Z * (end * (1.0 - end) / trials as f64).sqrt();
                prop_assert!((gap - bound).abs() < 1e-6, "{estimate:?} at {end}");
            }
        }
    }

    #[test]
    fn an_interval_over_branches_is_that_of_their_totals() {
        // Four branches of three tasks, each all right or all wrong: as much as four tasks, not twelve.
        let names = ["a", "b", "c", "d"];
        let values: Vec<(&str, f64)> = (0..12)
            .map(|n| (names[n % 4], if n % 4 < 2 { 1.0 } else { 0.0 }))
            .collect();
        let four: Vec<(&str, f64)> = values[..4].to_vec();
        let (all, four) = (clustered_rate(&values), clustered_rate(&four));
        assert!((all.low - four.low).abs() < 1e-12 && (all.value, all.n) == (0.5, 12));
        // By hand: the variance is 4/3 * 4 * (3 * 0.5)^2 / 144 = 1/12.
        assert!((variance_of_mean(&values, 0.5).0 - 1.0 / 12.0).abs() < 1e-12);
        let alone = rate(6, 12);
        assert!(all.high - all.low > alone.high - alone.low);
    }

    #[test]
    fn quantiles_are_those_of_the_tables() {
        for (df, quantile) in [
            (1, 12.706),
            (2, 4.303),
            (3, 3.182),
            (5, 2.571),
            (10, 2.228),
            (26, 2.056),
        ] {
            assert!(
                (student(df) - quantile).abs() < 0.02,
                "{df}: {}",
                student(df)
            );
        }
    }

    #[test]
    fn nothing_counted_is_the_whole_range_and_missing_trials_are_no_failures() {
        assert_eq!((rate(0, 0).low, rate(0, 0).high), (0.0, 1.0));
        assert_eq!(
            (paired_difference(&[]).low, paired_difference(&[]).high),
            (-1.0, 1.0)
        );
        let task = |passed, trials| Trials {
            cluster: "a",
            passed,
            trials,
        };
        // Of four trials one ended by an endpoint's fault: three of three passed.
        let estimate = pass_hat_k(&[task(3, 3), task(4, 4), task(0, 0)], 3);
        assert_eq!((estimate.value, estimate.n), (1.0, 2));
        let any = pass_any_k(&[task(1, 4), task(0, 4)], 2);
        assert_eq!((any.value, any.n), (0.25, 2));
        assert_eq!(pass_any(3, 2, 1), None);
        assert!(copies(&[0.0, 0.0]) && !copies(&[0.0, 0.7]));
    }
}
