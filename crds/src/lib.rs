//! The API: the kinds `SynthesisJob`, `CheckerSuite` and `GRPORun` of `agoge.dev/v1alpha1`, and the offline check of manifests.
//!
//! One file per kind; what they share is in [`shared`]. [`check()`] validates manifests as the API server would, and
//! [`mod@print`] generates the CustomResourceDefinitions from the same types.
#![forbid(unsafe_code)]

pub mod check;
pub mod checker_suite;
pub mod conditions;
pub mod grpo_run;
mod grpo_stages;
pub mod lineage;
mod objective;
pub mod overlay;
pub mod patch;
pub mod phase;
pub mod print;
pub mod quantity;
pub mod report;
pub mod resource;
mod rules;
pub mod shared;
pub mod status;
pub mod strategies;
pub mod suite_evaluation;
pub mod synthesis_job;

pub use check::{Document, Manifest, Problem, Verdict, check, documents, judge};
pub use checker_suite::{CheckerSuite, CheckerSuiteSpec, CheckerSuiteStatus};
pub use grpo_run::{GRPORun, GRPORunSpec, GRPORunStatus};
pub use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
pub use k8s_openapi::jiff::Timestamp;
pub use patch::{NoTarget, patch};
pub use phase::Phase;
pub use print::{crd_yaml, crds};
pub use quantity::Span;
pub use resource::{Cores, Size};
pub use status::RunStatus;
pub use synthesis_job::{SynthesisJob, SynthesisJobSpec, SynthesisJobStatus};

/// API group of every kind.
pub const GROUP: &str = "agoge.dev";
/// API version of every kind.
pub const VERSION: &str = "v1alpha1";
/// `apiVersion` of every manifest.
pub const API_VERSION: &str = "agoge.dev/v1alpha1";

/// Returns `sha256:` and the hexadecimal digest of a text.
#[must_use]
pub fn digest(text: &str) -> String {
    agoge_digest::Digest::of(text.as_bytes()).into()
}
