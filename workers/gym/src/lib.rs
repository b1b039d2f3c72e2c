//! A domain and its suite, served to other stacks as an environment.
//!
//! One server holds many [`Hall`] sessions. A session is a task, the differences from the domain's data and a dialogue, so
//! it costs kilobytes and a reset is free. The sandbox processes are few and shared: each has a thread, which runs the calls
//! of all sessions in the order they arrive, and those of one session one after another.
//!
//! The faces are one file each: plain HTTP ([`rest`]), MCP ([`mcp`]), a NeMo Gym resources server ([`nemo`]), OpenEnv
//! ([`openenv`]), and a Python package for verifiers ([`verifiers`]). Every face rests on the same six operations: begin,
//! call, say, reset, verify, close.
//!
//! # Guarantees
//! - No session sees another. A session is found by its id alone, which is 128 random bits of the operating system.
//! - A tool or a checker that is stopped or lost is an error of the request, never a reward.
//! - What a client sends can neither end the server nor grow it without bound: see [`ServerLimits`].
#![forbid(unsafe_code)]

mod access;
mod catalog;
mod crew;
mod hall;
mod limits;
pub mod mcp;
pub mod nemo;
pub mod openenv;
mod play;
mod refused;
pub mod rest;
mod serve;
mod session;
pub mod verifiers;

pub use access::{Token, needs_token};
pub use catalog::{Catalog, CatalogError, Choice, Entry};
pub use hall::{Hall, Opened};
pub use limits::ServerLimits;
pub use play::{Reply, Reward, StateOf};
pub use refused::Refused;
pub use serve::{App, SAY, router, serve};
pub use session::SessionId;
pub use verifiers::{PackageError, PackageOptions, verifiers_package};
