//! The learning rate over a training, the same for SFT and GRPO: a linear rise, then a cosine's fall to a tenth.

/// Returns the learning rate of an update, counted from 1. It rises to `peak` over `warmup` updates; `done` is the share of
/// the training that is over, 0 for a constant rate.
pub(crate) fn rate(peak: f64, update: u64, warmup: u64, done: f64) -> f64 {
    let risen = (update as f64 / warmup.max(1) as f64).min(1.0);
    let fall = 0.55 + 0.45 * (std::f64::consts::PI * done.clamp(0.0, 1.0)).cos();
    peak * risen * fall
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_rises_to_its_peak_stays_where_nothing_falls_and_ends_at_a_tenth() {
        assert_eq!(
            [1, 20, 40, 41].map(|n| rate(2.0, n, 40, 0.0)),
            [0.05, 1.0, 2.0, 2.0]
        );
        assert_eq!(rate(2.0, 1, 0, 0.0), 2.0, "no rise");
        assert!((rate(2.0, 9, 0, 0.5) - 1.1).abs() < 1e-12);
        assert!(
            [1.0, 7.0]
                .iter()
                .all(|done| (rate(2.0, 9, 0, *done) - 0.2).abs() < 1e-12)
        );
    }
}
