//! The meaning of stored bytes: one type for each thing that Agoge keeps in a store.
//!
//! | artifact | kind | type |
//! |---|---|---|
//! | dataset: attempts, one a line | `instances` | [`Attempt`], read and written by [`dataset`] |
//! | plans of a job | `plans` | [`Plans`] |
//! | qualifications made along with a dataset | `qualifications` | [`Qualifications`] |
//! | suite | `suite` | [`QualifiedSuite`] |
//! | record of a training stage | `stage` | [`StageRecord`] |
//! | record of an evaluation | `evaluation` | [`Evaluation`] |
//!
//! Writers and readers use these types and no other: workers, the report, the export, qualification and resume. Each
//! artifact carries its format version ([`mod@format`]); a reader refuses a version that it does not know and names it.
#![forbid(unsafe_code)]

pub mod attempt;
pub mod dataset;
pub mod evaluation;
mod figure;
pub mod format;
pub mod funnel;
pub mod plan;
pub mod provenance;
pub mod qualifications;
pub mod reason;
pub mod record;
pub mod splits;
pub mod suite;
pub mod trajectory;

pub use attempt::{Attempt, Draft, Gate};
pub use evaluation::Evaluation;
pub use format::{ArtifactError, Format, Stored};
pub use plan::{Pilot, PlanPair, PlanRecord, Plans, Prompts};
pub use provenance::{DatasetOrigin, Shard};
pub use qualifications::Qualifications;
pub use record::{Certificate, Columns, Epoch, FilterCounts, Point, Scorecard, StageRecord, Step};
pub use suite::{Instance, QualifiedSuite};
pub use trajectory::{End, Token, Trajectory};
