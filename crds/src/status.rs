//! The bounded part of a status that the three kinds share: phase, conditions, clock, retries.

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Condition, Phase, Time};

/// The `observedGeneration` that the API server gives a new object: no operator has reconciled it yet.
pub const UNSEEN: i64 = -1;

/// The part of every status that the life cycle owns.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RunStatus {
    /// A one-word summary, derived from the conditions.
    pub phase: Phase,
    /// The generation of the spec that this status describes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Conditions, at most one of each type.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// Time at which a child first ran.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// Time at which it became Complete or Failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,
    /// Seconds in which a child ran, up to `activeSince`.
    pub active_seconds: u64,
    /// Start of the current uninterrupted run of a child.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_since: Option<Time>,
    /// Attempts of each child, with the time of the next retry.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub attempts: BTreeMap<String, Attempts>,
}

/// The attempts of one child.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Attempts {
    /// Number of the attempt that is due or running, from 0.
    pub current: u32,
    /// Failures that count against `backoffLimit`. Evictions do not.
    pub failures: u32,
    /// The next attempt does not start before this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<Time>,
    /// The reason of the last failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub reason: Option<String>,
}

impl RunStatus {
    /// Tells whether no operator has reconciled the object yet.
    #[must_use]
    pub fn is_unseen(&self) -> bool {
        self.observed_generation
            .is_none_or(|generation| generation == UNSEEN)
    }

    /// Returns the active time up to now.
    #[must_use]
    pub fn active(&self, now: Timestamp) -> std::time::Duration {
        let running = self
            .active_since
            .as_ref()
            .map_or(0, |since| now.as_second() - since.0.as_second());
        std::time::Duration::from_secs(self.active_seconds + u64::try_from(running).unwrap_or(0))
    }

    /// Returns the number of counted failures over all children.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.attempts
            .values()
            .map(|a| a.failures)
            .fold(0, u32::saturating_add)
    }
}
