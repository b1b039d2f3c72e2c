//! Reads what models write: objects, calls, outputs and programs, each with the reason when it cannot be used.
//!
//! The reasons are read by models, which are asked again with them, and by people in reports.

use agoge_dialogue::{CallError, ToolCall, ToolSpec};
use agoge_llm::{Answer, Finish, json_in_text};
use agoge_sandbox::Change;
use agoge_world::{Domain, ToolResult};
use serde_json::{Map, Value, json};

/// The longest text that an agent can be required to say, in characters and words.
const LONGEST_OUTPUT: (usize, usize) = (24, 3);

/// Reads the JSON object of an answer.
///
/// # Errors
/// The reason it cannot be used.
pub fn object(answer: &Answer) -> Result<Map<String, Value>, String> {
    let cut = answer.finish == Finish::Length;
    match json_in_text(&answer.text, cut)
        .map_err(|e| e.to_string())?
        .value
    {
        Value::Object(map) => Ok(map),
        _ => Err("the JSON must be one object".into()),
    }
}

/// Reads a field that must hold text.
///
/// # Errors
/// The reason it cannot be used.
pub fn text(map: &Map<String, Value>, name: &str) -> Result<String, String> {
    match map.get(name) {
        Some(Value::String(text)) if !text.trim().is_empty() => Ok(text.trim().to_owned()),
        _ => Err(format!("{name} is missing or no text")),
    }
}

/// Reads a field that maps names to texts or numbers. Empty values are left out: they say nothing.
///
/// # Errors
/// The reason it cannot be used.
pub fn facts(map: &Map<String, Value>, field: &str) -> Result<Vec<(String, String)>, String> {
    let Some(Value::Object(values)) = map.get(field) else {
        return Err(format!("{field} is missing or no object"));
    };
    let mut facts = Vec::new();
    for (name, value) in values {
        let value = match value {
            Value::String(value) => value.trim().to_owned(),
            Value::Number(number) => number.to_string(),
            _ => return Err(format!("{field}.{name} must be a text or a number")),
        };
        if !value.is_empty() {
            facts.push((name.clone(), value));
        }
    }
    Ok(facts)
}

/// Reads calls of the domain's tools.
///
/// # Errors
/// The reason they cannot be used.
pub fn calls(domain: &Domain, value: Option<&Value>) -> Result<Vec<ToolCall>, String> {
    let Some(Value::Array(items)) = value else {
        return Err("calls is missing or no list".into());
    };
    if items.is_empty() {
        return Err("calls is empty".into());
    }
    let read = |item: &Value| {
        let name = item
            .get("name")
            .and_then(Value::as_str)
            .ok_or(CallError::NoName)?;
        match item.get("arguments") {
            Some(Value::Object(arguments)) => Ok(ToolCall::new(name, arguments.clone())),
            _ => Err(CallError::Arguments(name.into())),
        }
    };
    let calls: Result<Vec<ToolCall>, CallError> = items.iter().map(read).collect();
    let calls = calls.map_err(|e| e.to_string())?;
    match calls.iter().find(|call| domain.tool(&call.name).is_none()) {
        Some(call) => Err(format!("there is no tool {}", call.name)),
        None => Ok(calls),
    }
}

/// Reads the short texts that an agent must say.
///
/// # Errors
/// The reason they cannot be used.
pub fn outputs(value: Option<&Value>) -> Result<Vec<String>, String> {
    let items = match value {
        None => return Err("say is missing".into()),
        Some(Value::Array(items)) => items.as_slice(),
        Some(_) => return Err("say is no list".into()),
    };
    let mut say = Vec::new();
    for item in items {
        let output = match item {
            Value::String(text) => text.trim().trim_matches('*').to_owned(),
            Value::Number(number) => number.to_string(),
            _ => return Err("say must hold words and numbers".into()),
        };
        let (chars, words) = LONGEST_OUTPUT;
        if output.is_empty() {
            return Err("say holds an empty text".into());
        }
        if output.chars().count() > chars || output.split_whitespace().count() > words {
            return Err(format!(
                "say holds a sentence, {output:?}, not a word or number"
            ));
        }
        say.push(output);
    }
    Ok(say)
}

/// Reads the program of an answer: its first fenced block, or the whole text.
///
/// # Errors
/// The reason it cannot be used.
pub fn python(answer: &Answer) -> Result<String, String> {
    if answer.finish == Finish::Length {
        return Err("the checker was cut off by its token limit".into());
    }
    let text = answer.text.trim();
    let source = match text.split("```").nth(1) {
        Some(fence) => fence.trim_start_matches("python").trim(),
        None => text,
    };
    if source.contains("def check(") {
        Ok(format!("{source}\n"))
    } else {
        Err("there is no function check in the answer".into())
    }
}

/// Returns true when a text is the id of a record.
#[must_use]
pub fn is_id(domain: &Domain, text: &str) -> bool {
    domain
        .state
        .collections()
        .any(|collection| domain.state.get(collection, text).is_some())
}

/// Requires that every id and every text with digits among the arguments is in `known` or in the result of an earlier call, so
/// that an agent can know it.
///
/// # Errors
/// The first argument that an agent cannot know.
pub fn grounded(
    domain: &Domain,
    known: &[&str],
    calls: &[(ToolCall, ToolResult)],
) -> Result<(), String> {
    let mut known = known.to_vec();
    for (n, (call, result)) in calls.iter().enumerate() {
        for (name, value) in &call.arguments {
            let Some(text) = value.as_str() else { continue };
            let given = text.chars().any(|c| c.is_ascii_digit()) || is_id(domain, text);
            if given && !known.iter().any(|known| known.contains(text)) {
                return Err(format!(
                    "call {} ({}): the agent cannot know {name} {text}; no look-up before shows it, and the customer does not say it",
                    n + 1,
                    call.name
                ));
            }
        }
        known.push(&result.content);
    }
    Ok(())
}

/// Writes changes as checkers see them.
#[must_use]
pub fn changes_in_words(changes: &[Change]) -> String {
    if changes.is_empty() {
        return "nothing".into();
    }
    let each: Vec<String> = changes
        .iter()
        .map(|c| {
            format!(
                "{}/{} {}: {} -> {}",
                c.collection, c.id, c.field, c.before, c.after
            )
        })
        .collect();
    each.join("; ")
}

/// Returns true when a text has a value as whole words: 79085 does not have 7.
#[must_use]
pub fn has_words(text: &str, value: &str) -> bool {
    let words = |text: &str| -> Vec<String> {
        let words = text
            .split(|c: char| !c.is_alphanumeric())
            .filter(|w| !w.is_empty());
        words.map(str::to_lowercase).collect()
    };
    let value = words(value);
    !value.is_empty()
        && words(text)
            .windows(value.len())
            .any(|window| *window == value)
}

/// The schema of an object with these properties and no others.
#[must_use]
pub fn object_schema(properties: &Value, required: &[&str]) -> Value {
    json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
}

/// The schema of a list of one to four calls of these tools.
#[must_use]
pub fn calls_schema(tools: &[ToolSpec]) -> Value {
    let call = |tool: &ToolSpec| {
        object_schema(
            &json!({"name": {"const": tool.name}, "arguments": tool.parameters}),
            &["name", "arguments"],
        )
    };
    let calls: Vec<Value> = tools.iter().map(call).collect();
    json!({"type": "array", "items": {"anyOf": calls}, "minItems": 1, "maxItems": 4})
}
