//! The errors of an endpoint: each names the endpoint, the cause and a suggested fix.

use std::time::Duration;

use crate::record::RecordError;

/// A request that got no answer.
#[derive(Debug, thiserror::Error)]
#[error("endpoint {endpoint}: {kind}")]
pub struct LlmError {
    /// The endpoint's URL.
    pub endpoint: String,
    /// The cause.
    pub kind: Kind,
}

/// The cause.
#[derive(Debug, thiserror::Error)]
pub enum Kind {
    /// The URL is not one.
    #[error("this is not a URL ({0}); write it like http://127.0.0.1:8000, without /v1")]
    Url(String),
    /// Nobody listens, or the name is unknown.
    #[error("cannot connect ({why}), tried {tries} times; is it running, and is the URL right?")]
    Down {
        /// The connection's error.
        why: String,
        /// The number of tries.
        tries: u32,
    },
    /// It took longer than it may.
    #[error(
        "no answer within {} s; it stalls or is overloaded: lower `concurrency`, or check it by hand. The request may \
         have been paid for, so it is not retried automatically", .0.as_secs_f64()
    )]
    Stalled(Duration),
    /// The connection broke within an answer.
    #[error(
        "the answer broke off after {bytes} bytes ({why}). It may have been paid for, so it is not retried automatically"
    )]
    Cut {
        /// The bytes that had arrived.
        bytes: usize,
        /// The connection's error.
        why: String,
    },
    /// It answers with a web page.
    #[error(
        "it answers HTML (status {status}: {shown:?}), so this is not a chat API; give the API's base URL, without /v1, and not a web page's or a proxy's"
    )]
    Html {
        /// HTTP status.
        status: u16,
        /// Its beginning.
        shown: String,
    },
    /// It answers something else.
    #[error(
        "its answer is not a chat completion: {why} (it begins {shown:?}); check that it is OpenAI-compatible and that the URL is right"
    )]
    Nonsense {
        /// The part that is missing.
        why: String,
        /// Its beginning.
        shown: String,
    },
    /// It refused every try for the time being.
    #[error(
        "it is busy (status {status}), tried {tries} times; lower `concurrency` or try later: {said}"
    )]
    Busy {
        /// HTTP status, 429 or 503.
        status: u16,
        /// The number of tries.
        tries: u32,
        /// The endpoint's message.
        said: String,
    },
    /// It asks for a key, or for another one.
    #[error(
        "it refuses the key (status {status}); put the right one into the environment variable that the endpoint names"
    )]
    Key {
        /// HTTP status.
        status: u16,
    },
    /// Another status.
    #[error(
        "status {status}: {said}; check the URL (without /v1), the model's name, and that the prompt fits its context"
    )]
    Status {
        /// HTTP status.
        status: u16,
        /// The endpoint's message.
        said: String,
    },
    /// The budget is used up.
    #[error("the budget is used up: {0}")]
    Budget(String),
    /// Recordings.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl LlmError {
    /// Returns true when the budget is used up.
    #[must_use]
    pub fn is_budget(&self) -> bool {
        matches!(self.kind, Kind::Budget(_))
    }

    /// Returns true when a recording ended before the item that asked: the recorded run was stopped there.
    #[must_use]
    pub fn is_end_of_tape(&self) -> bool {
        matches!(self.kind, Kind::Record(RecordError::Ended { .. }))
    }

    /// Returns true when every other request would fail too: the cause does not lie in this one.
    #[must_use]
    pub fn is_final(&self) -> bool {
        !matches!(
            self.kind,
            Kind::Stalled(_) | Kind::Cut { .. } | Kind::Busy { .. } | Kind::Status { .. }
        )
    }

    /// Returns true when a retry may help: the fault is the endpoint's, not the request's.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(
            self.kind,
            Kind::Down { .. } | Kind::Stalled(_) | Kind::Cut { .. } | Kind::Busy { .. }
        )
    }
}
