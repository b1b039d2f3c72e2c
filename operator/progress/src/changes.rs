//! Notices about objects with new reports: the first at once, then at most one per object and [`INTERVAL`].

use futures::Stream;
use std::collections::HashMap;
use std::time::Duration;
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::time::{Instant, sleep_until};

/// The shortest time between two notices about an object.
pub const INTERVAL: Duration = Duration::from_secs(5);

/// An object that a Pod has reported about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Change {
    /// Its namespace.
    pub namespace: String,
    /// Its kind.
    pub owner_kind: String,
    /// Its name.
    pub owner_name: String,
}

/// Objects that were noticed lately, with the end of their interval; true if another notice is due by then.
#[derive(Default)]
struct Throttle {
    recent: HashMap<Change, (Instant, bool)>,
}

impl Throttle {
    /// Returns the change if its notice is due now.
    fn offer(&mut self, now: Instant, change: Change) -> Option<Change> {
        match self.recent.get_mut(&change) {
            Some((until, more)) if now < *until => {
                *more = true;
                None
            }
            _ => {
                self.recent.insert(change.clone(), (now + INTERVAL, false));
                Some(change)
            }
        }
    }

    /// Returns a change whose interval is over. Objects without new reports are dropped.
    fn due(&mut self, now: Instant) -> Option<Change> {
        self.recent.retain(|_, (until, more)| now < *until || *more);
        let change = self
            .recent
            .iter()
            .find(|(_, (until, _))| *until <= now)
            .map(|(change, _)| change.clone())?;
        self.recent.insert(change.clone(), (now + INTERVAL, false));
        Some(change)
    }

    /// Returns the time at which an object is to be noticed or dropped next.
    fn next(&self) -> Option<Instant> {
        self.recent.values().map(|(until, _)| *until).min()
    }
}

/// Returns the notices about the changes that `receiver` gets. Ends when no more can come.
pub(crate) fn throttled(receiver: Receiver<Change>) -> impl Stream<Item = Change> + Send + 'static {
    futures::stream::unfold(
        (receiver, Throttle::default()),
        |(mut receiver, mut throttle)| async move {
            loop {
                if let Some(change) = throttle.due(Instant::now()) {
                    return Some((change, (receiver, throttle)));
                }
                let next = throttle.next();
                let due = async {
                    match next {
                        Some(at) => sleep_until(at).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    () = due => {}
                    received = receiver.recv() => match received {
                        Ok(change) => if let Some(change) = throttle.offer(Instant::now(), change) {
                            return Some((change, (receiver, throttle)));
                        },
                        // The objects that were skipped report again within seconds.
                        Err(RecvError::Lagged(missed)) => tracing::debug!(missed, "changes were skipped"),
                        Err(RecvError::Closed) => return None,
                    },
                }
            }
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_noticed_at_once_and_then_once_an_interval() {
        let object = |name: &str| Change {
            namespace: "team".to_owned(),
            owner_kind: "GRPORun".to_owned(),
            owner_name: name.to_owned(),
        };
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut throttle = Throttle::default();
        assert_eq!(throttle.offer(at(0), object("a")), Some(object("a")));
        assert_eq!(throttle.next(), Some(at(5)), "it is dropped then");
        assert_eq!(throttle.offer(at(1), object("a")), None);
        assert_eq!(throttle.offer(at(2), object("a")), None);
        assert_eq!(
            throttle.offer(at(2), object("b")),
            Some(object("b")),
            "another does not wait"
        );
        assert_eq!((throttle.due(at(4)), throttle.next()), (None, Some(at(5))));
        assert_eq!(throttle.due(at(5)), Some(object("a")), "the two, as one");
        assert_eq!(
            throttle.offer(at(6), object("a")),
            None,
            "within an interval of the last"
        );
        assert_eq!(throttle.due(at(10)), Some(object("a")));
        assert_eq!(
            (throttle.due(at(20)), throttle.recent.len()),
            (None, 0),
            "objects without reports are dropped"
        );
    }
}
