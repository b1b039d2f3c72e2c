//! The subcommands of `agoge`, one file each.

pub mod chat;
pub mod check;
pub mod domain;
pub mod eval;
pub mod export;
pub mod gc;
pub mod model;
#[cfg(feature = "cluster")]
pub mod operator;
pub mod probe;
pub mod push;
pub mod report;
pub mod status;
pub mod up;
