//! The policy: one decoder of the Llama and Qwen2 shape, its tokenizer, and batched decoding with a KV cache.
//!
//! Files are Hugging Face's (`config.json`, `model.safetensors`, `tokenizer.json`), so a policy trained here loads in
//! transformers and the other way round. Everything is float32 on the CPU.

mod chat;
mod config;
mod decoder;
mod engine;
mod error;
mod files;
mod random;
mod tokenizer;
mod weights;

pub use agoge_dialogue::SampleKey;
pub use chat::ChatFiles;
pub use config::ModelConfig;
pub use decoder::Decoder;
pub use engine::{Batch, Engine, Generation, Request, Sampling};
pub use error::ModelError;
pub use tokenizer::Tokenizer;
