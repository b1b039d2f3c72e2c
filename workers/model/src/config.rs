//! `config.json` as transformers writes it, for the two shapes the decoder knows.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{ModelError, files};

/// Hugging Face's config, verbatim: fields the decoder does not read are kept as they came.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelConfig {
    /// `["LlamaForCausalLM"]` or `["Qwen2ForCausalLM"]`.
    #[serde(default)]
    pub architectures: Vec<String>,
    /// `llama` or `qwen2`; the latter has biases on query, key and value.
    pub model_type: String,
    /// Tokens with an embedding.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width of the feed-forward layers.
    pub intermediate_size: usize,
    /// Layers.
    pub num_hidden_layers: usize,
    /// Query heads.
    pub num_attention_heads: usize,
    /// Key and value heads; absent means as many as query heads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub num_key_value_heads: Option<usize>,
    /// Width of a head; absent means `hidden_size / num_attention_heads`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head_dim: Option<usize>,
    /// Positions the model was made for.
    #[serde(default = "positions")]
    pub max_position_embeddings: usize,
    /// Added to the mean square in each norm.
    #[serde(default = "norm_eps")]
    pub rms_norm_eps: f64,
    /// Base of the rotary frequencies.
    #[serde(default = "theta")]
    pub rope_theta: f64,
    /// True when the head is the embedding.
    #[serde(default)]
    pub tie_word_embeddings: bool,
    /// Llama only: biases on all four attention projections.
    #[serde(default)]
    pub attention_bias: bool,
    /// Activation of the gate; only `silu` is known.
    #[serde(default = "silu")]
    pub hidden_act: String,
    /// Standard deviation of fresh weights.
    #[serde(default = "range")]
    pub initializer_range: f64,
    /// Everything else in the file.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

fn positions() -> usize {
    2048
}

fn norm_eps() -> f64 {
    1e-6
}

fn theta() -> f64 {
    10_000.0
}

fn silu() -> String {
    "silu".into()
}

fn range() -> f64 {
    0.02
}

/// A Llama of 0.9 M parameters with tied embeddings and 2,048 tokens: what two cores can train in minutes.
impl Default for ModelConfig {
    fn default() -> Self {
        let mut other = Map::new();
        other.insert("torch_dtype".into(), "float32".into());
        Self {
            architectures: vec!["LlamaForCausalLM".into()],
            model_type: "llama".into(),
            vocab_size: 2048,
            hidden_size: 160,
            intermediate_size: 448,
            num_hidden_layers: 4,
            num_attention_heads: 4,
            num_key_value_heads: Some(2),
            head_dim: None,
            max_position_embeddings: 512,
            rms_norm_eps: 1e-6,
            rope_theta: theta(),
            tie_word_embeddings: true,
            attention_bias: false,
            hidden_act: silu(),
            initializer_range: range(),
            other,
        }
    }
}

impl ModelConfig {
    /// Reads and checks `config.json` of a model's folder.
    ///
    /// # Errors
    /// When it cannot be read, or asks for what the decoder has not.
    pub fn load(dir: &Path) -> Result<Self, ModelError> {
        let path = dir.join("config.json");
        let text = files::read(&path)?;
        let mut config: Self = serde_json::from_slice(&text).map_err(|e| ModelError::Read {
            path,
            reason: format!("it is not a model config: {e}"),
        })?;
        // transformers 5 nests the rotary settings.
        if let Some(theta) = config
            .rope_parameters()
            .and_then(|p| p.get("rope_theta"))
            .and_then(Value::as_f64)
        {
            config.rope_theta = theta;
        }
        config.check()?;
        Ok(config)
    }

    /// Writes `config.json`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, dir: &Path) -> Result<(), ModelError> {
        let path = dir.join("config.json");
        let text = serde_json::to_vec_pretty(self).map_err(|e| ModelError::Write {
            path: path.clone(),
            reason: e.to_string(),
        })?;
        files::write(&path, &text)
    }

    /// Names `stop` as the token that ends a turn. A model of this config has no token that opens a text.
    #[must_use]
    pub fn with_stop_token(mut self, stop: u32) -> Self {
        self.other.insert("bos_token_id".into(), Value::Null);
        self.other.insert("eos_token_id".into(), stop.into());
        self.other.insert("pad_token_id".into(), stop.into());
        self
    }

    /// Names the type of the weights, under the key that the config has for it: transformers 5 renamed `torch_dtype`.
    pub(crate) fn with_dtype(mut self, dtype: &str) -> Self {
        let renamed = self.other.contains_key("dtype");
        if renamed {
            self.other.insert("dtype".into(), dtype.into());
        }
        if !renamed || self.other.contains_key("torch_dtype") {
            self.other.insert("torch_dtype".into(), dtype.into());
        }
        self
    }

    /// Key and value heads.
    #[must_use]
    pub fn kv_heads(&self) -> usize {
        self.num_key_value_heads.unwrap_or(self.num_attention_heads)
    }

    /// Width of a head.
    #[must_use]
    pub fn head_width(&self) -> usize {
        self.head_dim
            .unwrap_or_else(|| self.hidden_size / self.num_attention_heads.max(1))
    }

    /// Returns true when query, key and value have biases.
    #[must_use]
    pub fn qkv_bias(&self) -> bool {
        self.model_type == "qwen2" || self.attention_bias
    }

    /// Returns true when the attention's output projection has a bias.
    #[must_use]
    pub fn output_bias(&self) -> bool {
        self.model_type != "qwen2" && self.attention_bias
    }

    fn rope_parameters(&self) -> Option<&Map<String, Value>> {
        self.other.get("rope_parameters").and_then(Value::as_object)
    }

    /// Checks that a decoder of this config can be built.
    ///
    /// # Errors
    /// Names the field at fault and what it may be.
    pub fn check(&self) -> Result<(), ModelError> {
        let refuse = |reason: String| Err(ModelError::Config(reason));
        if !matches!(self.model_type.as_str(), "llama" | "qwen2") {
            return refuse(format!(
                "model_type is `{}`; llama and qwen2 are known",
                self.model_type
            ));
        }
        if self.hidden_act != "silu" {
            return refuse(format!(
                "hidden_act is `{}`; only silu is known",
                self.hidden_act
            ));
        }
        let scaling = [
            self.other.get("rope_scaling"),
            self.other.get("rope_parameters"),
        ];
        for settings in scaling.into_iter().flatten() {
            let kind = settings
                .get("rope_type")
                .or_else(|| settings.get("type"))
                .and_then(Value::as_str);
            if kind.is_some_and(|kind| kind != "default") {
                return refuse(format!(
                    "rotary scaling `{}` is not known; only `default` is",
                    kind.unwrap_or("?")
                ));
            }
        }
        if self
            .other
            .get("use_sliding_window")
            .and_then(Value::as_bool)
            == Some(true)
        {
            return refuse("use_sliding_window is true; only full attention is known".into());
        }
        if self.other.get("mlp_bias").and_then(Value::as_bool) == Some(true) {
            return refuse(
                "mlp_bias is true; only feed-forward layers without biases are known".into(),
            );
        }
        let sizes = [
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", self.num_attention_heads),
            ("num_key_value_heads", self.kv_heads()),
            ("head_dim", self.head_width()),
            ("max_position_embeddings", self.max_position_embeddings),
        ];
        if let Some((name, _)) = sizes.iter().find(|(_, size)| *size == 0) {
            return refuse(format!("{name} is 0; it must be at least 1"));
        }
        if !self.num_attention_heads.is_multiple_of(self.kv_heads()) {
            return refuse(format!(
                "num_attention_heads ({}) is not a multiple of num_key_value_heads ({}); change one of them",
                self.num_attention_heads,
                self.kv_heads()
            ));
        }
        if self.head_dim.is_none() && !self.hidden_size.is_multiple_of(self.num_attention_heads) {
            return refuse(format!(
                "hidden_size ({}) is not a multiple of num_attention_heads ({}); change one of them or give head_dim",
                self.hidden_size, self.num_attention_heads
            ));
        }
        if !self.head_width().is_multiple_of(2) {
            return refuse(format!(
                "heads are {} wide, which rotary positions cannot use; make it even",
                self.head_width()
            ));
        }
        Ok(())
    }
}
