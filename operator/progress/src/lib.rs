//! The progress server: workers tell the operator how far they are, and the operator knows that it is they.
//!
//! # What is promised
//! - A report counts only if its token was issued for [`AUDIENCE`] and bound to a Pod that exists with that uid, and only for
//!   that Pod's own child and shard.
//! - What it costs is bounded: connections, body size, tokens looked up at once, reports kept, and one change heard per object
//!   and five seconds.
//! - Private keys and tokens are in no log, error or `Debug`.
#![forbid(unsafe_code)]

mod board;
mod ca;
mod changes;
mod review;
mod server;

pub use board::{Board, PodRef, Pods, Report};
pub use ca::{Authority, CaError, SECRET, Serving};
pub use changes::{Change, INTERVAL};
pub use review::{AUDIENCE, Cached, Identity, KubeReview, Review, ReviewError};
pub use server::{Counters, MAX_BODY, Outcome, Server};
