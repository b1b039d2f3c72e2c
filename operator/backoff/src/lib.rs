//! Exponential backoff: the pauses between the tries of everything that is retried, in the operator and in the workers.
#![forbid(unsafe_code)]

use std::time::Duration;

/// Pauses that double with each failure in a row, up to a longest one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
}

impl Backoff {
    /// Returns pauses from `first`, which follows the first failure, up to `longest`.
    #[must_use]
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest }
    }

    /// Returns the pause after this many failures in a row. There is no pause after no failure.
    #[must_use]
    pub fn pause(&self, failures: u32) -> Duration {
        if failures == 0 {
            return Duration::ZERO;
        }
        let factor = 1_u32.checked_shl(failures - 1).unwrap_or(u32::MAX);
        self.first.saturating_mul(factor).min(self.longest)
    }

    /// Returns the pause after this many failures in a row, shortened by up to a half so that many that failed at once do not
    /// come back at once. `spread` is drawn from 0 up to 1; 0 leaves the pause whole.
    #[must_use]
    pub fn spread(&self, failures: u32, spread: f64) -> Duration {
        let spread = match spread.is_finite() {
            true => spread.clamp(0.0, 1.0),
            false => 0.0,
        };
        self.pause(failures).mul_f64(1.0 - spread / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(120));
        let seconds = |failures| backoff.pause(failures).as_secs();
        assert_eq!(
            [0, 1, 2, 3, 7, 8, 9].map(seconds),
            [0, 1, 2, 4, 64, 120, 120]
        );
        assert_eq!(seconds(u32::MAX), 120);
    }

    #[test]
    fn a_spread_pause_is_between_its_half_and_its_whole() {
        let backoff = Backoff::new(Duration::from_secs(8), Duration::from_secs(120));
        let spread = |by| backoff.spread(1, by).as_secs_f64();
        assert_eq!([0.0, 0.5, 1.0, f64::NAN].map(spread), [8.0, 6.0, 4.0, 8.0]);
    }
}
