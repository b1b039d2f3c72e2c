//! Messages, what models write and how it is read, chat formats as delta renderers, and token-exact transcripts with loss
//! masks.
//!
//! A renderer never renders a conversation again: it gives the ids that *one more* message adds. So the ids a model saw
//! and sampled are the ids it is trained on.

#![forbid(unsafe_code)]

mod coerce;
pub mod export;
pub mod json;
mod message;
mod normalise;
pub mod random;
pub mod renderer;
mod results;
mod supervise;
mod transcript;
mod usable;
mod vocab;

pub use coerce::{coerce, coerce_in};
pub use message::{Message, Role, ToolCall, ToolSpec};
pub use normalise::{
    CallError, ModelOutput, ParsedOutput, PythonCall, calls_in_text, normalise, python_call,
    python_defining,
};
pub use random::SampleKey;
pub use renderer::{ParseError, Renderer, renderer};
pub use results::{call_of, result_of};
pub use supervise::{agent_view, answers, calls_of_user, heard, supervise, user_view};
pub use transcript::Transcript;
pub use usable::usable;
pub use vocab::{ByteVocab, Vocab};
