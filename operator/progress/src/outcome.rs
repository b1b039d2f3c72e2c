//! The outcomes of requests, with their HTTP status and their counts.

use hyper::StatusCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The outcome of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// 204: the report is on the board.
    Accepted,
    /// 400: the body is not a report.
    Malformed,
    /// 401: there is no token, or it is not bound to a Pod.
    Unauthenticated,
    /// 403: the report is not about the Pod's own child and shard, or the Pod is gone.
    Forbidden,
    /// 404: this server does not have the path or method.
    NotFound,
    /// 408: the body did not arrive in time.
    Slow,
    /// 413: the body is larger than [`MAX_BODY`](crate::MAX_BODY).
    TooLarge,
    /// 429: too soon after the last report, or too many at once.
    TooMany,
    /// 503: the token could not be reviewed.
    Unavailable,
}

impl Outcome {
    /// All outcomes, with their names in metrics.
    pub const ALL: [(Self, &'static str); 9] = [
        (Self::Accepted, "accepted"),
        (Self::Malformed, "malformed"),
        (Self::Unauthenticated, "unauthenticated"),
        (Self::Forbidden, "forbidden"),
        (Self::NotFound, "not_found"),
        (Self::Slow, "slow"),
        (Self::TooLarge, "too_large"),
        (Self::TooMany, "too_many"),
        (Self::Unavailable, "unavailable"),
    ];

    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::Accepted => StatusCode::NO_CONTENT,
            Self::Malformed => StatusCode::BAD_REQUEST,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Slow => StatusCode::REQUEST_TIMEOUT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooMany => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// The number of requests by outcome. Clones share the counts.
#[derive(Clone, Debug, Default)]
pub struct Counters(Arc<[AtomicU64; Outcome::ALL.len()]>);

impl Counters {
    /// Returns the names and counts, in a fixed order.
    pub fn snapshot(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        Outcome::ALL
            .iter()
            .zip(self.0.iter())
            .map(|((_, name), count)| (*name, count.load(Ordering::Relaxed)))
    }

    pub(crate) fn count(&self, outcome: Outcome) {
        self.0[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }
}
