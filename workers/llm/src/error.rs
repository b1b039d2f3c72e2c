//! The errors of an endpoint: each names the endpoint, the cause and a suggested fix.
//!
//! A [`Fault`] passes: the client retries it, and it becomes an error only when it lasts longer than the endpoint's
//! patience. A [`Refusal`] is for good. An answer that was lost on its way may have been paid for; it is asked for again
//! all the same, and its tokens are not counted, because nobody can know them.

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
    #[error("this is not a URL ({0}); write it like http://127.0.0.1:8000")]
    Url(String),
    /// A fault that lasted longer than the endpoint's patience.
    #[error("{fault}; {}", lasted(.tries, .lasted_for, .others))]
    Lasting {
        /// The last fault.
        fault: Fault,
        /// The number of tries.
        tries: u32,
        /// The time since the first fault.
        lasted_for: Duration,
        /// True when the endpoint answered other requests in that time.
        others: bool,
    },
    /// The endpoint refuses the request for good.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The budget is used up.
    #[error("the budget is used up: {0}")]
    Budget(String),
    /// Recordings.
    #[error(transparent)]
    Record(#[from] RecordError),
}

fn lasted(tries: &u32, lasted: &Duration, others: &bool) -> String {
    let times = match tries {
        1 => "tried once".to_owned(),
        _ => format!("tried {tries} times in {:.0} s", lasted.as_secs_f64()),
    };
    match *others {
        true => format!("{times}, while other requests were answered"),
        false => times,
    }
}

/// A fault that may pass: the request is sent again.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Fault {
    /// Nobody listens, or the name is unknown.
    #[error("cannot connect ({why}); is it running, and is the URL right?")]
    Down {
        /// The connection's error.
        why: String,
    },
    /// It took longer than it may.
    #[error(
        "no answer within {} s; it stalls or is overloaded: lower `concurrency`, or check it by hand", .0.as_secs_f64()
    )]
    Stalled(Duration),
    /// The connection broke within an answer.
    #[error("the answer broke off after {bytes} bytes ({why})")]
    Cut {
        /// The bytes that had arrived.
        bytes: usize,
        /// The connection's error.
        why: String,
    },
    /// It answers with a web page: a proxy before it fails, or it is no chat API.
    #[error(
        "it answers HTML (status {status}: {shown:?}): either a proxy before it fails, or this is not a chat API; give the \
         API's base URL, and not a web page's"
    )]
    Page {
        /// HTTP status.
        status: u16,
        /// Its beginning.
        shown: String,
    },
    /// It answers something that is not a chat completion.
    #[error(
        "its answer is not a chat completion: {why} (it begins {shown:?}); check that it is OpenAI-compatible and that the URL is right"
    )]
    Nonsense {
        /// The part that is missing.
        why: String,
        /// Its beginning.
        shown: String,
    },
    /// It takes no request for the time being.
    #[error("it is busy (status {status}): {said}; lower `concurrency` or try later")]
    Busy {
        /// HTTP status, such as 429 or 503.
        status: u16,
        /// The endpoint's message.
        said: String,
    },
    /// It, or the provider behind it, failed.
    #[error("it failed (status {status}): {said}")]
    Failed {
        /// HTTP status; 200 where the failure came in the body of an answer.
        status: u16,
        /// The endpoint's message.
        said: String,
    },
}

/// A refusal for good, with the advice that fits it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("status {status}: {said}; {because}")]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// The endpoint's message.
    pub said: String,
    /// The reason.
    pub because: Because,
}

/// The reason of a refusal. Its text is the advice.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Because {
    /// It asks for a key, or for another one.
    #[error(
        "it refuses the key: put the right one into the environment variable that the endpoint names"
    )]
    Key,
    /// The account may spend nothing more.
    #[error("the account has no credit left: add some, or bind another endpoint")]
    Credit,
    /// There is no chat API at this path.
    #[error(
        "there is no chat API at this address: a path in the URL is used as it is given, and /v1 is added to a bare host \
         only; correct the URL, or set `path` in the model's binding"
    )]
    Address,
    /// It does not serve the model.
    #[error("it does not serve this model: correct the model's name")]
    Model,
    /// The prompt is longer than the model's context.
    #[error(
        "the prompt does not fit the model's context: serve it with a longer one, or choose another model"
    )]
    TooLong,
    /// The limit of generated tokens is outside of what it allows.
    #[error(
        "the limit of generated tokens is not allowed there: set another one (`--max-tokens`, or `reasoningTokens` in the \
         model's binding)"
    )]
    TokenLimit,
    /// It takes no tools.
    #[error(
        "it takes no tools in the request: leave `--native-calls` out, or turn tool calls on where the model is served"
    )]
    Tools,
    /// A field of the request.
    #[error(
        "it does not take the field `{0}`: change it in the model's binding (`extraBody`, `tokenField`), or by the command's options"
    )]
    Field(String),
    /// The request cannot be sent.
    #[error("the request cannot be sent: correct the endpoint's address or key")]
    Unsent,
    /// Anything else.
    #[error("the message says what it does not take; another try would end the same way")]
    Other,
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

    /// Returns true when the work cannot go on: everything but a refusal that lies in this one request, whose prompt is too
    /// long.
    #[must_use]
    pub fn is_final(&self) -> bool {
        !matches!(&self.kind, Kind::Refused(refusal) if refusal.because == Because::TooLong)
    }

    /// Returns true when the same request may be answered later: the fault is the endpoint's, not the request's.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(self.kind, Kind::Lasting { .. })
    }

    /// Returns true when the endpoint answered other requests while it failed this one.
    #[must_use]
    pub fn is_alone(&self) -> bool {
        matches!(self.kind, Kind::Lasting { others: true, .. })
    }
}
