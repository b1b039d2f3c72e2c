//! Verdicts on episodes, and the qualification that shows whether a checker can be trusted.
//!
//! [`check`] (or a [`Judge`], which remembers gold) gives a [`Verdict`]; [`qualify`] and [`qualify_suite`] put checkers to the test
//! with mutants of gold before their verdicts become rewards; [`attribute`] says whose fault a failure is.
#![forbid(unsafe_code)]

mod asserts;
mod attribution;
mod basis;
mod calls;
mod check;
mod final_state;
mod key;
mod loose;
mod mutate;
mod needs;
mod order;
mod outputs;
pub mod passk;
mod plausible;
mod qualification;
mod qualify;
mod refusal;
mod results;
mod script;
mod statements;
mod suite;
mod trace;
mod trial;
mod verdict;

pub use attribution::{Cause, Evidence, attribute};
pub use basis::{counts, only_state};
pub use check::{Checker, Judge, check, checkers_of};
pub use final_state::{Gold, differences};
pub use key::{RULES, qualification_key};
pub use mutate::{Edit, Mutant, mutants};
pub use needs::{JUDGING, QUALIFYING, sees_state};
pub use plausible::Plausible;
pub use qualification::{JudgeFn, Mutants, Qualification, Thresholds};
pub use qualify::{on_trial, qualify, qualify_among, qualify_by};
pub use refusal::with_derived_refusal;
pub use statements::{Judged, Statement, StatementJudge, judge_statements};
pub use suite::{Qualifier, Quarantined, Suite, Warned, aggregate, qualify_suite, suite_digest};
pub use verdict::{Part, Verdict};
