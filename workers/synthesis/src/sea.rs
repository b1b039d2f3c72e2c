//! The strategy `sea`: a model writes scenario, gold actions and checker; each is validated against the executable domain;
//! failures are attributed; reflection proposes a child of the plan pair; figures decide whether it replaces its parent.
//!
//! A generation:
//! 1. *plan* - the first is the built-in pair; a later one is a child that reflection proposes, or the pair at work again
//!    when evolution has stopped or reflection gave nothing usable;
//! 2. *pilot* - so many instances through scenario, gold and checker, then the novelty gate, in the order of items;
//! 3. *rollouts* - of some valid ones, agent and user both played by models;
//! 4. *decision* - a child is promoted, rolled back or left undecided by [`crate::evolution`], under the qualification of
//!    `agoge-checker`, which no plan can change. With `promotion: manual` a child that the rule would promote waits for a
//!    person.
//!
//! Guarantees: every attempt ends at a gate with its reason; a killed job goes on where it was ([`run`] with the same work
//! folder), nothing lost and nothing doubled; with replayed answers the outcome is the same every time. What a plan wrote
//! is never repaired by adding to it.

mod book;
mod config;
mod decide;
mod job;
mod look;
mod outcome;
mod reflect;
mod stages;

pub use config::{SeaConfig, Seats};
pub use job::run;
pub use outcome::{Outcome, Progress, SeaError};
