//! The pauses of everything that the controller retries.

use std::time::Duration;

use agoge_backoff::Backoff;

/// After reconciles that failed.
pub const RECONCILE: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(120));
/// After failures to change the leader's label.
pub const LEADER_LABEL: Backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(10));
/// After failures to read or create the certificate authority.
pub const AUTHORITY: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(30));
