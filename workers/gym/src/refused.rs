//! The reasons for which a request is refused, and their HTTP status.

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// A request that was not fulfilled. It is never a reward.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The token is missing or wrong.
    #[error("the token is missing or wrong; send `Authorization: Bearer TOKEN`")]
    Unauthorized,
    /// A page of another host sends the request to a server without a token.
    #[error("requests under another host's name need a token; start the server with one")]
    Foreign,
    /// The request cannot be read.
    #[error("{0}")]
    Bad(String),
    /// The suite has no such task.
    #[error("there is no task {0}; GET /tasks lists them")]
    NoTask(String),
    /// There is no session of this id.
    #[error("there is no such session, or it was idle for too long; begin one with POST /sessions")]
    NoSession,
    /// The server holds as many sessions as it may.
    #[error("the server holds {0} sessions, its limit; close some, or raise --sessions")]
    Full(usize),
    /// The session has made as many calls as it may.
    #[error("the session has made {0} calls, its limit; reset it, or raise --calls")]
    TooManyCalls(u32),
    /// The session's messages are longer than they may be.
    #[error("the session's messages are longer than {0} bytes; reset it")]
    TooLong(usize),
    /// There are more requests than the server takes.
    #[error("there are too many requests; wait a second, or raise --rate")]
    TooFast,
    /// The user has closed the dialogue.
    #[error("the user has closed the dialogue; verify the session or reset it")]
    Closed,
    /// A limit of the sandbox stopped a tool or a checker, or the task's gold does not work. It would happen again.
    #[error("{0}")]
    Stopped(String),
    /// The sandbox gave no result. Another attempt may help.
    #[error("{0}; try again")]
    Lost(String),
}

impl Refused {
    /// The name of the reason, for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unauthorized => "unauthorized",
            Self::Foreign => "foreign",
            Self::Bad(_) => "badRequest",
            Self::NoTask(_) => "noTask",
            Self::NoSession => "noSession",
            Self::Full(_) => "full",
            Self::TooManyCalls(_) => "tooManyCalls",
            Self::TooLong(_) => "tooLong",
            Self::TooFast => "tooFast",
            Self::Closed => "closed",
            Self::Stopped(_) => "stopped",
            Self::Lost(_) => "lost",
        }
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Foreign => StatusCode::FORBIDDEN,
            Self::Bad(_) => StatusCode::BAD_REQUEST,
            Self::NoTask(_) | Self::NoSession => StatusCode::NOT_FOUND,
            Self::Closed => StatusCode::CONFLICT,
            Self::TooLong(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooManyCalls(_) | Self::TooFast => StatusCode::TOO_MANY_REQUESTS,
            Self::Stopped(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Full(_) | Self::Lost(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let body = json!({"error": {"code": self.code(), "message": self.to_string()}});
        let mut response = (self.status(), Json(body)).into_response();
        if self == Self::Unauthorized {
            let asks = header::HeaderValue::from_static("Bearer");
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, asks);
        }
        response
    }
}
