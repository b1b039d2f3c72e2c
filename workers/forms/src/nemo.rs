//! Rows of NeMo Gym: `responses_create_params` with the dialogue and the tools, and the right calls beside them.

use std::path::Path;

use agoge_dialogue::{ToolCall, ToolSpec};
use agoge_world::{Task, UserScript, numbered_rows};
use serde_json::{Map, Value};

use crate::rows::{CallRow, CallTurn, RowsError, files, objects, place};

/// The field that makes a row one of NeMo Gym.
const PARAMETERS: &str = "responses_create_params";
/// The fields that hold right calls, the usual one first. Rows of other servers hold what only their own verifier reads.
const CALLS: [&str; 3] = ["ground_truth", "expected_calls", "gold"];

/// Returns true when a file or the first file of a folder has rows of NeMo Gym.
#[must_use]
pub fn is_nemo(path: &Path) -> bool {
    let file = files(path).ok().and_then(|files| files.into_iter().next());
    let first = file.and_then(|file| {
        let text = std::fs::read_to_string(file).ok()?;
        let (_, row) = numbered_rows(&text).next()?;
        serde_json::from_str::<Value>(row).ok()
    });
    first.is_some_and(|row| row[PARAMETERS].is_object())
}

/// Reads the rows of a file or folder.
///
/// # Errors
/// [`RowsError`]
pub fn rows(path: &Path) -> Result<Vec<CallRow>, RowsError> {
    let mut all = Vec::new();
    for file in files(path)? {
        for (line, raw) in objects(&file)? {
            if !raw[PARAMETERS].is_object() {
                return Err(RowsError::Line {
                    file,
                    line,
                    message: format!(
                        "it has no object `{PARAMETERS}`; take the row from NeMo Gym again"
                    ),
                });
            }
            all.push(row(raw, place(&file, line)));
        }
    }
    Ok(all)
}

fn row(raw: Value, place: String) -> CallRow {
    let parameters = &raw[PARAMETERS];
    let id = match raw.get("id").or_else(|| raw.get("uuid")) {
        Some(Value::String(id)) => id.clone(),
        Some(Value::Null) | None => place.clone(),
        Some(id) => id.to_string(),
    };
    let tools = parameters["tools"].as_array();
    let tools = tools.into_iter().flatten().filter_map(tool).collect();
    let turn = CallTurn {
        said: said(&parameters["input"]),
        calls: CALLS
            .iter()
            .find_map(|name| raw[*name].as_array())
            .into_iter()
            .flatten()
            .map(call)
            .collect(),
        without_calls: !CALLS.iter().any(|name| raw[*name].is_array()),
        withheld: Vec::new(),
    };
    CallRow {
        id,
        place,
        tools,
        turns: vec![turn],
        asked: None,
        state: Value::Null,
        answer: Value::Null,
        raw,
    }
}

/// A tool in the form of the Responses API, or in that of the chat API.
fn tool(value: &Value) -> Option<ToolSpec> {
    let inner = match value.get("function") {
        Some(function) => function,
        None => value,
    };
    Some(ToolSpec {
        name: inner["name"].as_str()?.to_owned(),
        description: inner["description"].as_str().unwrap_or_default().to_owned(),
        parameters: inner["parameters"].clone(),
    })
}

/// The words of all messages before the agent's turn.
fn said(input: &Value) -> String {
    if let Value::String(text) = input {
        return text.clone();
    }
    let messages = input.as_array().into_iter().flatten();
    let texts = messages.flat_map(|message| match &message["content"] {
        Value::String(text) => vec![text.as_str()],
        Value::Array(parts) => parts
            .iter()
            .filter_map(|part| part["text"].as_str())
            .collect(),
        _ => Vec::new(),
    });
    texts.collect::<Vec<_>>().join("\n")
}

/// A call whose arguments are an object, or an object as text.
fn call(value: &Value) -> Result<ToolCall, String> {
    let read = || -> Option<ToolCall> {
        let arguments = match &value["arguments"] {
            Value::Object(map) => map.clone(),
            Value::String(text) => serde_json::from_str::<Map<String, Value>>(text).ok()?,
            Value::Null => Map::new(),
            _ => return None,
        };
        Some(ToolCall::new(value["name"].as_str()?, arguments))
    };
    read().ok_or_else(|| value.to_string())
}

/// Returns a row as a task of ours, to be played in a domain that has its tools. `None` where a call cannot be read.
#[must_use]
pub fn task(row: &CallRow) -> Option<Task> {
    let mut gold = Vec::new();
    for call in row.turns.iter().flat_map(|turn| &turn.calls) {
        gold.push(call.clone().ok()?);
    }
    let said: Vec<&str> = row.turns.iter().map(|turn| turn.said.as_str()).collect();
    Some(Task {
        id: row.id.clone(),
        user: UserScript {
            instruction: said.join("\n"),
            ..UserScript::default()
        },
        gold,
        ..Task::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn arguments_are_read_as_an_object_or_as_text() {
        let raw = json!({
            "id": 7,
            PARAMETERS: {
                "input": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": [{"type": "text", "text": "Hold 4."}]}],
                "tools": [{"type": "function", "name": "hold", "parameters": {"type": "object"}}],
            },
            "ground_truth": [
                {"name": "hold", "arguments": "{\"id\": \"4\"}"},
                {"name": "hold", "arguments": {"id": "5"}},
                {"name": "hold", "arguments": "{"},
            ],
        });
        let row = row(raw, "rows.jsonl:1".into());
        assert_eq!((row.id.as_str(), row.tools.len()), ("7", 1));
        let turn = &row.turns[0];
        assert_eq!(turn.said, "Be brief.\nHold 4.");
        let ids: Vec<_> = turn
            .calls
            .iter()
            .map(|call| call.as_ref().map(|one| one.arguments["id"].clone()).ok())
            .collect();
        assert_eq!(ids, [Some(json!("4")), Some(json!("5")), None]);
        assert!(task(&row).is_none());
    }
}
