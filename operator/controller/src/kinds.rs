//! The properties of the three kinds that the operator needs beside their plans: the names they use, the objects they refer
//! to, and their own events.

use std::fmt::Debug;

use agoge_crds::lineage::{Generation, Outcome};
use agoge_crds::shared::{FailureRule, WorkerTemplate};
use agoge_crds::{
    CheckerSuite, CheckerSuiteStatus, GRPORun, GRPORunStatus, RunStatus, SynthesisJob,
    SynthesisJobStatus,
};
use agoge_plan::{Event, Plannable};
use k8s_openapi::NamespaceResourceScope;
use kube::{Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::names::{Kind, Target};

/// The amount of work that a status reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkDone {
    /// Instances attempted.
    pub attempted: u64,
    /// Instances accepted.
    pub accepted: u64,
    /// Tokens trained.
    pub trained_tokens: u64,
}

/// One of the three kinds of Agoge.
pub trait AgogeResource:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Plannable<Status: Serialize + PartialEq + Default + Clone + Debug + Send + Sync>
    + Clone
    + Debug
    + DeserializeOwned
    + Serialize
    + Send
    + Sync
    + 'static
{
    /// The kind.
    const KIND: Kind;

    /// Returns the status, if one was written.
    fn status(&self) -> Option<&Self::Status>;
    /// Returns the part of a status that all kinds share.
    fn run(status: &Self::Status) -> &RunStatus;
    /// Returns the name of the domain.
    fn domain(&self) -> &str;
    /// Returns the name of the store, if the manifest names one.
    fn store(&self) -> Option<&str>;
    /// Returns the worker template.
    fn worker(&self) -> &WorkerTemplate;
    /// Returns the object that this one waits for.
    fn refers_to(&self) -> Option<Target>;
    /// Returns the amount of work that a status reports.
    fn work_done(status: &Self::Status) -> WorkDone;
    /// Returns the events that this kind publishes for a change of its status, beside those of all kinds.
    fn kind_events(_before: &Self::Status, _after: &Self::Status) -> Vec<Event> {
        vec![]
    }

    /// Returns kind, namespace and name.
    fn target(&self) -> Target {
        Target {
            kind: Self::KIND,
            namespace: self.namespace().unwrap_or_default(),
            name: self.name_any(),
        }
    }

    /// Returns the manifest's rules for failed workers.
    fn failure_rules(&self) -> &[FailureRule] {
        &self.worker().failure_rules
    }
}

macro_rules! common {
    ($kind:ident, $status:ty) => {
        const KIND: Kind = Kind::$kind;

        fn status(&self) -> Option<&$status> {
            self.status.as_ref()
        }

        fn run(status: &$status) -> &RunStatus {
            &status.run
        }

        fn domain(&self) -> &str {
            &self.spec.domain
        }

        fn store(&self) -> Option<&str> {
            self.spec.store.as_deref()
        }

        fn worker(&self) -> &WorkerTemplate {
            &self.spec.worker
        }
    };
}

impl AgogeResource for SynthesisJob {
    common!(SynthesisJob, SynthesisJobStatus);

    fn refers_to(&self) -> Option<Target> {
        None
    }

    fn work_done(status: &SynthesisJobStatus) -> WorkDone {
        WorkDone {
            attempted: status.attempted,
            accepted: status.accepted,
            trained_tokens: 0,
        }
    }

    fn kind_events(before: &SynthesisJobStatus, after: &SynthesisJobStatus) -> Vec<Event> {
        plan_events(&before.lineage, &after.lineage)
    }
}

impl AgogeResource for CheckerSuite {
    common!(CheckerSuite, CheckerSuiteStatus);

    fn refers_to(&self) -> Option<Target> {
        let name = self.spec.source.synthesis_job.clone()?;
        Some(Target {
            kind: Kind::SynthesisJob,
            namespace: self.namespace().unwrap_or_default(),
            name,
        })
    }

    fn work_done(_: &CheckerSuiteStatus) -> WorkDone {
        WorkDone::default()
    }
}

impl AgogeResource for GRPORun {
    common!(GRPORun, GRPORunStatus);

    fn refers_to(&self) -> Option<Target> {
        Some(Target {
            kind: Kind::CheckerSuite,
            namespace: self.namespace().unwrap_or_default(),
            name: self.spec.suite.name.clone(),
        })
    }

    fn work_done(status: &GRPORunStatus) -> WorkDone {
        let trained = status.stages.values().map(|stage| stage.trained_tokens);
        WorkDone {
            trained_tokens: trained.fold(0, u64::saturating_add),
            ..WorkDone::default()
        }
    }
}

/// Returns an event for each plan pair whose outcome changed: promoted, rolled back, undecided, or awaiting approval.
fn plan_events(before: &[Generation], after: &[Generation]) -> Vec<Event> {
    let outcome = |generation: &Generation| {
        let known = before
            .iter()
            .find(|known| known.digest == generation.digest);
        known.map(|known| known.outcome)
    };
    after
        .iter()
        .filter(|generation| outcome(generation) != Some(generation.outcome))
        .filter_map(|generation| {
            let reason = match generation.outcome {
                Outcome::Promoted => "PlanPromoted",
                Outcome::RolledBack => "PlanRolledBack",
                Outcome::Undecided => "PlanUndecided",
                Outcome::Awaiting => "PlanAwaitsPromotion",
                Outcome::Pilot => return None,
            };
            let message = format!(
                "generation {}: plan {} ({}), {} of {} attempted are valid, {:.2} valid per thousand tokens",
                generation.generation,
                generation.digest,
                generation.change,
                generation.valid,
                generation.attempted,
                generation.yield_.value
            );
            Some(Event {
                warning: false,
                routine: false,
                reason: reason.to_owned(),
                message,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_promotion_is_published_once() {
        let generation = |outcome| Generation {
            generation: 1,
            digest: "sha256:child".into(),
            outcome,
            ..Generation::default()
        };
        let (pilot, promoted) = (
            [generation(Outcome::Pilot)],
            [generation(Outcome::Promoted)],
        );
        assert!(plan_events(&[], &pilot).is_empty());
        assert_eq!(plan_events(&pilot, &promoted)[0].reason, "PlanPromoted");
        assert!(plan_events(&promoted, &promoted).is_empty());
    }
}
