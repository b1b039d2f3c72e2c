//! What the rest of the process sees of an election.

use crate::clock;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// Whether this process leads. Clones share one state.
#[derive(Clone, Debug)]
pub struct Leadership(Arc<State>);

#[derive(Debug)]
struct State {
    /// The end of the claim in nanoseconds of [`clock::now`]; 0: none.
    until: AtomicU64,
    transitions: AtomicU64,
    renewed: Notify,
    leads: watch::Sender<bool>,
}

/// A proof of having led at the moment it was made, with its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    until: Duration,
}

impl Claim {
    /// How long it is still good; zero once it is over. A request sent under it should not be waited for any longer.
    #[must_use]
    pub fn valid_for(&self) -> Duration {
        self.until.saturating_sub(clock::now())
    }
}

impl Leadership {
    pub(crate) fn new() -> Self {
        Self(Arc::new(State {
            until: AtomicU64::new(0),
            transitions: AtomicU64::new(0),
            renewed: Notify::new(),
            leads: watch::Sender::new(false),
        }))
    }

    /// Whether this process leads now, by the clock. To be asked right before every write.
    #[must_use]
    pub fn leads(&self) -> bool {
        clock::now() < self.until()
    }

    /// The claim to lead, while there is one.
    #[must_use]
    pub fn claim(&self) -> Option<Claim> {
        let claim = Claim {
            until: self.until(),
        };
        (clock::now() < claim.until).then_some(claim)
    }

    /// Hears when this process begins or ceases to lead. It may hear of an end late (after a pause of the process, say);
    /// [`Leadership::leads`] does not.
    #[must_use]
    pub fn changed(&self) -> watch::Receiver<bool> {
        self.0.leads.subscribe()
    }

    /// How often this process has begun or ceased to lead.
    #[must_use]
    pub fn transitions(&self) -> u64 {
        self.0.transitions.load(Ordering::Relaxed)
    }

    /// A leader for ever, for a process that has no rivals, and for tests.
    #[must_use]
    pub fn always() -> Self {
        let leadership = Self::new();
        leadership.0.until.store(u64::MAX, Ordering::SeqCst);
        leadership.0.leads.send_replace(true);
        leadership
    }

    fn until(&self) -> Duration {
        Duration::from_nanos(self.0.until.load(Ordering::SeqCst))
    }

    /// Sets the end of the claim.
    pub(crate) fn set(&self, until: Option<Duration>) {
        let nanos = until.map_or(0, |until| {
            u64::try_from(until.as_nanos()).unwrap_or(u64::MAX)
        });
        if self.0.until.swap(nanos, Ordering::SeqCst) != nanos {
            self.announce();
            self.0.renewed.notify_one();
        }
    }

    fn announce(&self) {
        let leads = self.leads();
        let changed = self
            .0
            .leads
            .send_if_modified(|told| std::mem::replace(told, leads) != leads);
        if changed {
            self.0.transitions.fetch_add(1, Ordering::Relaxed);
            tracing::info!(leads, "leadership changed");
        }
    }

    /// Announces the end of a claim that nothing renewed. Never returns.
    pub(crate) async fn expire(&self) {
        loop {
            self.announce();
            match self.claim() {
                None => self.0.renewed.notified().await,
                Some(claim) => {
                    tokio::select! {
                        () = tokio::time::sleep(claim.valid_for()) => {}
                        () = self.0.renewed.notified() => {}
                    }
                }
            }
        }
    }
}
