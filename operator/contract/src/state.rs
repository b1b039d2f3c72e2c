//! The progress that a worker writes, and the state of a child as both drivers give it to plans.

use agoge_crds::report::Report;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The progress of a worker as it writes it: its activity for a person, and the figures of its report.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProgressReport {
    /// The current activity, for a person: `agent SFT`.
    pub stage: String,
    /// Units done and to do; a total of 0 is unknown.
    pub done: u64,
    /// See `done`.
    pub total: u64,
    /// The unit: `epochs`, `steps`, `instances`.
    pub unit: String,
    /// Figures worth showing: `reward`, `loss`, `accepted`.
    pub figures: Map<String, Value>,
    /// Something that a person should know while it runs, told once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
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
        /// Its last report, where there is one that can be read.
        progress: Option<Report>,
    },
    /// It ended well.
    Succeeded {
        /// Its report, or the reason why it cannot be read.
        result: Result<Report, String>,
    },
    /// It ended badly.
    Failed {
        /// Exit code, where there was one.
        exit_code: Option<i32>,
        /// One CamelCase word, such as `OOMKilled` or `EndpointDown`.
        reason: String,
        /// For a person: the place, and the last line that was written there.
        message: String,
        /// True when another attempt may help.
        retryable: bool,
        /// True when it was moved away (eviction, preemption, a node gone): such failures are not counted.
        disrupted: bool,
    },
}

impl ChildState {
    /// Returns the state of a child that runs, by the last reports of its shards.
    #[must_use]
    pub fn running(shards: Vec<Report>) -> Self {
        Self::Running {
            progress: Report::of_shards(shards),
        }
    }

    /// Returns the state of a child that ended well, by the results of its shards.
    #[must_use]
    pub fn succeeded(shards: Vec<Result<Report, String>>) -> Self {
        let shards: Result<Vec<Report>, String> = shards.into_iter().collect();
        let all = |shards| Report::of_shards(shards).ok_or_else(|| "there is no result".to_owned());
        Self::Succeeded {
            result: shards.and_then(all),
        }
    }
}
