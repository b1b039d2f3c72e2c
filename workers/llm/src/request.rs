//! A request in the API's form, and the digest under which its answer is recorded.

use agoge_dialogue::{Message, ToolSpec};
use agoge_digest::Digest;
use serde_json::{Map, Value, json};

/// The form that the answer must have.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Format {
    /// Any text.
    #[default]
    Text,
    /// A JSON object. Endpoints that know `response_format` hold the model to it.
    Json,
    /// JSON of this schema. Endpoints that know it hold the model to it: they give form, the model gives values.
    Schema(Value),
}

/// One question to a model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request {
    /// The dialogue so far. What many requests share should come first, so that an endpoint's prompt cache is of use.
    pub messages: Vec<Message>,
    /// Tools offered natively; none: the prompt says how to call, if at all.
    pub tools: Vec<ToolSpec>,
    /// Tokens that may be generated.
    pub max_tokens: u32,
    /// Sampling temperature.
    pub temperature: f64,
    /// Seed of sampling, for endpoints that know it.
    pub seed: Option<u64>,
    /// Texts at which the answer ends.
    pub stop: Vec<String>,
    /// The form of the answer.
    pub format: Format,
}

impl Request {
    /// A question with these messages and at most so many generated tokens, greedy.
    #[must_use]
    pub fn new(messages: Vec<Message>, max_tokens: u32) -> Self {
        Self {
            messages,
            max_tokens,
            ..Self::default()
        }
    }

    /// The body of the API's request.
    #[must_use]
    pub fn body(&self, model: &str) -> Value {
        let mut body = Map::new();
        body.insert("model".into(), json!(model));
        let messages: Vec<Value> = self.messages.iter().map(Message::to_openai).collect();
        body.insert("messages".into(), Value::Array(messages));
        if !self.tools.is_empty() {
            let tools: Vec<Value> = self.tools.iter().map(ToolSpec::to_openai).collect();
            body.insert("tools".into(), Value::Array(tools));
        }
        body.insert("max_tokens".into(), json!(self.max_tokens));
        body.insert("temperature".into(), json!(self.temperature));
        if let Some(seed) = self.seed {
            body.insert("seed".into(), json!(seed));
        }
        if !self.stop.is_empty() {
            body.insert("stop".into(), json!(self.stop));
        }
        match &self.format {
            Format::Text => {}
            Format::Json => {
                body.insert("response_format".into(), json!({"type": "json_object"}));
            }
            Format::Schema(schema) => {
                let format = json!({"type": "json_schema",
                    "json_schema": {"name": "answer", "schema": schema}});
                body.insert("response_format".into(), format);
            }
        }
        Value::Object(body)
    }

    /// `sha256:` over the body: the same question to the same model has the same digest.
    #[must_use]
    pub fn digest(&self, model: &str) -> String {
        Digest::of(self.body(model).to_string().as_bytes()).into()
    }
}
