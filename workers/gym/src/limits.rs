//! The limits of a server, and the rate of its requests.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// The limits of a server. Beyond each of them a request is refused with its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerLimits {
    /// Sessions held at a time.
    pub sessions: usize,
    /// A session that has not been used for so long is closed.
    pub idle: Duration,
    /// Tool calls of one session, and texts of its agent.
    pub calls: u32,
    /// Bytes of one session's messages.
    pub session_bytes: usize,
    /// Bytes of one request.
    pub body_bytes: usize,
    /// Requests in a second, of all clients together; 0 leaves them unlimited.
    pub rate: u32,
    /// Requests of one session that may wait for their turn.
    pub waiting: usize,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            sessions: 10_000,
            idle: Duration::from_secs(900),
            calls: 200,
            session_bytes: 4 << 20,
            body_bytes: 1 << 20,
            rate: 5_000,
            waiting: 64,
        }
    }
}

/// A token bucket that holds the requests of one second.
#[derive(Debug)]
pub(crate) struct Rate {
    per_second: f64,
    /// The tokens that were left at this time.
    left: Mutex<(f64, Instant)>,
}

impl Rate {
    /// A full bucket; 0 lets everything through.
    pub fn new(per_second: u32, now: Instant) -> Self {
        let per_second = f64::from(per_second);
        Self {
            per_second,
            left: Mutex::new((per_second, now)),
        }
    }

    /// Takes a token. Returns false when there is none.
    pub fn take(&self, now: Instant) -> bool {
        if self.per_second <= 0.0 {
            return true;
        }
        let mut left = self.left.lock();
        let passed = now.saturating_duration_since(left.1).as_secs_f64();
        let tokens = passed.mul_add(self.per_second, left.0).min(self.per_second);
        let taken = tokens >= 1.0;
        *left = (if taken { tokens - 1.0 } else { tokens }, now);
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_lets_through_its_requests_and_no_more() {
        let start = Instant::now();
        let rate = Rate::new(3, start);
        let taken = |at: Duration| rate.take(start + at);
        assert_eq!(
            [(); 4].map(|()| taken(Duration::ZERO)),
            [true, true, true, false]
        );
        assert!(taken(Duration::from_millis(400)) && !taken(Duration::from_millis(400)));
        let later = Duration::from_secs(60);
        assert_eq!([(); 4].map(|()| taken(later)), [true, true, true, false]);
        assert!((0..100).all(|_| Rate::new(0, start).take(start)));
    }
}
