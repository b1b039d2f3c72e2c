//! Synthesis of tool-grounded instances with executable checkers, and the evolution of the plans that make them.

pub mod evolution;
