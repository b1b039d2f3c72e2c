//! The one classification of an exchange with an endpoint.
//!
//! | what came | what it is |
//! |---|---|
//! | a chat completion | an answer; its [`Finish`] says whether it was cut, filtered, refused, or used up by reasoning |
//! | no connection, a reset, no end in time | a fault that may pass |
//! | a page of HTML, with any status | a fault that may pass |
//! | 5xx, 408, 409, 425, 429, 499 | a fault that may pass, after `Retry-After` where it is given |
//! | 2xx with an empty body, an error, no choices, or the finish `error` | a fault that may pass |
//! | a status that is a content filter's word | an answer that was filtered |
//! | any other status | a refusal, which the dialect may learn from |
//!
//! An error within a body of status 2xx that names a status is judged by that status.

use std::time::{Duration, SystemTime};

use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use serde_json::Value;

use crate::answer::{Answer, Finish};
use crate::error::Fault;
use crate::retry;
use crate::stream;
use crate::trouble::{Trouble, beginning};

/// The longest beginning of a body that is shown, in characters.
const SHOWN: usize = 120;

/// One exchange as it ended on the wire.
#[derive(Debug)]
pub(crate) enum Wire {
    /// There was no connection.
    Down(String),
    /// There was no whole response in time.
    Stalled(Duration),
    /// The connection broke after so many bytes of the body.
    Broken { bytes: usize, why: String },
    /// The request could not be sent at all.
    Unsent(String),
    /// A whole response.
    Response {
        status: u16,
        headers: HeaderMap,
        body: Vec<u8>,
    },
}

/// The meaning of an exchange.
#[derive(Debug, PartialEq)]
pub(crate) enum Exchange {
    /// An answer, to be paid for and kept.
    Answered(Answer),
    /// The endpoint does not take this request.
    Refused { status: u16, trouble: Trouble },
    /// The same request may be answered later; the endpoint may say when.
    Passing {
        fault: Fault,
        retry_after: Option<Duration>,
    },
}

/// Classifies an exchange whose prompt has so many characters.
pub(crate) fn classify(wire: &Wire, prompt_chars: usize, now: SystemTime) -> Exchange {
    let passing = |fault| Exchange::Passing {
        fault,
        retry_after: None,
    };
    match wire {
        Wire::Down(why) => passing(Fault::Down { why: why.clone() }),
        Wire::Stalled(after) => passing(Fault::Stalled(*after)),
        Wire::Broken { bytes, why } => passing(Fault::Cut {
            bytes: *bytes,
            why: why.clone(),
        }),
        Wire::Unsent(why) => Exchange::Refused {
            status: 0,
            trouble: Trouble::plain(why),
        },
        Wire::Response {
            status,
            headers,
            body,
        } => {
            let text = String::from_utf8_lossy(body);
            let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
            let response = Response {
                status: *status,
                kind: header(CONTENT_TYPE).unwrap_or_default(),
                text: text.trim_start_matches('\u{feff}').trim(),
                retry_after: header(RETRY_AFTER)
                    .and_then(|text: &str| retry::retry_after(text, now)),
            };
            response.classify(prompt_chars)
        }
    }
}

/// A response with its body as text.
struct Response<'a> {
    status: u16,
    kind: &'a str,
    text: &'a str,
    retry_after: Option<Duration>,
}

impl Response<'_> {
    fn classify(&self, prompt_chars: usize) -> Exchange {
        let shown = || beginning(self.text, SHOWN);
        if self.kind.starts_with("text/html") || self.text.starts_with('<') {
            let (status, shown) = (self.status, shown());
            return self.passing(Fault::Page { status, shown });
        }
        let good = (200..300).contains(&self.status);
        if good && self.text.is_empty() {
            return self.nonsense("it is empty");
        }
        let value: Option<Value> = match good && stream::is_stream(self.kind, self.text) {
            false => serde_json::from_str(self.text).ok(),
            true => match stream::assemble(self.text) {
                Ok(value) => Some(value),
                Err(why) => {
                    let bytes = self.text.len();
                    return self.passing(Fault::Cut { bytes, why });
                }
            },
        };
        let trouble = value.as_ref().and_then(Trouble::of);
        match (value, trouble) {
            (Some(value), None) if good => self.completion(&value, prompt_chars),
            (Some(value), Some(trouble)) if good => {
                let answered = value.get("choices").is_some_and(Value::is_array);
                let failed = value.get("error").is_some_and(|error| !error.is_null());
                match answered && !failed {
                    true => self.completion(&value, prompt_chars),
                    false => self.failed(trouble.status, trouble),
                }
            }
            (None, _) if good => self.nonsense("it is not JSON"),
            (_, trouble) => {
                let trouble = trouble.unwrap_or_else(|| Trouble::plain(&shown()));
                self.failed(Some(self.status), trouble)
            }
        }
    }

    fn completion(&self, value: &Value, prompt_chars: usize) -> Exchange {
        let Some(choice) = value.pointer("/choices/0") else {
            return self.nonsense("there is no `choices[0]`");
        };
        let error = choice.get("error").filter(|error| !error.is_null());
        if error.is_some() || choice["finish_reason"] == "error" {
            let trouble = error
                .and_then(|_| Trouble::of(choice))
                .unwrap_or_else(|| Trouble::plain("the answer ended with `finish_reason: error`"));
            return self.failed(trouble.status, trouble);
        }
        match Answer::from_response(value, prompt_chars) {
            Ok(answer) => Exchange::Answered(ended(answer, choice)),
            Err(why) => self.nonsense(&why),
        }
    }

    /// Judges an error by its status, if it has one; else it passes.
    fn failed(&self, status: Option<u16>, trouble: Trouble) -> Exchange {
        if trouble.is_filter() {
            return Exchange::Answered(Answer {
                text: trouble.shown(),
                finish: Finish::Filtered,
                ..Answer::default()
            });
        }
        let said = trouble.shown();
        match status {
            Some(status) if status == 429 && trouble.is_credit() => {
                Exchange::Refused { status, trouble }
            }
            // Some servers say this with a status of their own failure.
            Some(status) if status != 429 && trouble.is_too_long() => {
                Exchange::Refused { status, trouble }
            }
            Some(status @ (408 | 409 | 425 | 429 | 499 | 503 | 529)) => {
                self.passing(Fault::Busy { status, said })
            }
            Some(named @ 500..) if named != self.status => self.passing(Fault::Failed {
                status: self.status,
                said: format!("{said} ({named})"),
            }),
            Some(status @ 500..) => self.passing(Fault::Failed { status, said }),
            Some(status) => Exchange::Refused { status, trouble },
            None => self.passing(Fault::Failed {
                status: self.status,
                said,
            }),
        }
    }

    fn nonsense(&self, why: &str) -> Exchange {
        let shown = beginning(self.text, SHOWN);
        self.passing(Fault::Nonsense {
            why: why.to_owned(),
            shown,
        })
    }

    fn passing(&self, fault: Fault) -> Exchange {
        Exchange::Passing {
            fault,
            retry_after: self.retry_after,
        }
    }
}

/// Returns the answer with the end that its choice tells beside `finish_reason`.
fn ended(mut answer: Answer, choice: &Value) -> Answer {
    let silent = |answer: &Answer| answer.tool_calls.is_empty() && is_unsaid(answer);
    let refusal = choice
        .pointer("/message/refusal")
        .and_then(Value::as_str)
        .filter(|text| !text.trim().is_empty());
    match (answer.finish, refusal) {
        (Finish::Filtered, _) => {}
        (_, Some(refusal)) if silent(&answer) => {
            answer.text = refusal.to_owned();
            answer.finish = Finish::Refused;
        }
        (Finish::Length, _) if silent(&answer) => answer.finish = Finish::Reasoning,
        _ => {}
    }
    answer
}

/// Returns true when the text of an answer is nothing but reasoning, with an end or without.
fn is_unsaid(answer: &Answer) -> bool {
    let text = answer.text.trim();
    let open = text.starts_with("<think") && !text.contains("</think");
    open || answer.written().trim().is_empty()
}

/// The reason why an answer that was paid for cannot be used, and is not the model's own either.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stopped {
    /// Reasoning used up the tokens.
    #[error("{0}")]
    Reasoning(String),
    /// A content filter.
    #[error("{0}")]
    Filtered(String),
    /// The provider's refusal.
    #[error("{0}")]
    Refused(String),
}

impl Answer {
    /// Returns the reason why there is nothing in it to judge, with a suggested fix; `None` for an answer of the model.
    #[must_use]
    pub fn stopped(&self) -> Option<Stopped> {
        match self.finish {
            Finish::Reasoning => Some(Stopped::Reasoning(format!(
                "its reasoning used up all {} tokens before it said anything; allow more with `--max-tokens`, or with \
                 `reasoningTokens` in the model's binding",
                self.usage.completion
            ))),
            Finish::Filtered => Some(Stopped::Filtered(
                self.reason("the provider's content filter stopped it"),
            )),
            Finish::Refused => Some(Stopped::Refused(
                self.reason("the provider refused to answer"),
            )),
            Finish::Stop | Finish::Length | Finish::ToolCalls | Finish::Other => None,
        }
    }

    fn reason(&self, end: &str) -> String {
        match self.text.trim() {
            "" => end.to_owned(),
            text => format!("{end}: {}", beginning(text, SHOWN)),
        }
    }
}

#[cfg(test)]
#[path = "exchange_tests.rs"]
mod tests;
