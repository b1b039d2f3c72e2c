//! Which objects have news: the first at once, then at most one per object and [`INTERVAL`].

use futures::Stream;
use std::collections::HashMap;
use std::time::Duration;
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::time::{Instant, sleep_until};

/// How long an object's news are gathered after some were told.
pub const INTERVAL: Duration = Duration::from_secs(5);

/// An object of which a Pod has reported.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Change {
    /// Its namespace.
    pub namespace: String,
    /// Its kind.
    pub owner_kind: String,
    /// Its name.
    pub owner_name: String,
}

/// Objects told of lately: until when they wait, and whether there is more to tell by then.
#[derive(Default)]
struct Gatherer {
    waiting: HashMap<Change, (Instant, bool)>,
}

impl Gatherer {
    /// The change, if it may be told now.
    fn offer(&mut self, now: Instant, change: Change) -> Option<Change> {
        match self.waiting.get_mut(&change) {
            Some((until, more)) if now < *until => {
                *more = true;
                None
            }
            _ => {
                self.waiting.insert(change.clone(), (now + INTERVAL, false));
                Some(change)
            }
        }
    }

    /// One change whose wait is over. Objects with nothing to tell are forgotten.
    fn due(&mut self, now: Instant) -> Option<Change> {
        self.waiting
            .retain(|_, (until, more)| now < *until || *more);
        let change = self
            .waiting
            .iter()
            .find(|(_, (until, _))| *until <= now)
            .map(|(change, _)| change.clone())?;
        self.waiting.insert(change.clone(), (now + INTERVAL, false));
        Some(change)
    }

    /// When the next is due.
    fn next(&self) -> Option<Instant> {
        self.waiting
            .values()
            .filter(|(_, more)| *more)
            .map(|(until, _)| *until)
            .min()
    }
}

/// What is told of the changes that `receiver` gets. Ends when no more can come.
pub(crate) fn gathered(receiver: Receiver<Change>) -> impl Stream<Item = Change> + Send + 'static {
    futures::stream::unfold(
        (receiver, Gatherer::default()),
        |(mut receiver, mut gatherer)| async move {
            loop {
                if let Some(change) = gatherer.due(Instant::now()) {
                    return Some((change, (receiver, gatherer)));
                }
                let next = gatherer.next();
                let due = async {
                    match next {
                        Some(at) => sleep_until(at).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    () = due => {}
                    received = receiver.recv() => match received {
                        Ok(change) => if let Some(change) = gatherer.offer(Instant::now(), change) {
                            return Some((change, (receiver, gatherer)));
                        },
                        // The objects passed over report again within seconds.
                        Err(RecvError::Lagged(missed)) => tracing::debug!(missed, "changes were passed over"),
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
    fn an_object_is_told_of_at_once_and_then_once_an_interval() {
        let object = |name: &str| Change {
            namespace: "team".to_owned(),
            owner_kind: "GRPORun".to_owned(),
            owner_name: name.to_owned(),
        };
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut gatherer = Gatherer::default();
        assert_eq!(gatherer.offer(at(0), object("a")), Some(object("a")));
        assert_eq!(gatherer.next(), None, "nothing more to tell");
        assert_eq!(gatherer.offer(at(1), object("a")), None);
        assert_eq!(gatherer.offer(at(2), object("a")), None);
        assert_eq!(
            gatherer.offer(at(2), object("b")),
            Some(object("b")),
            "another does not wait"
        );
        assert_eq!((gatherer.due(at(4)), gatherer.next()), (None, Some(at(5))));
        assert_eq!(gatherer.due(at(5)), Some(object("a")), "the two, as one");
        assert_eq!(
            gatherer.offer(at(6), object("a")),
            None,
            "within an interval of the last"
        );
        assert_eq!(gatherer.due(at(10)), Some(object("a")));
        assert_eq!(
            (gatherer.due(at(20)), gatherer.waiting.len()),
            (None, 0),
            "the quiet are forgotten"
        );
    }
}
