//! The files of a model's folder that say how to talk to the model: chat template, special tokens, stop tokens.
//!
//! A trained model keeps those of the model it was trained from, so that transformers and vLLM treat it as they treat its
//! source. A model made here gets files of its own in the format it was trained in.

use std::collections::BTreeMap;
use std::path::Path;

use agoge_dialogue::Renderer;
use serde_json::{Map, Value, json};

use crate::{ModelError, Tokenizer, files};

const TOKENIZER: &str = "tokenizer_config.json";
const GENERATION: &str = "generation_config.json";
const TEMPLATE: &str = "chat_template.jinja";
/// Files that are carried over unread: transformers reads them where `tokenizer.json` does not decide.
const CARRIED: [&str; 2] = ["special_tokens_map.json", "added_tokens.json"];

/// The chat files of the folder that a model was read from; the default is a model that has none.
#[derive(Clone, Debug, Default)]
pub struct ChatFiles {
    tokenizer: Option<Map<String, Value>>,
    generation: Option<Map<String, Value>>,
    template: Option<Vec<u8>>,
    carried: BTreeMap<&'static str, Vec<u8>>,
}

impl ChatFiles {
    /// Reads those files of a model's folder that are there.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn load(dir: &Path) -> Result<Self, ModelError> {
        let mut carried = BTreeMap::new();
        for name in CARRIED {
            carried.extend(bytes(dir, name)?.map(|content| (name, content)));
        }
        Ok(Self {
            tokenizer: object(dir, TOKENIZER)?,
            generation: object(dir, GENERATION)?,
            template: bytes(dir, TEMPLATE)?,
            carried,
        })
    }

    /// Writes the chat files of a model that speaks the renderer's format. What the source's files say stays; what they
    /// leave open - a chat template, a stop token - is the format's.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn save(
        &self,
        dir: &Path,
        tokenizer: &Tokenizer,
        renderer: &dyn Renderer,
    ) -> Result<(), ModelError> {
        let mut config = self.tokenizer.clone();
        let config = config.get_or_insert_with(|| tokenizer.config());
        let stop = renderer.stop_token();
        if config.get("eos_token").is_none_or(Value::is_null) {
            config.insert("eos_token".into(), json!(stop));
        }
        if config.get("pad_token").is_none_or(Value::is_null) {
            config.insert("pad_token".into(), json!(stop));
        }
        if self.template.is_none() && config.get("chat_template").is_none_or(Value::is_null) {
            config.insert("chat_template".into(), json!(renderer.chat_template()));
        }
        write_json(dir, TOKENIZER, config)?;
        write_json(dir, GENERATION, &self.generation(renderer.stop(tokenizer)))?;
        if let Some(template) = &self.template {
            files::write(&dir.join(TEMPLATE), template)?;
        }
        for (name, content) in &self.carried {
            files::write(&dir.join(name), content)?;
        }
        Ok(())
    }

    /// Returns the generation config in which generation ends at `stop` as well as at the source's own stop tokens.
    fn generation(&self, stop: u32) -> Map<String, Value> {
        let mut config = self.generation.clone().unwrap_or_default();
        let mut ends = match config.get("eos_token_id") {
            Some(Value::Array(ids)) => ids.clone(),
            Some(id @ Value::Number(_)) => vec![id.clone()],
            _ => Vec::new(),
        };
        if !ends.contains(&json!(stop)) {
            ends.insert(0, json!(stop));
        }
        let ends = match ends.as_slice() {
            [one] => one.clone(),
            _ => Value::Array(ends),
        };
        config.insert("eos_token_id".into(), ends);
        if config.get("pad_token_id").is_none_or(Value::is_null) {
            config.insert("pad_token_id".into(), json!(stop));
        }
        config
    }
}

/// Returns a file's content, or `None` when the folder has no such file.
fn bytes(dir: &Path, name: &str) -> Result<Option<Vec<u8>>, ModelError> {
    let path = dir.join(name);
    if path.exists() {
        files::read(&path).map(Some)
    } else {
        Ok(None)
    }
}

fn object(dir: &Path, name: &str) -> Result<Option<Map<String, Value>>, ModelError> {
    let Some(content) = bytes(dir, name)? else {
        return Ok(None);
    };
    serde_json::from_slice(&content)
        .map(Some)
        .map_err(|e| ModelError::Read {
            path: dir.join(name),
            reason: format!("it is not a JSON object: {e}"),
        })
}

fn write_json(dir: &Path, name: &str, object: &Map<String, Value>) -> Result<(), ModelError> {
    let text = serde_json::to_vec_pretty(object).map_err(|e| ModelError::Write {
        path: dir.join(name),
        reason: e.to_string(),
    })?;
    files::write(&dir.join(name), &text)
}
