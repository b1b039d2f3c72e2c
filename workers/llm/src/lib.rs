//! Model endpoints: an OpenAI-compatible client with bounded concurrency, safe retries, a budget, and recorded answers.
//!
//! [`Client::ask`] sends one [`Request`] on behalf of an *item* (an instance, a task) and gives one [`Answer`], or an
//! [`LlmError`] that names the endpoint, the cause and a suggested fix. A [`Meter`], which clients may share, counts
//! tokens and cost. With [`Recordings`] answers are kept, or replayed without a request.
//!
//! Not covered: streaming, images, several choices a request, and models that answer through another API.
#![forbid(unsafe_code)]

mod answer;
mod client;
mod error;
mod json;
mod meter;
mod record;
mod request;
mod retry;

pub use answer::{Answer, Finish, Source, Usage};
pub use client::{Client, Endpoint, ITEM, ORDINAL};
pub use error::{Kind, LlmError};
pub use json::{JsonError, Reading, Repair, json_in_text};
pub use meter::{Meter, Price, Spent};
pub use record::{RecordError, Recordings};
pub use request::{Format, Request};
