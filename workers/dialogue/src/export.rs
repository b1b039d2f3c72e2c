//! Datasets as the field's trainers load them: `messages` + `tools` as JSONL in the Hugging Face folder layout.
//!
//! `tools` and each call's `arguments` are JSON *strings*: as structures, Arrow would merge the schemas of unlike tools
//! and fill them with nulls.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::{Message, ToolSpec};

/// One row of the `sft` split: a whole dialogue. `trainable` says which messages carry loss.
#[must_use]
pub fn sft_row(id: &str, system: &str, tools: &[ToolSpec], messages: &[Message]) -> Value {
    let mut all = vec![Message::system(system)];
    all.extend_from_slice(messages);
    let trainable: Vec<bool> = all
        .iter()
        .map(|m| m.role == crate::Role::Assistant)
        .collect();
    let messages: Vec<Value> = all.iter().map(uniform).collect();
    json!({"id": id, "messages": messages, "tools": tools_text(tools), "trainable": trainable})
}

/// One row of the `rl` split: what opens the dialogue, and what the checkers need as a JSON string.
#[must_use]
pub fn rl_row(id: &str, system: &str, opening: &str, tools: &[ToolSpec], task: &Value) -> Value {
    let prompt: Vec<Value> = [Message::system(system), Message::user(opening)]
        .iter()
        .map(uniform)
        .collect();
    json!({"id": id, "prompt": prompt, "tools": tools_text(tools), "task": task.to_string()})
}

/// The content of a dataset's card.
#[derive(Clone, Debug, Default)]
pub struct Card {
    /// The domain's name.
    pub domain: String,
    /// Rows of each split.
    pub sft: usize,
    /// See `sft`.
    pub rl: usize,
    /// Where it came from, one line each: strategies, digests, models.
    pub origin: Vec<String>,
}

impl Card {
    /// The dataset's `README.md`.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::from(
            "---\nconfigs:\n- config_name: sft\n  data_files:\n  - split: train\n    path: data/sft.jsonl\n\
             - config_name: rl\n  data_files:\n  - split: train\n    path: data/rl.jsonl\n---\n",
        );
        let _ = write!(
            out,
            "\n# {}: tool-use dialogues with executable checkers\n\n- `sft`: {} dialogues (`messages`, `tools`, `trainable`)\n\
             - `rl`: {} tasks (`prompt`, `tools`, `task`: gold calls, outputs, checker)\n\nMade with Agoge from:\n",
            self.domain, self.sft, self.rl
        );
        for line in &self.origin {
            let _ = writeln!(out, "- {line}");
        }
        out
    }
}

/// A message with every field in every row, so that all rows have one schema.
fn uniform(message: &Message) -> Value {
    let mut value = message.to_openai();
    if value.get("tool_calls").is_none() {
        value["tool_calls"] = json!([]);
    }
    if value.get("tool_call_id").is_none() {
        value["tool_call_id"] = Value::Null;
    }
    value
}

fn tools_text(tools: &[ToolSpec]) -> String {
    Value::Array(tools.iter().map(ToolSpec::to_openai).collect()).to_string()
}
