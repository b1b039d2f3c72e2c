//! ChatML: `<|im_start|>role\ncontent<|im_end|>\n`. It has no form for tools: their signatures follow the system text
//! as JSON lines, calls are fenced JSON, results are turns of the role `tool`.

use super::{ParseError, Renderer, id, until_stop};
use crate::normalise::calls_in_fences;
use crate::{Message, Role, ToolCall, ToolSpec, Vocab};

pub(super) const START: &str = "<|im_start|>";
pub(super) const END: &str = "<|im_end|>";

/// The format. See the module.
#[derive(Clone, Copy, Debug, Default)]
pub struct ChatMl;

impl Renderer for ChatMl {
    fn name(&self) -> &'static str {
        "chatml"
    }

    fn specials(&self) -> &'static [&'static str] {
        &[START, END]
    }

    fn open(&self, vocab: &dyn Vocab, system: &str, tools: &[ToolSpec]) -> Vec<u32> {
        let mut text = system.to_owned();
        if !tools.is_empty() {
            text.push_str("\n\nTools, one JSON object a line. To call one, answer with a fenced JSON object {\"name\", \"arguments\"}.");
            for tool in tools {
                text.push('\n');
                text.push_str(&tool.to_openai()["function"].to_string());
            }
        }
        self.append(vocab, &Message::system(&text))
    }

    fn prefix(&self, vocab: &dyn Vocab, speaker: Role) -> Vec<u32> {
        let mut ids = vec![id(vocab, START)];
        ids.extend(vocab.encode(speaker.name()));
        ids.extend(vocab.encode("\n"));
        ids
    }

    fn turn(&self, vocab: &dyn Vocab, message: &Message) -> Vec<u32> {
        let mut text = message.content.clone();
        for call in &message.tool_calls {
            if !text.is_empty() {
                text.push('\n');
            }
            text.push_str("```json\n");
            // A backtick inside a string would end the fence.
            text.push_str(&call_json(call).replace('`', "\\u0060"));
            text.push_str("\n```");
        }
        let mut ids = vocab.encode(&text);
        ids.push(self.stop(vocab));
        ids
    }

    fn after_turn(&self, vocab: &dyn Vocab, _speaker: Role) -> Vec<u32> {
        vocab.encode("\n")
    }

    fn stop_token(&self) -> &'static str {
        END
    }

    fn chat_template(&self) -> &'static str {
        include_str!("chat_ml.jinja")
    }

    fn parse(&self, vocab: &dyn Vocab, speaker: Role, ids: &[u32]) -> Result<Message, ParseError> {
        let ids = until_stop(ids, self.stop(vocab));
        let start = id(vocab, START);
        if ids.contains(&start) {
            return Err(ParseError::Special(start));
        }
        let text = vocab.decode(ids);
        let (content, tool_calls) = match speaker {
            Role::Assistant => {
                calls_in_fences(&text).map_err(|e| ParseError::Call(e.to_string()))?
            }
            _ => (text.as_str(), Vec::new()),
        };
        if content.is_empty() && tool_calls.is_empty() {
            return Err(ParseError::Empty);
        }
        Ok(Message {
            role: speaker,
            content: content.to_owned(),
            tool_calls,
            tool_call_id: None,
            reasoning: None,
        })
    }
}

/// `{"name": .., "arguments": ..}` with the separators that Python's `json.dumps` writes.
pub(super) fn call_json(call: &ToolCall) -> String {
    let name = serde_json::Value::String(call.name.clone());
    format!(
        "{{\"name\": {name}, \"arguments\": {}}}",
        spaced(&serde_json::Value::Object(call.arguments.clone()))
    )
}

/// JSON with a space after `:` and `,`, as Python's `json.dumps` writes it.
pub(super) fn spaced(value: &serde_json::Value) -> String {
    use serde_json::Value;
    match value {
        Value::Object(map) => {
            let parts: Vec<String> = map
                .iter()
                .map(|(k, v)| format!("{}: {}", Value::String(k.clone()), spaced(v)))
                .collect();
            format!("{{{}}}", parts.join(", "))
        }
        Value::Array(items) => format!(
            "[{}]",
            items.iter().map(spaced).collect::<Vec<_>>().join(", ")
        ),
        other => other.to_string(),
    }
}
