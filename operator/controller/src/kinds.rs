//! What the driver asks of each kind beside its plan: names to resolve, failure rules, what it refers to, what it tells.

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

/// Instances attempted and accepted, and tokens trained, as a status tells them.
pub type Made = (u64, u64, u64);

/// A kind of ours.
pub trait Ours:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Plannable<Status: Serialize + PartialEq + Default + Clone + Send + Sync>
    + Clone
    + Debug
    + DeserializeOwned
    + Serialize
    + Send
    + Sync
    + 'static
{
    /// Which.
    const KIND: Kind;

    /// Its status.
    fn status(&self) -> Option<&Self::Status>;
    /// The life cycle's part of a status.
    fn run(status: &Self::Status) -> &RunStatus;
    /// The domain it names.
    fn domain(&self) -> &str;
    /// The store it names.
    fn store(&self) -> Option<&str>;
    /// Its worker template.
    fn worker(&self) -> &WorkerTemplate;
    /// The object it waits for.
    fn refers_to(&self) -> Option<Target>;
    /// What it has made so far.
    fn made(status: &Self::Status) -> Made;
    /// Events of its own between two statuses.
    fn notes(_before: &Self::Status, _after: &Self::Status) -> Vec<Event> {
        vec![]
    }

    /// Its name.
    fn target(&self) -> Target {
        Target {
            kind: Self::KIND,
            namespace: self.namespace().unwrap_or_default(),
            name: self.name_any(),
        }
    }

    /// What becomes of failures.
    fn rules(&self) -> &[FailureRule] {
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

impl Ours for SynthesisJob {
    common!(SynthesisJob, SynthesisJobStatus);

    fn refers_to(&self) -> Option<Target> {
        None
    }

    fn made(status: &SynthesisJobStatus) -> Made {
        (status.attempted, status.accepted, 0)
    }

    fn notes(before: &SynthesisJobStatus, after: &SynthesisJobStatus) -> Vec<Event> {
        generations(&before.lineage, &after.lineage)
    }
}

impl Ours for CheckerSuite {
    common!(CheckerSuite, CheckerSuiteStatus);

    fn refers_to(&self) -> Option<Target> {
        let name = self.spec.source.synthesis_job.clone()?;
        Some(Target {
            kind: Kind::SynthesisJob,
            namespace: self.namespace().unwrap_or_default(),
            name,
        })
    }

    fn made(_: &CheckerSuiteStatus) -> Made {
        (0, 0, 0)
    }
}

impl Ours for GRPORun {
    common!(GRPORun, GRPORunStatus);

    fn refers_to(&self) -> Option<Target> {
        Some(Target {
            kind: Kind::CheckerSuite,
            namespace: self.namespace().unwrap_or_default(),
            name: self.spec.suite.name.clone(),
        })
    }

    fn made(status: &GRPORunStatus) -> Made {
        let trained = status.stages.values().map(|stage| stage.trained_tokens);
        (0, 0, trained.fold(0, u64::saturating_add))
    }
}

/// What became of plan pairs: promotion and rollback are events.
fn generations(before: &[Generation], after: &[Generation]) -> Vec<Event> {
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
                "generation {}: plan {} ({}), {} valid of {} attempted, {:.2} valid a thousand tokens",
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
    fn a_promotion_is_told_once() {
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
        assert!(generations(&[], &pilot).is_empty());
        assert_eq!(generations(&pilot, &promoted)[0].reason, "PlanPromoted");
        assert!(generations(&promoted, &promoted).is_empty());
    }
}
