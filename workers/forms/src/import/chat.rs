//! Messages as chat APIs and chat templates have them: with arguments as a JSON text or as an object.

use agoge_dialogue::{Message, Role, ToolCall};
use serde_json::{Map, Value};

/// Reads a list of messages.
///
/// # Errors
/// The message and the problem.
pub(super) fn messages(list: &Value, field: &str) -> Result<Vec<Message>, String> {
    // A list may also be a JSON text, where a column has one type.
    let parsed;
    let list = match list {
        Value::String(text) => {
            parsed = serde_json::from_str::<Value>(text)
                .map_err(|error| format!("`{field}`: {error}"))?;
            &parsed
        }
        list => list,
    };
    let list = list
        .as_array()
        .ok_or_else(|| format!("`{field}` must be a list of messages"))?;
    let one = |(n, value): (usize, &Value)| {
        message(value).map_err(|error| format!("`{field}[{n}]`: {error}"))
    };
    list.iter().enumerate().map(one).collect()
}

fn message(value: &Value) -> Result<Message, String> {
    let role = match value["role"].as_str() {
        Some("system" | "developer") => Role::System,
        Some("user") => Role::User,
        Some("assistant") => Role::Assistant,
        Some("tool") => Role::Tool,
        Some(other) => return Err(format!("there is no role `{other}`")),
        None => return Err("it has no `role`".into()),
    };
    let calls = match &value["tool_calls"] {
        Value::Null => Vec::new(),
        Value::Array(calls) => calls.iter().map(call).collect::<Result<_, _>>()?,
        _ => return Err("`tool_calls` must be a list".into()),
    };
    let reasoning = value["reasoning_content"]
        .as_str()
        .filter(|text| !text.is_empty());
    Ok(Message {
        role,
        content: text(&value["content"])?,
        tool_calls: calls,
        tool_call_id: match role {
            Role::Tool => value["tool_call_id"].as_str().map(str::to_owned),
            _ => None,
        },
        reasoning: reasoning.map(str::to_owned),
    })
}

/// Reads a content: a text, a list of texts, or nothing.
pub(super) fn text(value: &Value) -> Result<String, String> {
    match value {
        Value::Null => Ok(String::new()),
        Value::String(text) => Ok(text.clone()),
        Value::Array(parts) => {
            let texts: Option<Vec<&str>> = parts.iter().map(|part| part["text"].as_str()).collect();
            let texts = texts.ok_or("`content` has a part that is no text")?;
            Ok(texts.concat())
        }
        _ => Err("`content` must be a text".into()),
    }
}

fn call(value: &Value) -> Result<ToolCall, String> {
    let function = match value.get("function") {
        Some(function) => function,
        None => value,
    };
    let name = function["name"].as_str().ok_or("a call has no `name`")?;
    Ok(ToolCall {
        id: value["id"].as_str().unwrap_or_default().to_owned(),
        name: name.to_owned(),
        arguments: arguments(&function["arguments"])
            .ok_or_else(|| format!("the arguments of the call of `{name}` are no object"))?,
    })
}

/// Reads arguments: an object, a JSON text of one, or nothing.
pub(super) fn arguments(value: &Value) -> Option<Map<String, Value>> {
    match value {
        Value::Null => Some(Map::new()),
        Value::Object(map) => Some(map.clone()),
        Value::String(text) if text.trim().is_empty() => Some(Map::new()),
        Value::String(text) => serde_json::from_str(text).ok(),
        _ => None,
    }
}

/// Reads the id of a row.
pub(super) fn id(row: &Value) -> Option<String> {
    match &row["id"] {
        Value::String(id) => Some(id.clone()),
        Value::Number(id) => Some(id.to_string()),
        _ => None,
    }
}
