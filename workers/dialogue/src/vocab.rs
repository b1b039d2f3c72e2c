//! The part of a tokenizer that renderers use.

/// Text to ids and back. `encode` never yields a special token, whatever the text looks like.
pub trait Vocab: Send + Sync {
    /// Ids of plain text.
    fn encode(&self, text: &str) -> Vec<u32>;
    /// Text of ids; special tokens are left out.
    fn decode(&self, ids: &[u32]) -> String;
    /// The id of a special token, by its name.
    fn special(&self, token: &str) -> Option<u32>;
}

/// One id a byte, then the specials: the smallest vocabulary there is, for tests and for looking at formats.
#[derive(Clone, Debug)]
pub struct ByteVocab {
    specials: Vec<String>,
}

impl ByteVocab {
    /// A vocabulary with these special tokens.
    #[must_use]
    pub fn new(specials: &[&str]) -> Self {
        Self {
            specials: specials.iter().map(|s| (*s).to_owned()).collect(),
        }
    }
}

impl Vocab for ByteVocab {
    fn encode(&self, text: &str) -> Vec<u32> {
        text.bytes().map(u32::from).collect()
    }

    fn decode(&self, ids: &[u32]) -> String {
        let bytes: Vec<u8> = ids.iter().filter_map(|id| u8::try_from(*id).ok()).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn special(&self, token: &str) -> Option<u32> {
        let at = self.specials.iter().position(|s| s == token)?;
        u32::try_from(at + 256).ok()
    }
}
