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
}
