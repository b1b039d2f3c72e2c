//! Generated Python - tools, checkers - run in a process of its own, over copy-on-write state.
//!
//! # What is covered
//! - A program reaches nothing but the host functions named in [`engine`]: no files, network, environment, clock or
//!   other processes. The interpreter (Monty) has no way to them, and under it the process has a seccomp filter that
//!   lets through memory, reading its input and writing its output, and nothing else; everything else kills it.
//! - Limits on processor time, memory (allocator and address space), recursion, output and host calls. A run over a limit
//!   is [`Outcome::Killed`], a verdict of its own.
//! - A process that is ended from outside, or that gets no processor time, is replaced and the run is tried again; a run
//!   that is never let finish is [`Outcome::Lost`], and proves nothing.
//! - Every run has a fresh interpreter: globals of the last run are gone, a raise rolls its writes back.
//! - The environment is empty, no descriptor but stdin and stdout is inherited, stderr is closed.
//!
//! # What is not covered
//! - Side channels: timing of shared caches, of the parent's scheduling.
//! - A bug in the interpreter that writes into the process's own memory: the filter confines it, but the state of that
//!   process (the domain's data) is then its to read and to answer falsely from, until the process is replaced.
//! - CPU pressure: one run may use one core for its time limit.
//! - Kernels without seccomp: the sandbox refuses to start there.

#![forbid(unsafe_code)]

mod classes;
mod client;
mod clock;
pub mod engine;
mod erase;
mod hint;
mod lint;
mod names;
mod outcome;
mod overlay;
mod process;
pub mod protocol;
mod schema;
mod shape;
mod signatures;
mod state;

pub use classes::{Class, ClassKind, Field, Types};
pub use client::{CheckInput, Program, Sandbox, SandboxError, Spent, locate};
pub use clock::processor_time;
pub use erase::erased;
pub use hint::Hint;
pub use lint::{Lint, Source, lint, pitfalls};
pub use names::{Name, Names, Raise, names};
pub use outcome::{KillReason, Limits, Outcome};
pub use overlay::{Change, Overlay};
pub use schema::{Format, normalise, normalise_record, property, record_schema, resolve};
pub use shape::{SINGLETON, Shape, Shapes};
pub use signatures::{Parameter, Signature, signatures};
pub use state::{State, StateError, View};
