//! What a driver sees: the state of children, and of the objects that are referred to.

use std::collections::BTreeMap;

use agoge_crds::{CheckerSuite, Phase, SynthesisJob};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Everything a plan may know beside the object itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// The newest attempt of each child, by key. A child that is not listed does not exist.
    pub children: BTreeMap<String, Seen>,
    /// The SynthesisJob that a CheckerSuite names; `None` when there is none.
    pub synthesis: Option<SynthesisSeen>,
    /// The CheckerSuite that a GRPORun names; `None` when there is none.
    pub suite: Option<SuiteSeen>,
    /// A person's decision about a plan pair.
    pub decision: Option<Decision>,
    /// The name of a CheckerSuite made from this SynthesisJob.
    pub used_by: Option<String>,
}

/// A child as it is seen.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// Which attempt it is.
    pub attempt: u32,
    /// Its state.
    pub state: ChildState,
}

/// The state of a child.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum ChildState {
    /// It does not exist, or was stopped by its driver.
    #[default]
    Absent,
    /// It exists and does not run yet. The reason is set when something is in its way.
    Pending {
        /// Such as `Unschedulable` or `ImagePullBackOff`.
        reason: Option<String>,
        /// For a person.
        message: String,
    },
    /// It runs.
    Running {
        /// Its last report, or null.
        progress: Value,
    },
    /// It ended well.
    Succeeded {
        /// Its report.
        result: Value,
    },
    /// It ended badly.
    Failed {
        /// Exit code, where there was one.
        exit_code: Option<i32>,
        /// One CamelCase word, such as `OOMKilled` or `EndpointDown`.
        reason: String,
        /// For a person: where, and the last line it wrote.
        message: String,
        /// Whether trying again may help.
        retryable: bool,
        /// Whether it was not its own fault (eviction, preemption, a node gone): such failures are not counted.
        disrupted: bool,
    },
}

/// A SynthesisJob that is referred to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SynthesisSeen {
    /// Its phase.
    pub phase: Phase,
    /// Its dataset's digest.
    pub digest: Option<String>,
    /// The digest of what each strategy made: objects in the store.
    pub parts: BTreeMap<String, String>,
}

/// A CheckerSuite that is referred to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SuiteSeen {
    /// Its phase.
    pub phase: Phase,
    /// Its digest.
    pub digest: Option<String>,
    /// Its mutation score.
    pub mutation_score: Option<f64>,
}

/// A person's decision about a plan pair, such as the annotation `agoge.dev/promote: <digest>`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// The plan pair.
    pub digest: String,
    /// Whether it is promoted, or rolled back.
    pub promote: bool,
}

/// Annotation by which a person promotes the plan pair of this digest.
pub const PROMOTE: &str = "agoge.dev/promote";
/// Annotation by which a person rolls the plan pair of this digest back.
pub const ROLL_BACK: &str = "agoge.dev/rollback";

impl Decision {
    /// What the annotations of a SynthesisJob say. Who both promotes and rolls back, rolls back.
    #[must_use]
    pub fn of(annotations: &BTreeMap<String, String>) -> Option<Self> {
        let decision = |key: &str, promote| {
            annotations.get(key).map(|digest| Self {
                digest: digest.clone(),
                promote,
            })
        };
        decision(ROLL_BACK, false).or_else(|| decision(PROMOTE, true))
    }
}

impl From<&SynthesisJob> for SynthesisSeen {
    fn from(job: &SynthesisJob) -> Self {
        let status = job.status.clone().unwrap_or_default();
        let made = status.strategies.into_iter();
        Self {
            phase: status.run.phase,
            digest: status.digest,
            parts: made
                .filter_map(|(name, s)| s.digest.map(|digest| (name, digest)))
                .collect(),
        }
    }
}

impl From<&CheckerSuite> for SuiteSeen {
    fn from(suite: &CheckerSuite) -> Self {
        let status = suite.status.clone().unwrap_or_default();
        let mutation_score = status.mutation_score.and_then(|score| score.parse().ok());
        Self {
            phase: status.run.phase,
            digest: status.digest,
            mutation_score,
        }
    }
}

impl Observed {
    /// The state of this attempt of a child; an older attempt does not count.
    pub(crate) fn state(&self, key: &str, attempt: u32) -> &ChildState {
        static ABSENT: ChildState = ChildState::Absent;
        self.children
            .get(key)
            .filter(|seen| seen.attempt == attempt)
            .map_or(&ABSENT, |seen| &seen.state)
    }

    /// Whether any child runs, of whatever attempt.
    pub(crate) fn anything_runs(&self) -> bool {
        self.children
            .values()
            .any(|seen| matches!(seen.state, ChildState::Running { .. }))
    }
}
