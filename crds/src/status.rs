//! What the three kinds share in their statuses: phase, conditions, the clock, retries. Bounded, whatever happens.

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Condition, Phase, Time};

/// The `observedGeneration` of an object that no operator has looked at: what the API server puts there.
pub const UNSEEN: i64 = -1;

/// The part of every status that the life cycle owns.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RunStatus {
    /// One word for people, derived from the conditions.
    pub phase: Phase,
    /// The generation of the spec that this status speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Conditions, one of a type.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// When a child first ran.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// When it became Complete or Failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,
    /// Seconds in which a child ran, up to `activeSince`.
    pub active_seconds: u64,
    /// Since when a child runs without a break.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_since: Option<Time>,
    /// How often each child was tried, and when it may be tried again.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub attempts: BTreeMap<String, Attempts>,
}

/// The tries of one child.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Attempts {
    /// Number of the try that is due or running, from 0.
    pub current: u32,
    /// Failures that count against `backoffLimit`. Evictions do not.
    pub failures: u32,
    /// No try begins before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<Time>,
    /// Why the last one failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub reason: Option<String>,
}

impl RunStatus {
    /// Whether no operator has judged the object yet.
    #[must_use]
    pub fn is_unseen(&self) -> bool {
        self.observed_generation
            .is_none_or(|generation| generation == UNSEEN)
    }

    /// Active time up to now.
    #[must_use]
    pub fn active(&self, now: Timestamp) -> std::time::Duration {
        let running = self
            .active_since
            .as_ref()
            .map_or(0, |since| now.as_second() - since.0.as_second());
        std::time::Duration::from_secs(self.active_seconds + u64::try_from(running).unwrap_or(0))
    }

    /// Failures of all children that count.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.attempts
            .values()
            .map(|a| a.failures)
            .fold(0, u32::saturating_add)
    }
}
