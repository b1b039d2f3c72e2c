//! The decisions of a candidate: its next step, and the end of its claim to lead. Pure: the time and all observations are
//! arguments.

use std::time::Duration;

/// A lease as the API server returned it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LeaseState {
    /// Its resourceVersion.
    pub(crate) version: String,
    /// The holder's identity; empty if nobody holds it.
    pub(crate) holder: String,
    /// True if its last holder released it. An empty lease that was not released was emptied by somebody else, and its last
    /// holder may still claim to lead.
    pub(crate) released: bool,
    /// The duration that its holder assumes.
    pub(crate) duration: Duration,
}

/// The next step of a candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Do nothing until this time.
    Wait(Duration),
    /// Read the lease.
    Read,
    /// Acquire or renew the lease by writing over this version; `None` creates it.
    Acquire(Option<String>),
    /// Release the lease, which this candidate holds at this version.
    Release(String),
    /// Do nothing ever again.
    Done,
}

/// The last known state of the lease.
#[derive(Clone, Debug)]
enum Knowledge {
    /// The lease must be read.
    Unknown,
    Absent,
    Lease(LeaseState),
}

/// One candidate. All times are readings of one clock, its own.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    identity: String,
    duration: Duration,
    claim_for: Duration,
    knowledge: Knowledge,
    /// The version that was last read, also while the knowledge is `Unknown`.
    version: Option<String>,
    /// The time until which another candidate may claim to lead.
    blocked_until: Duration,
    /// The time until which this candidate leads.
    claim: Option<Duration>,
    /// The time of the next read or renewal.
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

    /// Returns the end of the claim to lead, if there is one. It may be over.
    pub(crate) fn claim(&self) -> Option<Duration> {
        self.claim
    }

    /// Returns true if it leads now.
    #[cfg(test)]
    pub(crate) fn leads(&self, now: Duration) -> bool {
        self.claim.is_some_and(|until| now < until)
    }

    /// Returns the time after which a request counts as failed.
    pub(crate) fn timeout(&self) -> Duration {
        self.duration / 5
    }

    /// Returns the next step.
    pub(crate) fn step(&self, now: Duration) -> Step {
        match &self.knowledge {
            Knowledge::Unknown if now < self.next => Step::Wait(self.next),
            Knowledge::Unknown => Step::Read,
            Knowledge::Lease(seen) if seen.holder == self.identity => match self.resigned {
                true => Step::Release(seen.version.clone()),
                false if now < self.next => Step::Wait(self.next),
                false => Step::Acquire(Some(seen.version.clone())),
            },
            _ if self.resigned => Step::Done,
            Knowledge::Lease(seen) if now >= self.blocked_until => {
                Step::Acquire(Some(seen.version.clone()))
            }
            Knowledge::Absent if now >= self.blocked_until => Step::Acquire(None),
            _ if now < self.next => Step::Wait(self.next.min(self.blocked_until)),
            _ => Step::Read,
        }
    }

    /// Takes the answer to a read. `now` is measured after the answer, so that a slow answer only makes this candidate wait
    /// longer. `jitter` is in 0..1.
    pub(crate) fn was_read(&mut self, now: Duration, lease: Option<LeaseState>, jitter: f64) {
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
        // A lease that this candidate turns out to hold was acquired by a request whose answer got lost: renew it at once.
        self.next = if mine {
            now
        } else {
            now + self.poll_interval(jitter)
        };
    }

    /// Takes a successful write. `sent` is the time before it was sent.
    pub(crate) fn acquired(&mut self, sent: Duration, version: String, jitter: f64) {
        if !self.resigned {
            self.claim = Some(sent + self.claim_for);
        }
        self.next = sent + self.duration.div_f64(5.0).mul_f64(0.9 + 0.2 * jitter);
        self.version = Some(version.clone());
        self.knowledge = Knowledge::Lease(LeaseState {
            version,
            holder: self.identity.clone(),
            released: false,
            duration: self.duration,
        });
    }

    /// Takes a successful release.
    pub(crate) fn released(&mut self) {
        self.knowledge = Knowledge::Absent;
    }

    /// Takes a request without a certain outcome, or one that was refused because the lease has changed. The claim keeps its
    /// end: nobody else may acquire the lease before.
    pub(crate) fn outcome_unknown(&mut self, now: Duration, jitter: f64) {
        self.knowledge = Knowledge::Unknown;
        self.next = now + self.poll_interval(jitter);
    }

    /// Stops to lead for good. The lease is still to be released.
    pub(crate) fn resign(&mut self) {
        self.resigned = true;
        self.claim = None;
        self.next = Duration::ZERO;
    }

    /// Returns the pause between two reads.
    fn poll_interval(&self, jitter: f64) -> Duration {
        self.duration.div_f64(15.0).mul_f64(0.8 + 0.4 * jitter)
    }
}

#[cfg(test)]
#[path = "simulation.rs"]
mod simulation;
