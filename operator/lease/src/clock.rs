//! The clock by which claims and expiry are measured.

use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

// Unlike CLOCK_MONOTONIC, it includes the time for which the machine was suspended.
#[cfg(any(target_os = "linux", target_os = "android"))]
const CLOCK: ClockId = ClockId::Boottime;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const CLOCK: ClockId = ClockId::Monotonic;

/// Returns the time since the machine started. It never goes back, and cannot be set.
#[must_use]
pub fn now() -> Duration {
    let time = clock_gettime(CLOCK);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}
