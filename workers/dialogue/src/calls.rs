//! Tool calls written as text: fenced or bare JSON, as models without a native form write them.

use serde_json::{Map, Value};

use crate::ToolCall;

/// The reason why text that looks like a call cannot be read as one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The JSON cannot be parsed.
    #[error("the tool call is not JSON: {0}")]
    Json(String),
    /// It has no name.
    #[error("the tool call has no `name`")]
    NoName,
    /// Its arguments are not an object; names are not guessed from positions.
    #[error("the arguments of `{0}` are not an object of names and values")]
    Arguments(String),
}

/// The calls in a text: every fenced block that holds a call or a list of calls, or the whole text when it is one.
/// No call: an empty list.
///
/// # Errors
/// When something is written as a call and cannot be read as one.
pub fn calls_in_text(text: &str) -> Result<Vec<ToolCall>, CallError> {
    let mut calls = Vec::new();
    let fences: Vec<&str> = text.split("```").skip(1).step_by(2).collect();
    for fence in &fences {
        let body = fence
            .trim_start_matches(|c: char| c.is_alphanumeric() || c == '_')
            .trim();
        if body.starts_with(['{', '[']) {
            let value = serde_json::from_str(body).map_err(|e| CallError::Json(e.to_string()))?;
            collect(&value, &mut calls)?;
        }
    }
    let whole = text.trim();
    if fences.is_empty() && whole.starts_with(['{', '[']) {
        if let Ok(value) = serde_json::from_str(whole) {
            collect(&value, &mut calls)?;
        } else if whole.contains("\"arguments\"") {
            return Err(CallError::Json(
                "it ends too early or has a stray character".into(),
            ));
        }
    }
    Ok(calls)
}

/// One call from a JSON object: `{name, arguments}`, or that inside `function`; arguments may be a JSON string.
pub(crate) fn call_from(value: &Value) -> Result<ToolCall, CallError> {
    let inner = value
        .get("function")
        .filter(|f| f.is_object())
        .unwrap_or(value);
    let name = inner
        .get("name")
        .and_then(Value::as_str)
        .ok_or(CallError::NoName)?;
    let arguments = match inner.get("arguments").or_else(|| inner.get("parameters")) {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(map)) => map.clone(),
        Some(Value::String(text)) => {
            serde_json::from_str(text).map_err(|_| CallError::Arguments(name.to_owned()))?
        }
        Some(_) => return Err(CallError::Arguments(name.to_owned())),
    };
    let id = value
        .get("id")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    Ok(ToolCall {
        id,
        name: name.to_owned(),
        arguments,
    })
}

fn collect(value: &Value, calls: &mut Vec<ToolCall>) -> Result<(), CallError> {
    match value {
        Value::Array(items) if items.iter().any(looks_like_call) => {
            items.iter().try_for_each(|item| collect(item, calls))
        }
        Value::Object(map) if map.contains_key("tool_calls") => collect(&map["tool_calls"], calls),
        Value::Object(_) if looks_like_call(value) => {
            calls.push(call_from(value)?);
            Ok(())
        }
        _ => Ok(()),
    }
}

fn looks_like_call(value: &Value) -> bool {
    let inner = value
        .get("function")
        .filter(|f| f.is_object())
        .unwrap_or(value);
    inner.get("name").is_some()
        && (inner.get("arguments").is_some() || inner.get("parameters").is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fenced_bare_listed_and_wrapped_calls_are_read_and_plain_text_is_not() {
        let bare = r#"{"name": "look", "arguments": {"id": "4"}}"#;
        let forms = [
            bare.to_owned(),
            format!("Sure.\n```json\n{bare}\n```"),
            format!("```json\n[{bare}]\n```"),
            format!(r#"{{"type":"function","function":{bare}}}"#),
        ];
        for form in forms {
            let calls = calls_in_text(&form).unwrap();
            assert_eq!(calls.len(), 1, "{form}");
            assert_eq!(calls[0].arguments["id"], "4");
        }
        assert!(
            calls_in_text("I will look at it. {not json}")
                .unwrap()
                .is_empty()
        );
        assert!(
            calls_in_text("```json\n{\"total\": 3}\n```")
                .unwrap()
                .is_empty()
        );
    }

    #[test]
    fn arguments_given_as_a_list_are_refused_not_guessed() {
        let text = r#"```json
{"name": "look", "arguments": ["4"]}
```"#;
        assert_eq!(
            calls_in_text(text),
            Err(CallError::Arguments("look".into()))
        );
    }
}
