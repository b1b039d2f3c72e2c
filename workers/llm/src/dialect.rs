//! The dialect of an endpoint: the fields and forms in which it takes a request, learned from what it refuses.
//!
//! A request is written once, in the common form ([`crate::Request::body`]), and translated when it is sent. Recordings know
//! the common form only. When an endpoint refuses a field with 400 or 422, the field is renamed, weakened or left out, and
//! all later requests to the endpoint follow. Every step leaves something out for good, so that there are few of them.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::trouble::Trouble;

/// The field that limits generated tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TokenField {
    /// `max_tokens`.
    #[default]
    MaxTokens,
    /// `max_completion_tokens`, which reasoning models ask for.
    MaxCompletionTokens,
}

impl TokenField {
    const fn name(self) -> &'static str {
        match self {
            Self::MaxTokens => "max_tokens",
            Self::MaxCompletionTokens => "max_completion_tokens",
        }
    }

    const fn other(self) -> Self {
        match self {
            Self::MaxTokens => Self::MaxCompletionTokens,
            Self::MaxCompletionTokens => Self::MaxTokens,
        }
    }
}

/// The part of the dialect that a person sets.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Manner {
    /// The field that limits generated tokens; the other one is used where this one is refused.
    pub token_field: TokenField,
    /// Fields that are added to every request. They replace fields of the same name, except `model` and `messages`.
    pub extra: Map<String, Value>,
    /// Tokens of reasoning, added to the limit of every request.
    pub reasoning_tokens: u32,
}

/// The strongest form of an answer that an endpoint holds its model to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Form {
    #[default]
    Schema,
    Object,
    Text,
}

/// The part of the dialect that is learned.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Dialect {
    /// Fields that are left out.
    omitted: BTreeSet<String>,
    form: Form,
    /// The system message is written at the beginning of the user's first one.
    no_system: bool,
    /// The chat API is at the other address that the URL may mean.
    pub other_address: bool,
}

/// Fields that are the question itself.
const QUESTION: [&str; 2] = ["model", "messages"];
/// Fields that are not left out either, because the prompt counts on them.
const KEPT: [&str; 2] = ["tools", "tool_choice"];
const FORMAT: &str = "response_format";
/// Other words by which endpoints speak of a field.
const SYNONYMS: [(&str, &str); 9] = [
    ("json_schema", FORMAT),
    ("json_object", FORMAT),
    ("response format", FORMAT),
    ("responseformat", FORMAT),
    ("json mode", FORMAT),
    ("structured output", FORMAT),
    ("grammar", FORMAT),
    ("guided", FORMAT),
    ("stop sequence", "stop"),
];
/// Words of a complaint about a value, which another name of the field would not change.
const VALUE: [&str; 8] = [
    "too large",
    "too high",
    "too big",
    "at most",
    "less than",
    "exceed",
    "maximum",
    "<=",
];

impl Dialect {
    /// Translates a request.
    pub fn write(&self, body: &Value, manner: &Manner) -> Value {
        let mut body = body.as_object().cloned().unwrap_or_default();
        self.limit(&mut body, manner);
        for (name, value) in &manner.extra {
            match name.as_str() {
                name if QUESTION.contains(&name) => {}
                _ if value.is_null() => {
                    body.shift_remove(name);
                }
                _ => {
                    body.insert(name.clone(), value.clone());
                }
            }
        }
        let schema =
            body.get(FORMAT).and_then(|form| form.get("type")) == Some(&json!("json_schema"));
        match self.form {
            Form::Schema => {}
            Form::Object if schema => {
                body.insert(FORMAT.into(), json!({"type": "json_object"}));
            }
            Form::Object => {}
            Form::Text => {
                body.shift_remove(FORMAT);
            }
        }
        body.retain(|name, _| !self.omitted.contains(name));
        if self.no_system
            && let Some(Value::Array(messages)) = body.get_mut("messages")
        {
            merge_system(messages);
        }
        Value::Object(body)
    }

    /// Writes the token limit in the field that the endpoint takes, with the tokens of reasoning.
    fn limit(&self, body: &mut Map<String, Value>, manner: &Manner) {
        let common = TokenField::MaxTokens.name();
        let Some(limit) = body.get(common).and_then(Value::as_u64) else {
            return;
        };
        let own = [TokenField::MaxTokens, TokenField::MaxCompletionTokens].map(TokenField::name);
        if own.iter().any(|name| manner.extra.contains_key(*name)) {
            body.shift_remove(common);
            return;
        }
        let limit = json!(limit.saturating_add(manner.reasoning_tokens.into()));
        let wanted = manner.token_field;
        let field = match self.omitted.contains(wanted.name()) {
            true => wanted.other(),
            false => wanted,
        };
        if field == TokenField::MaxTokens {
            body.insert(common.into(), limit);
        } else {
            body.shift_remove(common);
            body.insert(field.name().into(), limit);
        }
    }

    /// Returns the field of a sent request that a refusal names: the one it points at, else the first in its message.
    pub fn named(trouble: &Trouble, sent: &Value) -> Option<String> {
        let sent = sent.as_object()?;
        let pointed = trouble.field.as_deref().unwrap_or_default().to_lowercase();
        let mut parts = pointed.split(|c: char| !c.is_alphanumeric() && c != '_');
        if let Some(field) = parts.find(|part| sent.contains_key(*part)) {
            return (!QUESTION.contains(&field)).then(|| field.to_owned());
        }
        let said = trouble.said.to_lowercase();
        let names = sent.keys().map(|name| (name.as_str(), name.as_str()));
        let synonyms = SYNONYMS
            .into_iter()
            .filter(|(_, field)| sent.contains_key(*field));
        names
            .filter(|(name, _)| !QUESTION.contains(name))
            .chain(synonyms)
            .filter_map(|(word, field)| Some((place(&said, word)?, field)))
            .min()
            .map(|(_, field)| field.to_owned())
    }

    /// Returns the dialect without what a refusal names, and the change in words; `None` where nothing can be changed.
    pub fn without(&self, trouble: &Trouble, sent: &Value) -> Option<(Self, String)> {
        let mut next = self.clone();
        let refuses_system = is_about_system(trouble, sent);
        let Some(field) = Self::named(trouble, sent).filter(|_| !refuses_system) else {
            if !refuses_system || self.no_system {
                return None;
            }
            next.no_system = true;
            return Some((
                next,
                "the system message is put before the user's first one".into(),
            ));
        };
        let change = match field.as_str() {
            FORMAT if sent[FORMAT]["type"] == "json_schema" => {
                next.form = Form::Object;
                "`response_format` asks for a JSON object, without its schema".to_owned()
            }
            FORMAT => {
                next.form = Form::Text;
                next.omitted.insert(field);
                "`response_format` is left out".to_owned()
            }
            name if KEPT.contains(&name) => return None,
            name @ ("max_tokens" | "max_completion_tokens") => {
                let other = match name {
                    "max_tokens" => TokenField::MaxCompletionTokens.name(),
                    _ => TokenField::MaxTokens.name(),
                };
                let said = trouble.said.to_lowercase();
                let value = VALUE.iter().any(|word| said.contains(word));
                if value && place(&said, other).is_none() {
                    return None;
                }
                let change = match self.omitted.contains(other) {
                    true => format!("`{name}` is left out"),
                    false => format!("`{name}` is called `{other}`"),
                };
                next.omitted.insert(field);
                change
            }
            name => {
                let change = format!("`{name}` is left out");
                next.omitted.insert(field);
                change
            }
        };
        (next != *self).then_some((next, change))
    }

    /// Returns true when the endpoint does not stop where it is asked to, so that an answer has to be cut here.
    pub fn ignores_stop(&self) -> bool {
        self.omitted.contains("stop")
    }
}

/// The place of a word in a text, as a whole word.
fn place(text: &str, word: &str) -> Option<usize> {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).map(|(at, _)| at).find(|at| {
        let before = text[..*at].chars().next_back();
        let after = text[*at + word.len()..].chars().next();
        // A plural is the same word.
        let ends = after.is_none_or(|c| !part(c) || c == 's');
        !before.is_some_and(part) && ends
    })
}

/// Returns true when the refusal is about the role of the system message.
fn is_about_system(trouble: &Trouble, sent: &Value) -> bool {
    let said = trouble.said.to_lowercase();
    let role = said.contains("system") && said.contains("role")
        || said.contains("system message")
        || said.contains("developer instruction");
    role && sent["messages"][0]["role"] == "system"
}

/// Puts the system message before the words of the first user's.
fn merge_system(messages: &mut Vec<Value>) {
    if messages
        .first()
        .is_none_or(|first| first["role"] != "system")
    {
        return;
    }
    let system = messages.remove(0);
    let text = system["content"].as_str().unwrap_or_default().to_owned();
    match messages.first_mut().filter(|first| first["role"] == "user") {
        Some(first) => {
            let said = first["content"].as_str().unwrap_or_default();
            first["content"] = json!(format!("{text}\n\n{said}"));
        }
        None => messages.insert(0, json!({"role": "user", "content": text})),
    }
}

#[cfg(test)]
#[path = "dialect_tests.rs"]
mod tests;
