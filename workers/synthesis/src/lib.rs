//! Synthesis of tool-grounded instances with executable checkers, and the evolution of the plans that make them.
#![forbid(unsafe_code)]

pub mod canonical;
pub mod evolution;
pub mod funnel;
pub mod instance;
pub mod plan;
pub mod rollout;
pub mod sea;
pub mod template;

pub use funnel::{Stop, funnel};
pub use instance::{Attempt, Draft, Gate};
