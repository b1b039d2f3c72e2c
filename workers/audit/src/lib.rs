//! The audit of tasks that nobody here made: findings with evidence, and a repaired copy.
//!
//! [`audit()`] plays the gold of every task of a domain and holds the task against it; [`audit_rows`] reads rows of stacks whose
//! tools do not run here, and checks what can be seen without them. Both give [`Findings`], from which [`repair()`] makes a copy
//! without the defects whose repair is determined; any other row with an error is quarantined, never guessed at.
#![forbid(unsafe_code)]

mod alike;
mod audit;
mod empty;
mod finding;
mod gold;
mod kind;
mod knowledge;
mod leak;
mod markdown;
mod needs;
mod play;
mod policy;
mod references;
mod repair;
mod report;
mod rows;
mod weak;

pub use audit::{Audited, Options, Subject, audit};
pub use finding::{Finding, Findings, Repair, Severity, Step};
pub use kind::Kind;
pub use markdown::{markdown, summary};
pub use repair::{Outcome, Repaired, repair, repair_rows};
pub use report::{AuditReport, Checked, Count, SourceFile, SourceOf};
pub use rows::audit_rows;
