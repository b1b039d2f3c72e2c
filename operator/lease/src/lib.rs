//! Leader election over a `coordination.k8s.io/v1` Lease: of several replicas, at most one leads at any instant.
//!
//! # Protocol
//! 1. Every write is a PUT with the resourceVersion that the writer has read, so that the API server orders the candidates.
//! 2. A successful write lets its writer lead for three quarters of the lease's duration, counted from *before* the request.
//! 3. Another candidate acquires the lease only after it has read the same resourceVersion for a whole duration, by its own
//!    clock. Times written by other machines are for people; they decide nothing.
//! 4. A leader that stops empties the lease and marks it as released, so that the next leader need not wait.
//!
//! # Assumptions
//! The rates of two machines' clocks differ by less than a quarter. The clocks may show any time, and jump.
//! A leader checks [`Leadership::leads`] right before each write. A write that is under way when the claim ends is not
//! recalled, so writes need a precondition of their own (a resourceVersion, server-side apply) as well.
#![forbid(unsafe_code)]

mod candidate;
mod clock;
mod election;
mod leadership;

pub use clock::now;
pub use election::{Election, RELEASED};
pub use leadership::{Claim, Leadership};
