//! Exponential backoff: the pauses of everything in the operator that is retried.

use std::time::Duration;

/// Pauses that double with each failure in a row, up to a longest one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The pause after the first failure.
    pub first: Duration,
    /// The longest pause.
    pub longest: Duration,
}

/// After reconciles that failed.
pub const RECONCILE: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(120));
/// After failures to change the leader's label.
pub const LEADER_LABEL: Backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(10));
/// After failures to read or create the certificate authority.
pub const AUTHORITY: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(30));

impl Backoff {
    const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest }
    }

    /// Returns the pause after this many failures in a row; none after no failure.
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
        let seconds = |failures| RECONCILE.pause(failures).as_secs();
        assert_eq!(
            [0, 1, 2, 3, 7, 8, 9].map(seconds),
            [0, 1, 2, 4, 64, 120, 120]
        );
        assert_eq!(seconds(u32::MAX), 120);
    }
}
