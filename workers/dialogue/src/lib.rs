//! Messages, chat formats as delta renderers, and token-exact transcripts with loss masks.
//!
//! A renderer never renders a conversation again: it gives the ids that *one more* message adds. So the ids a model saw
//! and sampled are the ids it is trained on.

#![forbid(unsafe_code)]

mod calls;
pub mod export;
mod message;
pub mod random;
pub mod renderer;
mod supervise;
mod transcript;
mod vocab;

pub use calls::{CallError, calls_in_text};
pub use message::{Message, Role, ToolCall, ToolSpec};
pub use random::SampleKey;
pub use renderer::{ParseError, Renderer, renderer};
pub use supervise::{supervise, user_view};
pub use transcript::Transcript;
pub use vocab::{ByteVocab, Vocab};
