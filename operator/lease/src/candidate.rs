//! The decision: what a candidate may do next, and until when it leads. Pure: it is told the time and what was seen.

use std::time::Duration;

/// A lease as the API server showed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Its resourceVersion.
    pub(crate) version: String,
    /// Who holds it; empty: nobody.
    pub(crate) holder: String,
    /// Whether its last holder gave it back. An empty lease without this was emptied by somebody else, and its last holder may
    /// still believe in it.
    pub(crate) released: bool,
    /// The duration its holder counts with.
    pub(crate) duration: Duration,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing until this moment.
    Wait(Duration),
    /// Read the lease.
    Look,
    /// Write the lease as ours over this version; `None`: create it.
    Take(Option<String>),
    /// Empty the lease, which is ours at this version.
    Release(String),
    /// Nothing ever again.
    Done,
}

#[derive(Clone, Debug)]
enum Knowledge {
    /// Only a look can tell.
    Unknown,
    Absent,
    Lease(Seen),
}

/// One candidate. All times are readings of one clock, its own.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    identity: String,
    duration: Duration,
    claim_for: Duration,
    knowledge: Knowledge,
    /// The version that was last seen, also while knowledge is `Unknown`.
    version: Option<String>,
    /// Until when another may believe that it leads.
    blocked_until: Duration,
    /// Until when this one leads.
    claim: Option<Duration>,
    /// When to look or renew next.
    next: Duration,
    resigned: bool,
}

impl Candidate {
    pub(crate) fn new(identity: &str, duration: Duration) -> Self {
        Self {
            identity: identity.to_owned(),
            duration,
            claim_for: duration * 3 / 4,
            knowledge: Knowledge::Unknown,
            version: None,
            blocked_until: Duration::ZERO,
            claim: None,
            next: Duration::ZERO,
            resigned: false,
        }
    }

    /// Until when it leads, if it does. It may be over.
    pub(crate) fn claim(&self) -> Option<Duration> {
        self.claim
    }

    /// Whether it leads now.
    #[cfg(test)]
    pub(crate) fn leads(&self, now: Duration) -> bool {
        self.claim.is_some_and(|until| now < until)
    }

    /// How long a request may take.
    pub(crate) fn patience(&self) -> Duration {
        self.duration / 5
    }

    pub(crate) fn step(&self, now: Duration) -> Step {
        match &self.knowledge {
            Knowledge::Unknown if now < self.next => Step::Wait(self.next),
            Knowledge::Unknown => Step::Look,
            Knowledge::Lease(seen) if seen.holder == self.identity => match self.resigned {
                true => Step::Release(seen.version.clone()),
                false if now < self.next => Step::Wait(self.next),
                false => Step::Take(Some(seen.version.clone())),
            },
            _ if self.resigned => Step::Done,
            Knowledge::Lease(seen) if now >= self.blocked_until => {
                Step::Take(Some(seen.version.clone()))
            }
            Knowledge::Absent if now >= self.blocked_until => Step::Take(None),
            _ if now < self.next => Step::Wait(self.next.min(self.blocked_until)),
            _ => Step::Look,
        }
    }

    /// A look answered. `now` is read after the answer, so that a slow answer only makes this one wait longer.
    /// `jitter` is in 0..1.
    pub(crate) fn looked(&mut self, now: Duration, lease: Option<Seen>, jitter: f64) {
        let mine = lease
            .as_ref()
            .is_some_and(|seen| seen.holder == self.identity);
        if !mine {
            self.claim = None;
        }
        let version = lease.as_ref().map(|seen| seen.version.clone());
        if let Some(seen) = &lease
            && version != self.version
        {
            let wait = if seen.holder.is_empty() && seen.released {
                Duration::ZERO
            } else {
                self.duration.max(seen.duration)
            };
            self.blocked_until = now + wait;
        }
        self.version = version;
        self.knowledge = lease.map_or(Knowledge::Absent, Knowledge::Lease);
        // A lease of ours that a look found was taken by a request whose answer got lost: renew it at once.
        self.next = if mine { now } else { now + self.poll(jitter) };
    }

    /// Our write succeeded; it was `sent` at that moment, before anything left.
    pub(crate) fn took(&mut self, sent: Duration, version: String, jitter: f64) {
        if !self.resigned {
            self.claim = Some(sent + self.claim_for);
        }
        self.next = sent + self.duration.div_f64(5.0).mul_f64(0.9 + 0.2 * jitter);
        self.version = Some(version.clone());
        self.knowledge = Knowledge::Lease(Seen {
            version,
            holder: self.identity.clone(),
            released: false,
            duration: self.duration,
        });
    }

    /// The lease was emptied.
    pub(crate) fn released(&mut self) {
        self.knowledge = Knowledge::Absent;
    }

    /// A request of ours may or may not be carried out, or was refused since the lease is not what we took it for. A claim
    /// stays as long as it was, since nobody else may take the lease while it lasts.
    pub(crate) fn unsure(&mut self, now: Duration, jitter: f64) {
        self.knowledge = Knowledge::Unknown;
        self.next = now + self.poll(jitter);
    }

    /// Stops leading for good. What remains is to release the lease.
    pub(crate) fn resign(&mut self) {
        self.resigned = true;
        self.claim = None;
        self.next = Duration::ZERO;
    }

    /// How often the lease is looked at.
    fn poll(&self, jitter: f64) -> Duration {
        self.duration.div_f64(15.0).mul_f64(0.8 + 0.4 * jitter)
    }
}

#[cfg(test)]
#[path = "simulation.rs"]
mod simulation;
