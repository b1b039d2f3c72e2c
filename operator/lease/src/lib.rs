//! Leader election over a `coordination.k8s.io/v1` Lease: of several replicas, at most one leads at any instant.
//!
//! # How
//! 1. Every write is a PUT with the resourceVersion that the writer saw, so the API server orders the candidates.
//! 2. A write that succeeds lets its writer lead for three quarters of the lease's duration, counted from *before* the request.
//! 3. Another candidate takes a lease over only after it has seen the same resourceVersion for a whole duration, by its own
//!    clock. Times written by other machines are for people to read; they decide nothing.
//! 4. A leader that stops empties the lease and marks it released, so that the next one need not wait.
//!
//! # What is assumed
//! Two machines' clocks run at rates that differ by less than a quarter. They may show anything, and jump.
//! A leader asks [`Leadership::leads`] right before each write; a write already on its way when the claim ends is not called
//! back, so writes need a precondition of their own (a resourceVersion, server-side apply) as well.
#![forbid(unsafe_code)]

mod candidate;
mod clock;
mod election;
mod leadership;

pub use clock::now;
pub use election::{Election, RELEASED};
pub use leadership::{Claim, Leadership};
