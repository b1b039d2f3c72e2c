//! Calls in a fence: JSON of one call, of several or of a list, or calls in Python's notation.

use serde_json::Value;

use super::run::{not_json, values};
use super::{Form, Found, Place, pythonic};
use crate::ToolCall;
use crate::json::until;
use crate::normalise::call::{CallError, Tools, Trust, call_from, calls_of_all, has_shape};
use crate::normalise::fence::{Fence, fence_at};
use crate::normalise::reasoning;

const MARKS: &str = "```";

pub(super) const FORM: Form = Form {
    marked: false,
    opens: |text| (text.starts_with(MARKS) || text.starts_with("~~~")).then_some(MARKS.len()),
    read,
};

fn read(place: Place<'_>) -> Found {
    let Some(fence) = fence_at(place.text, place.start) else {
        return Found::Nothing(place.after);
    };
    let rest = &place.text[fence.start..];
    let inner = rest.trim_start();
    let at = place.text.len() - inner.len();
    if let Some(calls) = pythonic::calls_of_whole(fence.body, place.tools) {
        return Found::of(calls, fence.end);
    }
    if inner.starts_with(['{', '[']) {
        return json(inner, at, &fence, place.tools).unwrap_or_else(|| words(&fence));
    }
    words(&fence)
}

/// The calls of a fence that begins with a bracket; `None` where it holds something else.
fn json(inner: &str, at: usize, fence: &Fence<'_>, tools: Tools<'_>) -> Option<Found> {
    match values(inner, &[fence.marks], "") {
        Ok((values, end)) => match calls_of_all(&values, Trust::Shaped, tools) {
            Ok(calls) if calls.is_empty() => Some(Found::Nothing(at + end)),
            calls => Some(Found::of(calls, at + end)),
        },
        Err((error, end)) => {
            let (raw, _) = until(inner, &[fence.marks]);
            let call = ["name", "arguments", "parameters"]
                .iter()
                .any(|word| raw.contains(word))
                || tools.0.iter().any(|tool| raw.contains(&tool.name));
            call.then(|| Found::Broken(error, at + end))
        }
    }
}

/// A fence without a call is words as a whole, unless calls with marks of their own or the end of reasoning may stand in it.
fn words(fence: &Fence<'_>) -> Found {
    let marked = fence.body.trim_start().starts_with(['<', '[']);
    if !fence.closed || marked || reasoning::closes(fence.body) {
        return Found::Nothing(fence.start);
    }
    Found::Nothing(fence.end)
}

/// Returns the calls of a policy that writes them as fenced JSON and nothing else: those of every fenced block that holds a call
/// or a list of calls, or of the whole text when it is one. Repairs nothing. Without a call the list is empty.
///
/// # Errors
/// When something is written as a call and cannot be read as one.
pub fn calls_in_text(text: &str) -> Result<Vec<ToolCall>, CallError> {
    calls_in_fences(text).map(|(_, calls)| calls)
}

/// The text before the first fence, and the calls of [`calls_in_text`]. Without a call the text is the whole one.
///
/// # Errors
/// When something is written as a call and cannot be read as one.
pub(crate) fn calls_in_fences(text: &str) -> Result<(&str, Vec<ToolCall>), CallError> {
    let mut calls = Vec::new();
    let whole = text.trim();
    if whole.starts_with(['{', '['])
        && let Ok(value) = serde_json::from_str::<Value>(whole)
    {
        collect(&value, &mut calls)?;
        let words = if calls.is_empty() { text } else { "" };
        return Ok((words, calls));
    }
    let Some((words, _)) = text.split_once(MARKS) else {
        if whole.starts_with(['{', '[']) && whole.contains("\"arguments\"") {
            return Err(CallError::Json(EARLY.into()));
        }
        return Ok((text, calls));
    };
    let mut rest = text;
    while let Some((_, block)) = rest.split_once(MARKS) {
        let body = block
            .trim_start_matches(|c: char| c.is_alphanumeric() || c == '_')
            .trim_start();
        let (raw, end) = until(body, &[MARKS]);
        if body.starts_with(['{', '[']) {
            let value = serde_json::from_str::<Value>(raw.trim());
            collect(&value.map_err(|_| not_json(raw))?, &mut calls)?;
        }
        rest = &body[end..];
    }
    let words = words.trim_end_matches('\n');
    Ok((if calls.is_empty() { text } else { words }, calls))
}

/// The reason why a text that is one object cannot be read.
pub(super) const EARLY: &str = "it ends too early or has a stray character";

fn collect(value: &Value, calls: &mut Vec<ToolCall>) -> Result<(), CallError> {
    match value {
        Value::Array(items) if items.iter().any(has_shape) => {
            items.iter().try_for_each(|item| collect(item, calls))
        }
        Value::Object(map) if map.contains_key("tool_calls") => collect(&map["tool_calls"], calls),
        Value::Object(_) if has_shape(value) => {
            calls.push(call_from(value)?);
            Ok(())
        }
        _ => Ok(()),
    }
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
        for none in [
            "I will look at it. {not json}",
            "```json\n{\"total\": 3}\n```",
        ] {
            assert!(calls_in_text(none).unwrap().is_empty());
        }
        let quoted = "```json\n{\"name\": \"note\", \"arguments\": {\"text\": \"a ``` b\"}}\n```";
        assert_eq!(
            calls_in_text(quoted).unwrap()[0].arguments["text"],
            "a ``` b"
        );
    }

    #[test]
    fn arguments_given_as_a_list_are_refused_not_guessed() {
        let text = "```json\n{\"name\": \"look\", \"arguments\": [\"4\"]}\n```";
        assert_eq!(
            calls_in_text(text),
            Err(CallError::Arguments("look".into()))
        );
    }
}
