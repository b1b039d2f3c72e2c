//! Qwen2.5: ChatML with a `# Tools` block in the system turn, calls between `<tool_call>` tags, and results as user
//! turns between `<tool_response>` tags; results that follow each other share one turn (`append_all`).

use super::chat_ml::{END, START, call_json, spaced};
use super::{ParseError, Renderer, id, until_stop};
use crate::normalise::{calls_between_tags, calls_in_text};
use crate::{Message, Role, ToolCall, ToolSpec, Vocab};

const DEFAULT_SYSTEM: &str = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.";
const OPEN: &str = "<tool_call>";
const CLOSE: &str = "</tool_call>";

/// The format. See the module.
#[derive(Clone, Copy, Debug, Default)]
pub struct Qwen25;

impl Qwen25 {
    /// Text in which the call tags become their own tokens where the vocabulary has them.
    fn tagged(vocab: &dyn Vocab, parts: &[(&str, bool)]) -> Vec<u32> {
        let mut ids = Vec::new();
        let mut plain = String::new();
        for (text, is_tag) in parts {
            match vocab.special(text).filter(|_| *is_tag) {
                Some(tag) => {
                    ids.extend(vocab.encode(&std::mem::take(&mut plain)));
                    ids.push(tag);
                }
                None => plain.push_str(text),
            }
        }
        ids.extend(vocab.encode(&plain));
        ids
    }

    /// Text of sampled ids, the tags written out.
    fn text(vocab: &dyn Vocab, ids: &[u32]) -> String {
        let tags = [(OPEN, vocab.special(OPEN)), (CLOSE, vocab.special(CLOSE))];
        let mut out = String::new();
        let mut start = 0;
        for (at, token) in ids.iter().enumerate() {
            if let Some((tag, _)) = tags.iter().find(|(_, id)| *id == Some(*token)) {
                out.push_str(&vocab.decode(&ids[start..at]));
                out.push_str(tag);
                start = at + 1;
            }
        }
        out.push_str(&vocab.decode(&ids[start..]));
        out
    }

    fn response(content: &str) -> String {
        format!("<tool_response>\n{content}\n</tool_response>")
    }
}

impl Renderer for Qwen25 {
    fn name(&self) -> &'static str {
        "qwen25"
    }

    fn specials(&self) -> &'static [&'static str] {
        &[START, END]
    }

    fn open(&self, vocab: &dyn Vocab, system: &str, tools: &[ToolSpec]) -> Vec<u32> {
        let system = if system.is_empty() {
            DEFAULT_SYSTEM
        } else {
            system
        };
        let mut ids = self.prefix(vocab, Role::System);
        if tools.is_empty() {
            ids.extend(vocab.encode(system));
        } else {
            let mut head = format!(
                "{system}\n\n# Tools\n\nYou may call one or more functions to assist with the user query.\n\nYou are \
                 provided with function signatures within <tools></tools> XML tags:\n<tools>"
            );
            for tool in tools {
                head.push('\n');
                head.push_str(&spaced(&tool.to_openai()));
            }
            head.push_str(
                "\n</tools>\n\nFor each function call, return a json object with function name and arguments within ",
            );
            let parts = [
                (head.as_str(), false),
                (OPEN, true),
                (CLOSE, true),
                (" XML tags:\n", false),
                (OPEN, true),
                (
                    "\n{\"name\": <function-name>, \"arguments\": <args-json-object>}\n",
                    false,
                ),
                (CLOSE, true),
            ];
            ids.extend(Self::tagged(vocab, &parts));
        }
        ids.push(self.stop(vocab));
        ids.extend(vocab.encode("\n"));
        ids
    }

    fn prefix(&self, vocab: &dyn Vocab, speaker: Role) -> Vec<u32> {
        let name = if speaker == Role::Tool {
            Role::User.name()
        } else {
            speaker.name()
        };
        let mut ids = vec![id(vocab, START)];
        ids.extend(vocab.encode(name));
        ids.extend(vocab.encode("\n"));
        ids
    }

    fn turn(&self, vocab: &dyn Vocab, message: &Message) -> Vec<u32> {
        let content = match message.role {
            Role::Tool => Self::response(&message.content),
            _ => message.content.clone(),
        };
        let calls: Vec<String> = message
            .tool_calls
            .iter()
            .map(|c| format!("\n{}\n", untagged(&call_json(c))))
            .collect();
        let mut parts = vec![(content.as_str(), false)];
        for call in &calls {
            if parts.len() > 1 || !content.is_empty() {
                parts.push(("\n", false));
            }
            parts.extend([(OPEN, true), (call.as_str(), false), (CLOSE, true)]);
        }
        let mut ids = Self::tagged(vocab, &parts);
        ids.push(self.stop(vocab));
        ids
    }

    fn after_turn(&self, vocab: &dyn Vocab, _speaker: Role) -> Vec<u32> {
        vocab.encode("\n")
    }

    fn append_all(&self, vocab: &dyn Vocab, messages: &[Message]) -> Vec<u32> {
        let mut ids = Vec::new();
        for run in messages.chunk_by(|a, b| a.role == Role::Tool && b.role == Role::Tool) {
            if let [one] = run {
                ids.extend(self.append(vocab, one));
                continue;
            }
            let responses: Vec<String> = run.iter().map(|m| Self::response(&m.content)).collect();
            ids.extend(self.append(vocab, &Message::user(&responses.join("\n"))));
        }
        ids
    }

    fn stop_token(&self) -> &'static str {
        END
    }

    fn chat_template(&self) -> &'static str {
        include_str!("qwen25.jinja")
    }

    fn parse(&self, vocab: &dyn Vocab, speaker: Role, ids: &[u32]) -> Result<Message, ParseError> {
        let ids = until_stop(ids, self.stop(vocab));
        let start = id(vocab, START);
        if ids.contains(&start) {
            return Err(ParseError::Special(start));
        }
        let text = Self::text(vocab, ids);
        let (content, tool_calls) = match speaker {
            Role::Assistant => words_and_calls(text)?,
            _ => (text, Vec::new()),
        };
        if content.is_empty() && tool_calls.is_empty() {
            return Err(ParseError::Empty);
        }
        Ok(Message {
            role: speaker,
            content,
            tool_calls,
            tool_call_id: None,
            reasoning: None,
        })
    }
}

/// Returns JSON in which no string spells a call tag: a tag inside an argument would end or open a call.
fn untagged(json: &str) -> String {
    json.replace(OPEN, "\\u003ctool_call>")
        .replace(CLOSE, "\\u003c/tool_call>")
}

/// Text before the calls, and the calls: those between tags, else fenced JSON, which small models of the family write.
fn words_and_calls(text: String) -> Result<(String, Vec<ToolCall>), ParseError> {
    if let Some(read) = calls_between_tags(&text) {
        let (words, calls) = read.map_err(ParseError::Call)?;
        return Ok((words.to_owned(), calls));
    }
    let calls = calls_in_text(&text).map_err(|e| ParseError::Call(e.to_string()))?;
    let words = if calls.is_empty() {
        text
    } else {
        String::new()
    };
    Ok((words, calls))
}
