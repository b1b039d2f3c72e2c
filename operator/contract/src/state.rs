//! The state of a child, as both drivers give it to plans.

use serde_json::Value;

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
        /// For a person: the place, and the last line that was written there.
        message: String,
        /// True when another attempt may help.
        retryable: bool,
        /// True when it was moved away (eviction, preemption, a node gone): such failures are not counted.
        disrupted: bool,
    },
}
