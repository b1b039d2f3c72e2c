//! The end of a run, and the limits it runs under.
//!
//! A limit of the run itself ends it the same way on every machine: its time is processor time. The clock is only an outer
//! bound; a run that meets it, or whose process is ended from outside, is lost and proves nothing.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The limits of one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Limits {
    /// Processor time of a run. On the clock it may take as long as [`Limits::clock`].
    pub cpu: Duration,
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
            cpu: Duration::from_secs(2),
            memory_bytes: 256 << 20,
            recursion: 200,
            output_bytes: 64 << 10,
            host_calls: 100_000,
        }
    }
}

/// A run may take this many times its processor time on the clock.
const CLOCK: u32 = 10;
/// The shortest bound on the clock.
const LEAST_CLOCK: Duration = Duration::from_secs(10);

impl Limits {
    /// Returns the time that a run may take on the clock, so that a busy machine ends no run.
    #[must_use]
    pub fn clock(&self) -> Duration {
        self.cpu.saturating_mul(CLOCK).max(LEAST_CLOCK)
    }

    /// Returns the outcome of a run that used this much processor time: a run over its time is killed however it ended,
    /// and one that only the clock ended is lost.
    #[must_use]
    pub fn judge(&self, outcome: Outcome, used: Duration) -> Outcome {
        match outcome {
            Outcome::Killed(KillReason::Time) if used <= self.cpu => {
                Outcome::Lost(starved(used, self.clock()))
            }
            Outcome::Killed(_) | Outcome::Lost(_) => outcome,
            _ if used > self.cpu => Outcome::Killed(KillReason::Time),
            outcome => outcome,
        }
    }
}

/// Says that a run was kept waiting for the processor.
pub(crate) fn starved(used: Duration, clock: Duration) -> String {
    format!(
        "it got {:.1} s of processor time in {:.0} s: the machine is too busy, or the process was stopped",
        used.as_secs_f64(),
        clock.as_secs_f64()
    )
}

/// The limit that ended a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum KillReason {
    /// Processor time.
    Time,
    /// Memory.
    Memory,
    /// The process died of what it ran.
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
            Self::Time => "it used more processor time than allowed",
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
    /// It was stopped by a limit of its own, and would be again. A verdict of its own: neither right nor wrong.
    Killed(KillReason),
    /// Its process was ended from outside, or kept waiting, each time that it was tried. Nothing is known about the run.
    Lost(String),
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
            Self::Lost(reason) => write!(f, "was lost: {reason}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_killed_by_its_own_time_and_lost_by_the_clock_alone() {
        let limits = Limits::default();
        let (little, much) = (limits.cpu / 2, limits.cpu * 2);
        let value = Outcome::Value(Value::Bool(true));
        let time = Outcome::Killed(KillReason::Time);
        let memory = Outcome::Killed(KillReason::Memory);
        assert_eq!(limits.judge(value.clone(), little), value);
        assert_eq!(limits.judge(value, much), time);
        assert_eq!(limits.judge(time.clone(), much), time);
        assert_eq!(limits.judge(memory.clone(), little), memory);
        let lost = limits.judge(time, little);
        assert!(
            matches!(&lost, Outcome::Lost(why) if why.contains("too busy")),
            "{lost}"
        );
        assert!(limits.clock() >= limits.cpu * 10);
    }
}
