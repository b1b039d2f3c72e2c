//! The retry rule: a request is retried only where nothing can have been paid for, after the wait that the endpoint
//! asks for.

use std::time::{Duration, SystemTime};

use agoge_backoff::Backoff;

/// The number of tries.
pub(crate) const TRIES: u32 = 5;
/// The waits that an endpoint does not ask for.
const OWN: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(32));
/// The longest wait that an endpoint may ask for.
const LONGEST: Duration = Duration::from_secs(60);

/// Returns true for a status which means that the endpoint did not begin to work.
pub(crate) fn is_safe(status: u16) -> bool {
    matches!(status, 429 | 503)
}

/// Returns the wait after this many failed tries: what the endpoint asks for, else 0.5 s doubled each time.
pub(crate) fn wait(failures: u32, retry_after: Option<&str>, now: SystemTime) -> Duration {
    let asked = retry_after.and_then(|text| {
        let text = text.trim();
        if let Ok(seconds) = text.parse::<f64>() {
            return (seconds.is_finite() && seconds >= 0.0)
                .then(|| Duration::from_secs_f64(seconds.min(1e6)));
        }
        let date = httpdate::parse_http_date(text).ok()?;
        Some(date.duration_since(now).unwrap_or_default())
    });
    asked.unwrap_or_else(|| OWN.pause(failures)).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_read_in_seconds_and_as_a_date_and_bounded() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let of = |text| wait(1, Some(text), now);
        assert_eq!(of("7"), Duration::from_secs(7));
        assert_eq!(of("Sun, 06 Nov 1994 08:49:47 GMT"), Duration::from_secs(10));
        assert_eq!(of("86400"), LONGEST);
        assert_eq!(of("soon"), Duration::from_millis(500));
        assert_eq!(wait(3, None, now), Duration::from_secs(2));
    }
}
