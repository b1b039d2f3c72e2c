//! The subcommands of `agoge`, one file each.

pub mod audit;
pub mod chat;
pub mod check;
pub mod dialogues;
pub mod domain;
#[cfg(feature = "stacks")]
pub mod env;
pub mod eval;
pub mod export;
pub mod gc;
pub mod import;
pub mod key;
pub mod model;
#[cfg(feature = "cluster")]
pub mod operator;
pub mod probe;
pub mod push;
pub mod report;
pub mod status;
pub mod up;
pub mod verify;
