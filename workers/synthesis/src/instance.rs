//! The outcome of synthesis: attempts, as the store keeps them.

pub use agoge_artifacts::{Attempt, Draft, Gate};
