//! What the `agoge` binary is made of: the local driver, checks, reports and the plugin for kubectl.

pub mod report;
