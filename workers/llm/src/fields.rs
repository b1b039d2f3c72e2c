//! Reads an API message: its text, its reasoning and its calls, in the spellings that servers use.

use serde_json::{Map, Value, json};

/// The fields that hold reasoning. Where a server fills several, they hold the same.
const REASONING: [&str; 4] = [
    "reasoning_content",
    "reasoning",
    "thinking",
    "reasoning_details",
];
/// The fields of a part, or of a reasoning object, that hold its text.
const TEXT: [&str; 5] = ["text", "thinking", "reasoning", "content", "summary"];

/// The fields of a message.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Fields {
    /// The text; may be empty.
    pub text: String,
    /// Reasoning that the server sends apart from the text.
    pub reasoning: Option<String>,
    /// Calls in the API's own form, as they came.
    pub tool_calls: Vec<Value>,
}

/// Reads the fields of a message.
///
/// # Errors
/// Names the field that has another type than it must have.
pub(crate) fn read(message: &Map<String, Value>) -> Result<Fields, String> {
    let (text, thought) = content(message.get("content"))?;
    let apart = REASONING
        .iter()
        .filter_map(|field| message.get(*field))
        .map(words)
        .find(|words| !words.trim().is_empty());
    Ok(Fields {
        text,
        reasoning: apart.or_else(|| (!thought.trim().is_empty()).then_some(thought)),
        tool_calls: calls(message)?,
    })
}

/// The text of a message and the reasoning within it, which may come as parts.
fn content(content: Option<&Value>) -> Result<(String, String), String> {
    let parts = match content {
        None | Some(Value::Null) => return Ok(Default::default()),
        Some(Value::String(text)) => return Ok((text.clone(), String::new())),
        Some(Value::Array(parts)) => parts,
        Some(_) => return Err("`choices[0].message.content` is not text".into()),
    };
    let (mut text, mut thought) = (String::new(), String::new());
    for part in parts {
        match part.get("type").and_then(Value::as_str) {
            Some("thinking" | "reasoning") => thought.push_str(&words(part)),
            Some("text" | "output_text" | "refusal") => text.push_str(&words(part)),
            None if part.is_string() || part.get("text").is_some() => text.push_str(&words(part)),
            _ => {
                return Err("`choices[0].message.content` has a part that is not text".into());
            }
        }
    }
    Ok((text, thought))
}

/// The calls of a message, `function_call` of the API's first form included.
fn calls(message: &Map<String, Value>) -> Result<Vec<Value>, String> {
    let calls = match message.get("tool_calls") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(calls)) => calls.clone(),
        Some(_) => return Err("`choices[0].message.tool_calls` is not a list".into()),
    };
    match message.get("function_call").filter(|call| call.is_object()) {
        Some(call) if calls.is_empty() => Ok(vec![json!({"type": "function", "function": call})]),
        _ => Ok(calls),
    }
}

/// The text of a value: itself, its parts one after another, or the field of it that holds text.
fn words(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().map(words).collect(),
        Value::Object(map) => {
            let inner = TEXT.iter().find_map(|field| map.get(*field));
            let inner = inner.or_else(|| map.get("refusal"));
            inner.map_or_else(String::new, words)
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(message: &Value) -> Result<Fields, String> {
        read(message.as_object().unwrap())
    }

    #[test]
    fn text_and_reasoning_are_read_apart_in_every_spelling() {
        for message in [
            json!({"content": "It is held.", "reasoning_content": "First find it."}),
            json!({"content": "It is held.", "reasoning": "First find it.", "reasoning_content": null}),
            json!({"content": "It is held.", "reasoning": {"content": "First find it."}}),
            json!({"content": "It is held.", "reasoning_details": [{"type": "reasoning.text", "text": "First find it."}]}),
            json!({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "First find it."}]},
                {"type": "text", "text": "It is held."}]}),
        ] {
            let fields = of(&message).unwrap();
            assert_eq!(fields.text, "It is held.", "{message}");
            assert_eq!(
                fields.reasoning.as_deref(),
                Some("First find it."),
                "{message}"
            );
        }
        let plain = of(&json!({"content": "It is held.", "reasoning_content": ""})).unwrap();
        assert_eq!(plain.reasoning, None);
    }

    #[test]
    fn the_first_form_of_calls_is_read_and_other_types_are_refused() {
        let call = json!({"name": "find", "arguments": "{}"});
        let old = of(&json!({"content": null, "function_call": call})).unwrap();
        assert_eq!(
            old.tool_calls,
            [json!({"type": "function", "function": call})]
        );
        for bad in [
            json!({"content": 3}),
            json!({"content": [{"type": "image_url"}]}),
            json!({"tool_calls": {}}),
        ] {
            assert!(
                of(&bad).unwrap_err().contains("choices[0].message"),
                "{bad}"
            );
        }
    }
}
