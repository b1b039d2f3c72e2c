//! Delta renderers: the ids that one more message adds, for each chat format.
//!
//! The ids of a turn are three parts: `prefix` (what makes the speaker speak), `turn` (what it samples, its stop token
//! last) and `after_turn` (what the format puts after the stop token). `append` is the three together.

mod chat_ml;
mod compact;
mod qwen25;

pub use chat_ml::ChatMl;
pub use compact::Compact;
pub use qwen25::Qwen25;

use crate::{Message, Role, ToolSpec, Vocab};

/// The reason why sampled ids are not a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Nothing was said and nothing called.
    #[error("the turn is empty")]
    Empty,
    /// A token that has no place inside a turn.
    #[error("the turn holds the special token {0}")]
    Special(u32),
    /// A call that cannot be read.
    #[error("the call cannot be read: {0}")]
    Call(String),
}

/// A chat format.
pub trait Renderer: Send + Sync {
    /// Its name in manifests.
    fn name(&self) -> &'static str;
    /// The special tokens it needs.
    fn specials(&self) -> &'static [&'static str];
    /// The ids before the first message.
    fn open(&self, vocab: &dyn Vocab, system: &str, tools: &[ToolSpec]) -> Vec<u32>;
    /// The ids after which `speaker` (assistant or user) speaks.
    fn prefix(&self, vocab: &dyn Vocab, speaker: Role) -> Vec<u32>;
    /// The ids that the speaker of `message` would sample for it, the stop token last.
    fn turn(&self, vocab: &dyn Vocab, message: &Message) -> Vec<u32>;
    /// The ids that the format puts between a sampled turn and the next message.
    fn after_turn(&self, vocab: &dyn Vocab, speaker: Role) -> Vec<u32>;
    /// The token that ends a sampled turn. It is trained.
    fn stop(&self, vocab: &dyn Vocab) -> u32 {
        id(vocab, self.stop_token())
    }
    /// The name of the token that ends a sampled turn.
    fn stop_token(&self) -> &'static str;
    /// The format as a Jinja chat template, for the `tokenizer_config.json` of a model without one of its own. It
    /// renders a dialogue to the text whose tokens `open` and `append_all` give.
    fn chat_template(&self) -> &'static str;
    /// The message in ids as sampled, with or without the stop token.
    ///
    /// # Errors
    /// When the ids are no message.
    fn parse(&self, vocab: &dyn Vocab, speaker: Role, ids: &[u32]) -> Result<Message, ParseError>;

    /// The whole message, from its header to what follows it.
    fn append(&self, vocab: &dyn Vocab, message: &Message) -> Vec<u32> {
        let mut ids = self.prefix(vocab, message.role);
        ids.extend(self.turn(vocab, message));
        ids.extend(self.after_turn(vocab, message.role));
        ids
    }

    /// Several messages at once, for formats in which neighbours share a turn.
    fn append_all(&self, vocab: &dyn Vocab, messages: &[Message]) -> Vec<u32> {
        messages
            .iter()
            .flat_map(|message| self.append(vocab, message))
            .collect()
    }

    /// Checks that the vocabulary has every special token of the format.
    ///
    /// # Errors
    /// Names the one that is missing and the format that needs it.
    fn check(&self, vocab: &dyn Vocab) -> Result<(), String> {
        match self
            .specials()
            .iter()
            .find(|token| vocab.special(token).is_none())
        {
            Some(token) => Err(format!(
                "the tokenizer has no token {token}, which the format `{}` needs",
                self.name()
            )),
            None => Ok(()),
        }
    }
}

/// The renderer of this name: `compact`, `chatml` or `qwen25`.
#[must_use]
pub fn renderer(name: &str) -> Option<Box<dyn Renderer>> {
    match name {
        "compact" => Some(Box::new(Compact)),
        "chatml" => Some(Box::new(ChatMl)),
        "qwen25" => Some(Box::new(Qwen25)),
        _ => None,
    }
}

/// The id of a special token; a vocabulary without it was refused by [`Renderer::check`], and then 0 is harmless.
fn id(vocab: &dyn Vocab, token: &str) -> u32 {
    vocab.special(token).unwrap_or(0)
}

/// The ids before the stop token.
fn until_stop(ids: &[u32], stop: u32) -> &[u32] {
    let end = ids.iter().position(|id| *id == stop).unwrap_or(ids.len());
    &ids[..end]
}
