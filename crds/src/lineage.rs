//! The lineage of plan pairs as a status shows it: the change and the gain of each generation.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Generations that a status lists at most; the store keeps all.
pub const MAX_LINEAGE: usize = 8;

/// One plan pair of one generation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Generation {
    /// Its number, from 0.
    pub generation: u32,
    /// Digest of the plan pair.
    #[schemars(length(max = 80))]
    pub digest: String,
    /// Digest of the plan pair it was made from.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 80))]
    pub parent: Option<String>,
    /// The change, in a sentence.
    #[schemars(length(max = 160))]
    pub change: String,
    /// Its outcome.
    pub outcome: Outcome,
    /// Instances attempted in the pilot.
    pub attempted: u64,
    /// Valid and novel ones.
    pub valid: u64,
    /// Accepted ones.
    pub accepted: u64,
    /// Valid and novel instances for a thousand tokens, with its interval.
    #[serde(rename = "yield")]
    pub yield_: Interval,
    /// Failures by cause.
    pub attribution: Attribution,
    /// Tokens spent.
    pub tokens: u64,
    /// US dollars spent.
    pub cost: f64,
}

/// The outcome of a generation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// The first, or still being piloted.
    #[default]
    Pilot,
    /// It replaced its parent.
    Promoted,
    /// Its parent stays.
    RolledBack,
    /// The pilots do not tell; its parent stays.
    Undecided,
    /// A person must decide.
    Awaiting,
}

/// A person's decision about a plan pair, such as the annotation `agoge.dev/promote: <digest>`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Decision {
    /// Digest of the plan pair.
    pub digest: String,
    /// True promotes it, false rolls it back.
    pub promote: bool,
}

/// Annotation by which a person promotes the plan pair of this digest.
pub const PROMOTE: &str = "agoge.dev/promote";
/// Annotation by which a person rolls the plan pair of this digest back.
pub const ROLL_BACK: &str = "agoge.dev/rollback";

impl Decision {
    /// Returns the decision in the annotations of a SynthesisJob. One who both promotes and rolls back, rolls back.
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

/// An estimate with its interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Interval {
    /// The estimate.
    pub value: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// Failures by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Attribution {
    /// The task or its checker was wrong.
    pub task: u64,
    /// The agent was wrong.
    pub trajectory: u64,
    /// The simulated user was wrong.
    pub user: u64,
    /// An endpoint, a process or a limit failed.
    pub infra: u64,
}
