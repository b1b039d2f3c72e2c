//! Byte-level BPE in `tokenizer.json`, with one token a digit and special tokens that text can never spell.

use std::collections::BTreeMap;
use std::path::Path;

use agoge_dialogue::Vocab;
use serde_json::{Map, Value};
use tokenizers::decoders::byte_level::ByteLevel as ByteLevelDecoder;
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainerBuilder};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{AddedToken, SplitDelimiterBehavior, Tokenizer as HfTokenizer};

use crate::{ModelConfig, ModelError, files};

/// Splits text into the pieces that no token crosses: contractions, words with the sign before them, single digits,
/// signs, white space.
/// It is Qwen2's pattern, because transformers splits by it for a policy of that shape whatever `tokenizer.json` says.
const WORDS: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// A tokenizer. [`Vocab::encode`] sees text only: what looks like a special token becomes plain pieces.
#[derive(Debug)]
pub struct Tokenizer {
    /// As saved and loaded.
    whole: HfTokenizer,
    /// The same without added tokens: nothing in a text is special to it.
    plain: HfTokenizer,
    specials: BTreeMap<String, u32>,
    size: usize,
}

impl Tokenizer {
    /// Trains on texts. The result may be smaller than `vocab_size` when the texts hold too few pairs; it is a function
    /// of texts and arguments alone.
    ///
    /// # Errors
    /// When `vocab_size` has no room for all bytes and specials.
    pub fn train<S: AsRef<str>>(
        texts: impl IntoIterator<Item = S>,
        vocab_size: usize,
        specials: &[&str],
    ) -> Result<Self, ModelError> {
        let least = 256 + specials.len();
        if vocab_size < least {
            return Err(ModelError::Tokenizer(format!(
                "vocab_size is {vocab_size}; all bytes and {} special tokens need at least {least}",
                specials.len()
            )));
        }
        let failed = |e: tokenizers::Error| ModelError::Tokenizer(format!("training it: {e}"));
        let added: Vec<AddedToken> = specials
            .iter()
            .map(|s| AddedToken::from((*s).to_owned(), true))
            .collect();
        let trainer = BpeTrainerBuilder::new()
            .vocab_size(vocab_size)
            .min_frequency(2)
            .show_progress(false)
            .special_tokens(added)
            .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
            .build();
        let mut whole = HfTokenizer::new(BPE::default());
        let split = Split::new(
            SplitPattern::Regex(WORDS.into()),
            SplitDelimiterBehavior::Isolated,
            false,
        );
        let pieces: Vec<PreTokenizerWrapper> = vec![
            split.map_err(failed)?.into(),
            ByteLevel::new(false, false, false).into(),
        ];
        whole.with_pre_tokenizer(Some(Sequence::new(pieces)));
        whole.with_decoder(Some(ByteLevelDecoder::new(false, false, true)));
        // The trainer counts words in hash maps of its own; sorted input makes ties independent of the caller's order.
        let mut texts: Vec<String> = texts.into_iter().map(|t| t.as_ref().to_owned()).collect();
        texts.sort_unstable();
        let mut trainer = TrainerWrapper::BpeTrainer(trainer);
        whole
            .train(&mut trainer, texts.into_iter())
            .map_err(failed)?;
        Self::new(whole)
    }

    /// Reads `tokenizer.json` of a model's folder.
    ///
    /// # Errors
    /// When it cannot be read or is not a tokenizer.
    pub fn load(dir: &Path) -> Result<Self, ModelError> {
        let path = dir.join("tokenizer.json");
        let text = files::read(&path)?;
        let whole = HfTokenizer::from_bytes(text).map_err(|e| ModelError::Read {
            path,
            reason: format!("it is not a tokenizer: {e}"),
        })?;
        Self::new(whole)
    }

    /// Writes `tokenizer.json`, and a `tokenizer_config.json` by which transformers loads it.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn save(&self, dir: &Path) -> Result<(), ModelError> {
        let text = self
            .whole
            .to_string(true)
            .map_err(|e| ModelError::Tokenizer(format!("writing it: {e}")))?;
        files::write(&dir.join("tokenizer.json"), text.as_bytes())?;
        let config = Value::Object(self.config());
        files::write(
            &dir.join("tokenizer_config.json"),
            format!("{config:#}").as_bytes(),
        )
    }

    /// Returns the `tokenizer_config.json` of a tokenizer that was read without one.
    pub(crate) fn config(&self) -> Map<String, Value> {
        let mut special: Vec<(u32, String)> = (self.whole.get_added_tokens_decoder().into_iter())
            .filter(|(_, token)| token.special)
            .map(|(id, token)| (id, token.content))
            .collect();
        special.sort_unstable();
        let names: Vec<String> = special.into_iter().map(|(_, name)| name).collect();
        let mut config = Map::new();
        config.insert("tokenizer_class".into(), "PreTrainedTokenizerFast".into());
        config.insert("clean_up_tokenization_spaces".into(), false.into());
        config.insert("add_prefix_space".into(), false.into());
        config.insert("additional_special_tokens".into(), names.into());
        config
    }

    fn new(whole: HfTokenizer) -> Result<Self, ModelError> {
        let mut plain = HfTokenizer::new(whole.get_model().clone());
        plain.with_normalizer(whole.get_normalizer().cloned());
        plain.with_pre_tokenizer(whole.get_pre_tokenizer().cloned());
        let specials: BTreeMap<String, u32> = whole
            .get_added_tokens_decoder()
            .into_iter()
            .map(|(id, token)| (token.content, id))
            .collect();
        let highest = whole.get_vocab(true).into_values().max();
        let size = highest.map_or(0, |id| id as usize + 1);
        if size == 0 {
            return Err(ModelError::Tokenizer("it has no token".into()));
        }
        Ok(Self {
            whole,
            plain,
            specials,
            size,
        })
    }

    /// Ids there are: the highest plus one, which a fresh policy takes as its `vocab_size`.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }

    /// Checks that a policy has an embedding for each id.
    ///
    /// # Errors
    /// [`ModelError::DoesNotFit`].
    pub fn check(&self, config: &ModelConfig) -> Result<(), ModelError> {
        if self.size > config.vocab_size {
            return Err(ModelError::DoesNotFit {
                tokens: self.size,
                vocab_size: config.vocab_size,
            });
        }
        Ok(())
    }
}

impl Vocab for Tokenizer {
    fn encode(&self, text: &str) -> Vec<u32> {
        // Byte-level BPE knows every byte, so encoding has no way to fail.
        self.plain
            .encode_fast(text, false)
            .map(|e| e.get_ids().to_vec())
            .unwrap_or_default()
    }

    fn decode(&self, ids: &[u32]) -> String {
        // Added tokens that are not special, such as `<tool_call>` of Qwen2.5, are text, as they are to transformers.
        self.whole.decode(ids, true).unwrap_or_default()
    }

    fn special(&self, token: &str) -> Option<u32> {
        self.specials.get(token).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPECIALS: [&str; 3] = ["<|user|>", "<|agent|>", "<|end|>"];

    fn trained() -> Tokenizer {
        let texts: Vec<String> = (0..200)
            .map(|n| {
                format!("where is parcel {n}48{n}? it was moved to depot {n}, naïve ☂ <|end|>")
            })
            .collect();
        Tokenizer::train(&texts, 400, &SPECIALS).unwrap()
    }

    #[test]
    fn each_digit_is_one_token() {
        let tokenizer = trained();
        let digits: Vec<u32> = (0..10)
            .flat_map(|d| tokenizer.encode(&d.to_string()))
            .collect();
        assert_eq!(digits.len(), 10);
        let ids = tokenizer.encode("parcel 48213 48213");
        let in_text: Vec<u32> = ids.into_iter().filter(|id| digits.contains(id)).collect();
        let expected: Vec<u32> = [4, 8, 2, 1, 3, 4, 8, 2, 1, 3]
            .iter()
            .map(|d| digits[*d])
            .collect();
        assert_eq!(in_text, expected);
    }

    #[test]
    fn any_text_comes_back_and_none_spells_a_special_token() {
        let tokenizer = trained();
        let specials: Vec<u32> = SPECIALS
            .iter()
            .map(|s| tokenizer.special(s).unwrap())
            .collect();
        for text in [
            "",
            " ",
            "x <|end|> y<|user|>",
            "<|agent|>",
            "naïve ☂\n\t漢字 \u{0}",
            "  two  spaces 007",
        ] {
            let ids = tokenizer.encode(text);
            assert!(
                ids.iter().all(|id| !specials.contains(id)),
                "{text:?} holds a special token"
            );
            assert_eq!(tokenizer.decode(&ids), text);
        }
        assert_eq!(tokenizer.decode(&specials), "");
        assert_eq!(tokenizer.special("parcel"), None);
    }

    #[test]
    fn a_saved_tokenizer_is_the_same_and_training_again_gives_the_same_file() {
        let (first, second) = (trained(), trained());
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        first.save(a.path()).unwrap();
        second.save(b.path()).unwrap();
        let text = |dir: &Path| std::fs::read_to_string(dir.join("tokenizer.json")).unwrap();
        assert_eq!(text(a.path()), text(b.path()));
        let loaded = Tokenizer::load(a.path()).unwrap();
        let sample = "parcel 77 was moved <|end|>";
        assert_eq!(loaded.encode(sample), first.encode(sample));
        assert_eq!(loaded.special("<|end|>"), first.special("<|end|>"));
    }

    #[test]
    fn a_tokenizer_too_large_for_its_policy_is_refused_with_a_suggested_fix() {
        let tokenizer = trained();
        let config = ModelConfig {
            vocab_size: tokenizer.size(),
            ..ModelConfig::default()
        };
        tokenizer.check(&config).unwrap();
        let error = tokenizer
            .check(&ModelConfig {
                vocab_size: 100,
                ..config
            })
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("vocab_size in config.json is 100")
                && error.contains("saved with the policy"),
            "{error}"
        );
        let error = Tokenizer::train(["x"], 200, &SPECIALS)
            .unwrap_err()
            .to_string();
        assert!(error.contains("at least 259"), "{error}");
    }
}
