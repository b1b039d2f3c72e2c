//! The contract between drivers and workers: the work that a plan hands out, and what comes back when a worker ends.
//!
//! Expected flow:
//! 1. A plan builds a [`Work`]. A driver adds what names stand for and writes an [`Assignment`].
//! 2. A worker reads it with [`Assignment::parse`] and matches on [`Work`]. Every role takes its own typed part.
//! 3. The worker stores its report and leaves a [`Termination`] message, which holds the report's digest and a summary.
//! 4. The driver gives exit and message to [`classify`], which returns the state of the child.
//!
//! Guarantees: what a plan builds is read as it was written, or refused with the name of the field at any depth. A
//! termination message always fits what Kubernetes keeps of it. A laptop and a cluster classify the same end alike.
#![forbid(unsafe_code)]

pub mod assignment;
mod classify;
mod exit;
mod state;
mod strict;
pub mod termination;
pub mod work;

pub use assignment::{
    Assignment, ContractError, Endpoint, Owner, ProgressServer, RecordingMode, Recordings, Resolved,
};
pub use classify::{apply_rules, classify, result_of};
pub use exit::{Exit, Reason, exit_code, last_line, stopped};
pub use state::{ChildState, ProgressReport};
pub use termination::{Summary, Termination};
pub use work::{
    QualifyWork, ROLLOUT_PORT, Role, RolloutHosts, ScoreWork, StageSettings, SuiteInput,
    SynthesizeWork, TrainStage, TrainWork, Work,
};
