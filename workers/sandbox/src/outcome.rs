//! The end of a run, and the limits it runs under.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The limits of one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Limits {
    /// Wall clock of a run.
    pub wall: Duration,
    /// Bytes that a run may allocate beyond what the process holds at rest.
    pub memory_bytes: u64,
    /// Depth of Python calls.
    pub recursion: u32,
    /// Bytes printed, and bytes of the answer.
    pub output_bytes: u64,
    /// Calls of host functions.
    pub host_calls: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            wall: Duration::from_secs(2),
            memory_bytes: 256 << 20,
            recursion: 200,
            output_bytes: 64 << 10,
            host_calls: 100_000,
        }
    }
}

/// The limit that ended a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum KillReason {
    /// The wall clock.
    Time,
    /// Memory.
    Memory,
    /// The process died.
    Crash,
    /// Too many host calls.
    HostCalls,
    /// Too much output.
    Output,
    /// Calls too deep.
    Recursion,
}

impl fmt::Display for KillReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Time => "it ran over its time limit",
            Self::Memory => "it used more memory than allowed",
            Self::Crash => "its process died",
            Self::HostCalls => "it made more data accesses than allowed",
            Self::Output => "it wrote more output than allowed",
            Self::Recursion => "its calls went too deep",
        })
    }
}

/// The end of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// It returned.
    Value(Value),
    /// It raised.
    Raised {
        /// The exception's class.
        kind: String,
        /// Its message.
        message: String,
        /// The innermost line of the program, from 1.
        line: Option<u32>,
    },
    /// It was stopped. A verdict of its own: neither right nor wrong.
    Killed(KillReason),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(value) => write!(f, "returned {value}"),
            Self::Raised {
                kind,
                message,
                line: Some(line),
            } => write!(f, "raised {kind} in line {line}: {message}"),
            Self::Raised {
                kind,
                message,
                line: None,
            } => write!(f, "raised {kind}: {message}"),
            Self::Killed(reason) => write!(f, "was killed: {reason}"),
        }
    }
}
