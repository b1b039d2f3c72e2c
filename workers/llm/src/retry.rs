//! The waits of one request through the faults of its endpoint: after the time that the endpoint asks for, else after a
//! pause that doubles with every fault, until the endpoint's patience is over.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant, SystemTime};

use agoge_backoff::Backoff;

use crate::error::{Fault, Kind};

/// The waits that an endpoint does not ask for.
const OWN: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(15));
/// The longest addition to a wait that an endpoint asks for.
const SPREAD: Duration = Duration::from_secs(1);
/// A busy endpoint that answers others is waited for so many times the patience.
const BUSY: u32 = 4;
/// An endpoint that is there, and answers with something that is no answer, is waited for a part of the patience.
const THERE: u32 = 5;

/// The faults that a request has met so far.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    first: Option<Instant>,
    /// The first of the last faults in a row that an endpoint made which is there.
    there: Option<Instant>,
    tries: u32,
}

/// The endpoint at the time of a fault.
pub(crate) struct Now {
    /// The time.
    pub at: Instant,
    /// The time of the endpoint's last answer to any request.
    pub answered: Option<Instant>,
    /// The longest outage that is waited out.
    pub patience: Duration,
    /// A number from 0 up to 1 that spreads the waits of many requests.
    pub jitter: f64,
}

impl Waiting {
    /// Returns the pause after a fault, or the error when the fault has lasted too long.
    ///
    /// A busy endpoint is waited for as long as it answers anybody, within bounds. Any other fault counts from the request's
    /// own first one, and one that comes with status 200 has only a part of the patience.
    pub fn after(
        &mut self,
        fault: &Fault,
        asked: Option<Duration>,
        now: &Now,
    ) -> Result<Duration, Kind> {
        let first = *self.first.get_or_insert(now.at);
        self.tries = self.tries.saturating_add(1);
        let own = now.at.saturating_duration_since(first);
        let heard = now.answered.filter(|at| *at > first);
        let busy = matches!(fault, Fault::Busy { .. });
        let there = matches!(
            fault,
            Fault::Nonsense { .. } | Fault::Failed { status: ..300, .. }
        );
        self.there = there.then(|| self.there.unwrap_or(now.at));
        let silent = now.at.saturating_duration_since(heard.unwrap_or(first));
        let mut left = match busy && own < now.patience.saturating_mul(BUSY) {
            true => now.patience.saturating_sub(silent),
            false => now.patience.saturating_sub(own),
        };
        if let Some(since) = self.there {
            let lasted = now.at.saturating_duration_since(since);
            left = left.min((now.patience / THERE).saturating_sub(lasted));
        }
        let too_long = asked.is_some_and(|asked| asked > now.patience);
        if left.is_zero() || too_long {
            return Err(Kind::Lasting {
                fault: fault.clone(),
                tries: self.tries,
                lasted_for: own,
                others: heard.is_some(),
            });
        }
        Ok(match asked {
            // An endpoint that names a time too short, again and again, is not asked at its own pace.
            Some(asked) => (asked + (asked / 10).min(SPREAD).mul_f64(now.jitter))
                .max(OWN.spread(self.tries - 1, now.jitter)),
            None => OWN.spread(self.tries, now.jitter).min(left),
        })
    }
}

/// Reads `Retry-After`: seconds or a date.
pub(crate) fn retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<f64>() {
        return (seconds.is_finite() && seconds >= 0.0)
            .then(|| Duration::from_secs_f64(seconds.min(1e6)));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

/// Returns a number from 0 up to 1, another one each time.
pub(crate) fn jitter() -> f64 {
    let drawn = RandomState::new().hash_one(0_u8) >> 11;
    drawn as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_read_in_seconds_and_as_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let of = |text| retry_after(text, now);
        assert_eq!(of(" 7 "), Some(Duration::from_secs(7)));
        assert_eq!(
            of("Sun, 06 Nov 1994 08:49:47 GMT"),
            Some(Duration::from_secs(10))
        );
        assert_eq!(
            of("Sun, 06 Nov 1994 08:00:00 GMT"),
            Some(Duration::ZERO),
            "a date that is over"
        );
        assert_eq!((of("soon"), of("-1"), of("NaN")), (None, None, None));
    }

    fn fault() -> Fault {
        Fault::Failed {
            status: 502,
            said: "bad gateway".into(),
        }
    }

    fn busy() -> Fault {
        Fault::Busy {
            status: 429,
            said: "slow down".into(),
        }
    }

    fn now(at: Instant, answered: Option<Instant>) -> Now {
        Now {
            at,
            answered,
            patience: Duration::from_secs(300),
            jitter: 0.0,
        }
    }

    #[test]
    fn pauses_double_and_end_with_the_patience_of_the_request() {
        let begin = Instant::now();
        let at = |seconds| now(begin + Duration::from_secs(seconds), None);
        let mut waiting = Waiting::default();
        let first = waiting.after(&fault(), None, &at(0)).unwrap();
        let second = waiting.after(&fault(), None, &at(1)).unwrap();
        assert!(second > first && first > Duration::ZERO);
        let last = waiting.after(&fault(), None, &at(299)).unwrap();
        assert_eq!(last, Duration::from_secs(1), "the last try is at the end");
        let over = waiting.after(&fault(), None, &at(300)).unwrap_err();
        assert!(
            matches!(
                over,
                Kind::Lasting {
                    tries: 4,
                    others: false,
                    ..
                }
            ),
            "{over}"
        );
    }

    #[test]
    fn the_time_that_is_asked_for_is_kept_and_one_beyond_the_patience_ends_it() {
        let begin = Instant::now();
        let mut waiting = Waiting::default();
        let asked = Some(Duration::from_secs(120));
        let pause = waiting.after(&busy(), asked, &now(begin, None)).unwrap();
        assert_eq!(pause, Duration::from_secs(120));
        let day = Some(Duration::from_secs(86_400));
        assert!(waiting.after(&busy(), day, &now(begin, None)).is_err());
    }

    #[test]
    fn a_busy_endpoint_is_waited_for_while_it_answers_others_and_a_failing_one_is_not() {
        let begin = Instant::now();
        let later = begin + Duration::from_secs(400);
        let answered = Some(begin + Duration::from_secs(390));
        let mut waiting = Waiting::default();
        assert!(waiting.after(&busy(), None, &now(begin, None)).is_ok());
        assert!(waiting.after(&busy(), None, &now(later, answered)).is_ok());
        let over = waiting
            .after(&fault(), None, &now(later, answered))
            .unwrap_err();
        assert!(matches!(over, Kind::Lasting { others: true, .. }), "{over}");
        let much_later = now(
            begin + Duration::from_secs(1300),
            Some(begin + Duration::from_secs(1299)),
        );
        assert!(waiting.after(&busy(), None, &much_later).is_err());
    }

    #[test]
    fn an_endpoint_that_is_there_and_answers_wrongly_is_not_waited_for_so_long() {
        let begin = Instant::now();
        let minute = now(begin + Duration::from_secs(60), None);
        let within = |status| Fault::Failed {
            status,
            said: "the provider went away".into(),
        };
        for (fault, over) in [(within(200), true), (within(502), false)] {
            let mut waiting = Waiting::default();
            waiting.after(&fault, None, &now(begin, None)).unwrap();
            let second = waiting.after(&fault, None, &minute);
            assert_eq!(second.is_err(), over, "{fault}");
        }
        // A gateway that comes back before its provider does is given the same time.
        let mut waiting = Waiting::default();
        waiting
            .after(&within(502), None, &now(begin, None))
            .unwrap();
        assert!(waiting.after(&within(200), None, &minute).is_ok());
    }

    #[test]
    fn the_jitter_stays_within_its_bounds_and_changes() {
        let drawn: Vec<f64> = (0..100).map(|_| jitter()).collect();
        assert!(drawn.iter().all(|x| (0.0..1.0).contains(x)));
        assert!(drawn.windows(2).any(|two| two[0] != two[1]));
    }
}
