//! The result of an election, as the rest of the process sees it.

use crate::clock;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// The leadership of this process. Clones share it.
#[derive(Clone, Debug)]
pub struct Leadership(Arc<State>);

#[derive(Debug)]
struct State {
    /// The end of the claim in nanoseconds of [`clock::now`]; 0 if there is none.
    until: AtomicU64,
    transitions: AtomicU64,
    renewed: Notify,
    leads: watch::Sender<bool>,
}

/// A claim to lead, with its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    until: Duration,
}

impl Claim {
    /// Returns the time for which it is still valid; zero once it is over. A request that depends on it should not wait longer.
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

    /// Returns true if this process leads now, by the clock. Check this right before every write.
    #[must_use]
    pub fn leads(&self) -> bool {
        clock::now() < self.until()
    }

    /// Returns the claim to lead, if there is one.
    #[must_use]
    pub fn claim(&self) -> Option<Claim> {
        let claim = Claim {
            until: self.until(),
        };
        (clock::now() < claim.until).then_some(claim)
    }

    /// Returns a receiver of changes: this process begins or ceases to lead. An end may be received late (after a pause of the
    /// process, for example); [`Leadership::leads`] is never late.
    #[must_use]
    pub fn changed(&self) -> watch::Receiver<bool> {
        self.0.leads.subscribe()
    }

    /// Returns the number of times that this process has begun or ceased to lead.
    #[must_use]
    pub fn transitions(&self) -> u64 {
        self.0.transitions.load(Ordering::Relaxed)
    }

    /// Creates a leadership without end, for a process without rivals and for tests.
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

    /// Announces a change of leadership, if there is one.
    fn announce(&self) {
        let leads = self.leads();
        let changed = self
            .0
            .leads
            .send_if_modified(|announced| std::mem::replace(announced, leads) != leads);
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
