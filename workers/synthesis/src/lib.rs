//! Synthesis of tool-grounded instances with executable checkers: the engine, the trait of a strategy, and the strategies.
#![forbid(unsafe_code)]

pub mod answers;
pub mod binding;
pub mod canonical;
pub mod context;
pub mod conversation;
pub mod cx;
pub mod engine;
pub mod evaluation;
pub mod evolution;
pub mod plan;
pub mod random;
mod reflect;
pub mod registry;
pub mod rollout;
pub mod strategies;
pub mod strategy;
mod worlds;

pub use agoge_artifacts::funnel::{Stop, funnel};
pub use agoge_artifacts::{Attempt, Draft, Gate};
