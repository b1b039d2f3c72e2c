//! The errors of a policy, its files and its decoding.

use std::path::PathBuf;

/// An error, with a suggested fix where the input is at fault.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// A file of the model's folder could not be read.
    #[error("reading {path}: {reason}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        reason: String,
    },
    /// A file of the model's folder could not be written; an older file of this name is untouched.
    #[error("writing {path}: {reason}")]
    Write {
        /// The file.
        path: PathBuf,
        /// The cause.
        reason: String,
    },
    /// The config asks for something that no decoder has, or ours has not.
    #[error("config.json: {0}")]
    Config(String),
    /// Weights that do not fit the config.
    #[error("weights: {0}; the folder's config.json and *.safetensors must be of the same model")]
    Weights(String),
    /// A tokenizer could not be trained or used.
    #[error("tokenizer: {0}")]
    Tokenizer(String),
    /// The tokenizer has ids that the policy has no embedding for.
    #[error(
        "the tokenizer does not fit its policy: {tokens} tokens, but vocab_size in config.json is {vocab_size}; \
         use the tokenizer.json and the config.json that were saved with the policy"
    )]
    DoesNotFit {
        /// Tokens of the tokenizer, specials included.
        tokens: usize,
        /// Embeddings of the policy.
        vocab_size: usize,
    },
    /// A request that cannot be decoded.
    #[error("decoding slot {slot}: {reason}")]
    Request {
        /// The slot.
        slot: usize,
        /// The cause.
        reason: String,
    },
    /// libtorch refused an operation.
    #[error("libtorch: {0}")]
    Torch(#[from] tch::TchError),
    /// A decoding thread ended without a result.
    #[error("a decoding thread ended early: {0}")]
    Thread(String),
}
