//! Model endpoints: an OpenAI-compatible client with adaptive concurrency, retries, a budget, and recorded answers.
//!
//! [`Client::ask`] sends one [`Request`] on behalf of an *item* (an instance, a task) and gives one [`Answer`], or an
//! [`LlmError`] that names the endpoint, the cause and a suggested fix. A [`Meter`], which clients may share, counts
//! tokens and cost. With [`Recordings`] answers are kept, or replayed without a request.
//!
//! Not covered: streaming as it arrives, images, several choices a request, and models that answer through another API.
#![forbid(unsafe_code)]

mod address;
mod answer;
mod client;
mod dialect;
mod error;
mod exchange;
mod fields;
mod meter;
mod pace;
mod record;
mod request;
mod retry;
mod stream;
mod trouble;

pub use answer::{Answer, Finish, Source, Usage};
pub use client::{Client, DIGEST, Endpoint, ITEM, ORDINAL};
pub use dialect::{Manner, TokenField};
pub use error::{Because, Fault, Kind, LlmError, Refusal};
pub use exchange::Stopped;
pub use meter::{Meter, Price, Spent};
pub use record::{RecordError, Recordings};
pub use request::{Format, Request};
