//! The progress server: workers report their progress to the operator over TLS, and prove by a token that it is theirs.
//!
//! # Guarantees
//! - A report counts only if its token was issued for [`AUDIENCE`] and bound to a Pod that exists with that uid, and only for
//!   that Pod's own child and shard.
//! - The cost is bounded: connections, body size, concurrent token reviews, reports kept, and one notice per object and five
//!   seconds.
//! - No log, error or `Debug` output contains a private key or a token.
#![forbid(unsafe_code)]

mod board;
mod ca;
mod changes;
mod outcome;
mod review;
mod server;

pub use board::{Board, PodRef, Pods, Report};
pub use ca::{Authority, CaError, SECRET, Serving};
pub use changes::{Change, INTERVAL};
pub use outcome::{Counters, Outcome};
pub use review::{AUDIENCE, Cached, Identity, KubeReview, Review, ReviewError};
pub use server::{MAX_BODY, Server};
