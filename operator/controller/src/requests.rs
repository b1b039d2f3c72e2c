//! Requests to reconcile an object, beside those that its own watch makes: a child, a report or a referenced object changed.
//!
//! Plain channels, since kube's shared streams can stall for ever and hide deletions.

use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};

use crate::names::{Kind, Target};

/// The sending side, for all kinds. Clones share the channels.
#[derive(Clone, Debug)]
pub struct ReconcileRequests {
    synthesis_jobs: UnboundedSender<Target>,
    checker_suites: UnboundedSender<Target>,
    grpo_runs: UnboundedSender<Target>,
}

/// The receiving sides, one for the controller of each kind.
#[derive(Debug)]
pub struct RequestReceivers {
    /// Requests to reconcile SynthesisJobs.
    pub synthesis_jobs: UnboundedReceiver<Target>,
    /// Requests to reconcile CheckerSuites.
    pub checker_suites: UnboundedReceiver<Target>,
    /// Requests to reconcile GRPORuns.
    pub grpo_runs: UnboundedReceiver<Target>,
}

impl ReconcileRequests {
    /// Creates the channels.
    #[must_use]
    pub fn channels() -> (Self, RequestReceivers) {
        let (synthesis_jobs, synthesis_jobs_receiver) = unbounded();
        let (checker_suites, checker_suites_receiver) = unbounded();
        let (grpo_runs, grpo_runs_receiver) = unbounded();
        (
            Self {
                synthesis_jobs,
                checker_suites,
                grpo_runs,
            },
            RequestReceivers {
                synthesis_jobs: synthesis_jobs_receiver,
                checker_suites: checker_suites_receiver,
                grpo_runs: grpo_runs_receiver,
            },
        )
    }

    /// Requests that an object is reconciled. Its controller merges requests that wait at the same time.
    pub fn request(&self, target: &Target) {
        let sender = match target.kind {
            Kind::SynthesisJob => &self.synthesis_jobs,
            Kind::CheckerSuite => &self.checker_suites,
            Kind::GRPORun => &self.grpo_runs,
        };
        // The receiver is dropped only when the operator stops.
        let _ = sender.unbounded_send(target.clone());
    }

    /// Requests that each of these objects is reconciled.
    pub fn request_all<'a>(&self, targets: impl IntoIterator<Item = &'a Target>) {
        targets.into_iter().for_each(|target| self.request(target));
    }
}
