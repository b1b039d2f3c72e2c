//! What can go wrong with an endpoint: each error names the endpoint, what happened and a way out.

use std::time::Duration;

use crate::record::RecordError;

/// A question that got no answer.
#[derive(Debug, thiserror::Error)]
#[error("endpoint {endpoint}: {kind}")]
pub struct LlmError {
    /// The endpoint's URL.
    pub endpoint: String,
    /// What happened.
    pub kind: Kind,
}

/// What happened.
#[derive(Debug, thiserror::Error)]
pub enum Kind {
    /// The URL is none.
    #[error("this is no URL ({0}); write it like http://127.0.0.1:8000, without /v1")]
    Url(String),
    /// Nobody listens, or the name is unknown.
    #[error("cannot connect ({why}), tried {tries} times; is it running, and is the URL right?")]
    Down {
        /// What the connection said.
        why: String,
        /// How often.
        tries: u32,
    },
    /// It took longer than it may.
    #[error(
        "no answer within {} s; it stalls or is overloaded: lower `concurrency`, or check it by hand. The question may \
         have been paid for, so it is not asked again by itself", .0.as_secs_f64()
    )]
    Stalled(Duration),
    /// The connection broke within an answer.
    #[error(
        "the answer broke off after {bytes} bytes ({why}). It may have been paid for, so it is not asked again by itself"
    )]
    Cut {
        /// How much of it had come.
        bytes: usize,
        /// What the connection said.
        why: String,
    },
    /// It answers with a web page.
    #[error(
        "it answers HTML (status {status}: {shown:?}), so it is no chat API; give the API's base URL, without /v1, and not a web page's or a proxy's"
    )]
    Html {
        /// HTTP status.
        status: u16,
        /// Its beginning.
        shown: String,
    },
    /// It answers something else.
    #[error(
        "its answer is no chat completion: {why} (it begins {shown:?}); check that it is OpenAI-compatible and that the URL is right"
    )]
    Nonsense {
        /// What is missing.
        why: String,
        /// Its beginning.
        shown: String,
    },
    /// It refuses for now, and did so to the end.
    #[error(
        "it is busy (status {status}), tried {tries} times; lower `concurrency` or try later: {said}"
    )]
    Busy {
        /// HTTP status, 429 or 503.
        status: u16,
        /// How often.
        tries: u32,
        /// What it said.
        said: String,
    },
    /// It wants a key, or another one.
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
        /// What it said.
        said: String,
    },
    /// Nothing may be spent any more.
    #[error("the budget is used up: {0}")]
    Budget(String),
    /// Recordings.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl LlmError {
    /// Whether the budget is why.
    #[must_use]
    pub fn is_budget(&self) -> bool {
        matches!(self.kind, Kind::Budget(_))
    }

    /// Whether a recording ended before the item that asked: where a recorded run was stopped.
    #[must_use]
    pub fn is_end_of_tape(&self) -> bool {
        matches!(self.kind, Kind::Record(RecordError::Ended { .. }))
    }

    /// Whether asking for anything else is in vain too: what is wrong is not about this one question.
    #[must_use]
    pub fn is_final(&self) -> bool {
        !matches!(
            self.kind,
            Kind::Stalled(_) | Kind::Cut { .. } | Kind::Busy { .. } | Kind::Status { .. }
        )
    }

    /// Whether asking again later may help: the endpoint, and not what it was asked, is at fault.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(
            self.kind,
            Kind::Down { .. } | Kind::Stalled(_) | Kind::Cut { .. } | Kind::Busy { .. }
        )
    }
}
