//! The parts of the `agoge` binary: the local driver, checks, reports and the plugin for kubectl.

#[macro_use]
pub mod stdout;

pub mod command;
pub mod driver;
pub mod failure;
#[cfg(feature = "cluster")]
pub mod kubectl;
pub mod manifest;
pub mod preflight;
pub mod probe;
pub mod report;
pub mod resolve;
pub mod result;
pub mod table;
