//! Our own format for small policies: one special token a role, calls without JSON's noise.
//!
//! ```text
//! <|sys|>parcel desk<|user|>where is 48213<|end|><|agent|><|call|>track parcel=48213<|end|><|result|>moving<|end|>
//! ```
//! A call is `name key=value key=value`; several calls of one turn each begin with `<|call|>`. A string of
//! letters, digits and `_-.:/@` stands bare, a number follows `#`, everything else is JSON. Tools are not rendered: a
//! small policy learns its domain in its weights.

use serde_json::{Map, Value};

use super::{ParseError, Renderer, id, until_stop};
use crate::{Message, Role, ToolCall, ToolSpec, Vocab};

const SYSTEM: &str = "<|sys|>";
const USER: &str = "<|user|>";
const AGENT: &str = "<|agent|>";
const CALL: &str = "<|call|>";
const RESULT: &str = "<|result|>";
const END: &str = "<|end|>";

/// The format. See the module.
#[derive(Clone, Copy, Debug, Default)]
pub struct Compact;

impl Renderer for Compact {
    fn name(&self) -> &'static str {
        "compact"
    }

    fn specials(&self) -> &'static [&'static str] {
        &[SYSTEM, USER, AGENT, CALL, RESULT, END]
    }

    fn open(&self, vocab: &dyn Vocab, system: &str, _tools: &[ToolSpec]) -> Vec<u32> {
        let mut ids = vec![id(vocab, SYSTEM)];
        ids.extend(vocab.encode(system));
        ids
    }

    fn prefix(&self, vocab: &dyn Vocab, speaker: Role) -> Vec<u32> {
        let token = match speaker {
            Role::System => SYSTEM,
            Role::User => USER,
            Role::Assistant => AGENT,
            Role::Tool => RESULT,
        };
        vec![id(vocab, token)]
    }

    fn turn(&self, vocab: &dyn Vocab, message: &Message) -> Vec<u32> {
        let mut ids = vocab.encode(&message.content);
        for call in &message.tool_calls {
            ids.push(id(vocab, CALL));
            ids.extend(vocab.encode(&write_call(call)));
        }
        ids.push(self.stop(vocab));
        ids
    }

    fn after_turn(&self, _vocab: &dyn Vocab, _speaker: Role) -> Vec<u32> {
        Vec::new()
    }

    fn stop_token(&self) -> &'static str {
        END
    }

    fn chat_template(&self) -> &'static str {
        include_str!("compact.jinja")
    }

    fn parse(&self, vocab: &dyn Vocab, speaker: Role, ids: &[u32]) -> Result<Message, ParseError> {
        let ids = until_stop(ids, self.stop(vocab));
        let call = id(vocab, CALL);
        for token in [SYSTEM, USER, AGENT, RESULT] {
            let special = id(vocab, token);
            if ids.contains(&special) {
                return Err(ParseError::Special(special));
            }
        }
        let mut parts = ids.split(|id| *id == call);
        let content = vocab.decode(parts.next().unwrap_or_default());
        let tool_calls = parts
            .map(|part| read_call(&vocab.decode(part)))
            .collect::<Result<Vec<_>, _>>()?;
        if speaker != Role::Assistant && !tool_calls.is_empty() {
            return Err(ParseError::Special(call));
        }
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

fn write_call(call: &ToolCall) -> String {
    let mut text = call.name.clone();
    for (key, value) in &call.arguments {
        text.push(' ');
        text.push_str(key);
        text.push('=');
        match value {
            Value::String(word) if is_bare(word) => text.push_str(word),
            Value::Number(number) => text.push_str(&format!("#{number}")),
            other => text.push_str(&other.to_string()),
        }
    }
    text
}

/// Returns true when a string may stand without quotes: it is one plain word, and none of JSON's three.
fn is_bare(word: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.:/@".contains(c);
    !word.is_empty() && word.chars().all(plain) && !matches!(word, "true" | "false" | "null")
}

fn read_call(text: &str) -> Result<ToolCall, ParseError> {
    let text = text.trim();
    let (name, mut rest) = text.split_once(' ').unwrap_or((text, ""));
    if name.is_empty() || !name.chars().all(|c| c.is_alphanumeric() || c == '_') {
        return Err(ParseError::Call(format!("`{name}` is not a tool's name")));
    }
    let mut arguments = Map::new();
    loop {
        rest = rest.trim_start();
        if rest.is_empty() {
            return Ok(ToolCall {
                id: String::new(),
                name: name.into(),
                arguments,
            });
        }
        let (key, after) = rest
            .split_once('=')
            .ok_or_else(|| ParseError::Call(format!("`{rest}` has no value")))?;
        if key.is_empty() || key.contains(' ') {
            return Err(ParseError::Call(format!(
                "`{key}` is not an argument's name"
            )));
        }
        let (value, left) = read_value(after)?;
        if arguments.insert(key.to_owned(), value).is_some() {
            return Err(ParseError::Call(format!("`{key}` is given twice")));
        }
        rest = left;
    }
}

fn read_value(text: &str) -> Result<(Value, &str), ParseError> {
    let word_end = text.find(' ').unwrap_or(text.len());
    let word = &text[..word_end];
    if is_bare(word) {
        return Ok((Value::String(word.to_owned()), &text[word_end..]));
    }
    if let Some(number) = word.strip_prefix('#') {
        let value = serde_json::from_str(number).map_err(|e| ParseError::Call(e.to_string()))?;
        return Ok((value, &text[word_end..]));
    }
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    match stream.next() {
        Some(Ok(value)) => Ok((value, &text[stream.byte_offset()..])),
        Some(Err(error)) => Err(ParseError::Call(error.to_string())),
        None => Err(ParseError::Call("a value is missing".into())),
    }
}
