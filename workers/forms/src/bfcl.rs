//! The multi-turn tasks of BFCL: the questions, the right calls in a file of their own, and the documents of the functions.
//!
//! The classes behind the functions are Python of that package and do not run here: the rows are read, not played.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use agoge_dialogue::{ToolCall, ToolSpec, python_call};
use agoge_world::python_json::literal;
use serde_json::{Map, Value, json};

use crate::rows::{CallRow, CallTurn, RowsError, objects, place};

/// Folders of the data under the folder that a person names.
const LAYOUTS: [&str; 3] = ["", "data", "bfcl_eval/data"];
/// The folder of the right calls, and that of the functions' documents.
const FOLDERS: [&str; 2] = ["possible_answer", "multi_turn_func_doc"];
/// The classes of functions and the files of their documents.
const CLASSES: [(&str, &str); 8] = [
    ("GorillaFileSystem", "gorilla_file_system.json"),
    ("MathAPI", "math_api.json"),
    ("MessageAPI", "message_api.json"),
    ("TwitterAPI", "posting_api.json"),
    ("TicketAPI", "ticket_api.json"),
    ("TradingBot", "trading_bot.json"),
    ("TravelAPI", "travel_booking.json"),
    ("VehicleControlAPI", "vehicle_control.json"),
];

/// Returns the folder with the data of a `bfcl-eval` package, where the path leads to one.
#[must_use]
pub fn locate(path: &Path) -> Option<PathBuf> {
    let mut folders = LAYOUTS.iter().map(|layout| path.join(layout));
    folders.find(|folder| FOLDERS.iter().all(|name| folder.join(name).is_dir()))
}

/// Reads every multi-turn task of a data folder, in the order of the files.
///
/// # Errors
/// [`RowsError`]
pub fn rows(data: &Path) -> Result<Vec<CallRow>, RowsError> {
    let documents = documents(data)?;
    let mut all = Vec::new();
    for file in files(data)? {
        let name = file.file_name().unwrap_or_default();
        let answers = answers(&data.join(FOLDERS[0]).join(name))?;
        for (line, raw) in objects(&file)? {
            all.push(row(raw, place(&file, line), &answers, &documents));
        }
    }
    Ok(all)
}

/// Returns the files of questions.
///
/// # Errors
/// [`RowsError`]
pub fn files(data: &Path) -> Result<Vec<PathBuf>, RowsError> {
    let unread = |source| RowsError::Read {
        file: data.to_owned(),
        source,
    };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(data).map_err(unread)? {
        let file = entry.map_err(unread)?.path();
        let name = file
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if name.contains("multi_turn") && name.ends_with(".json") && file.is_file() {
            found.push(file);
        }
    }
    found.sort();
    match found.is_empty() {
        true => Err(RowsError::None {
            dir: data.to_owned(),
            wanted: "file of multi-turn tasks (BFCL_v4_multi_turn_base.json and the like)",
        }),
        false => Ok(found),
    }
}

/// The tools of each class.
fn documents(data: &Path) -> Result<HashMap<&'static str, Vec<ToolSpec>>, RowsError> {
    let mut all = HashMap::new();
    for (class, name) in CLASSES {
        let file = data.join(FOLDERS[1]).join(name);
        if file.is_file() {
            let tools = objects(&file)?.into_iter();
            all.insert(
                class,
                tools.filter_map(|(_, document)| tool(&document)).collect(),
            );
        }
    }
    Ok(all)
}

fn tool(document: &Value) -> Option<ToolSpec> {
    Some(ToolSpec {
        name: document["name"].as_str()?.to_owned(),
        description: document["description"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
        parameters: schema(&document["parameters"]),
    })
}

/// Returns a parameter's document as a JSON schema: `dict`, `float` and `tuple` are names of Python's types.
fn schema(document: &Value) -> Value {
    let Value::Object(fields) = document else {
        return json!({});
    };
    let mut schema = Map::new();
    for (name, value) in fields {
        match (name.as_str(), value) {
            ("type", Value::String(kind)) => {
                let kind = match kind.as_str() {
                    "dict" => "object",
                    "float" => "number",
                    "tuple" => "array",
                    "any" => continue,
                    other => other,
                };
                schema.insert("type".into(), kind.into());
            }
            ("properties", Value::Object(inner)) => {
                let inner = inner
                    .iter()
                    .map(|(name, one)| (name.clone(), self::schema(one)));
                schema.insert("properties".into(), Value::Object(inner.collect()));
            }
            ("items", items) => {
                schema.insert("items".into(), self::schema(items));
            }
            ("enum" | "required" | "description", value) => {
                schema.insert(name.clone(), value.clone());
            }
            _ => {}
        }
    }
    Value::Object(schema)
}

/// The rows of right calls, by id; none where there is no such file.
fn answers(file: &Path) -> Result<HashMap<String, Value>, RowsError> {
    if !file.is_file() {
        return Ok(HashMap::new());
    }
    let rows = objects(file)?.into_iter();
    Ok(rows.map(|(_, row)| (text(&row["id"]), row)).collect())
}

fn row(
    raw: Value,
    place: String,
    answers: &HashMap<String, Value>,
    documents: &HashMap<&'static str, Vec<ToolSpec>>,
) -> CallRow {
    let id = text(&raw["id"]);
    let names = |value: &Value| -> Vec<String> {
        let names = value.as_array().into_iter().flatten();
        names
            .filter_map(|name| name.as_str().map(str::to_owned))
            .collect()
    };
    let excluded = names(&raw["excluded_function"]);
    let classes = names(&raw["involved_classes"]);
    let of = |class: &String| documents.get(class.as_str());
    let tools: Vec<ToolSpec> = classes
        .iter()
        .filter_map(of)
        .flatten()
        .filter(|tool| !excluded.contains(&tool.name))
        .cloned()
        .collect();
    let asked: Vec<String> = raw["question"]
        .as_array()
        .into_iter()
        .flatten()
        .map(said)
        .collect();
    let missed: BTreeMap<usize, Vec<String>> = raw["missed_function"]
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(turn, missing)| Some((turn.parse().ok()?, names(missing))))
        .collect();
    // In these rows one turn cannot be served: a function or a parameter comes later.
    let lacks = id.contains("miss_func") || id.contains("miss_param");
    let answer = answers.get(&id).cloned().unwrap_or_default();
    let right: Vec<&Value> = answer["ground_truth"]
        .as_array()
        .into_iter()
        .flatten()
        .collect();
    let turns = (0..right.len().max(asked.len())).map(|turn| {
        let written = right.get(turn).and_then(|calls| calls.as_array());
        CallTurn {
            said: asked.get(turn).cloned().unwrap_or_default(),
            calls: written
                .into_iter()
                .flatten()
                .map(|call| read(&text(call), &tools))
                .collect(),
            without_calls: lacks,
            withheld: missed
                .range(turn.saturating_add(1)..)
                .flat_map(|(_, names)| names.clone())
                .collect(),
        }
    });
    CallRow {
        turns: turns.collect(),
        asked: (asked.len() != right.len()).then_some(asked.len()),
        state: raw["initial_config"].clone(),
        id,
        place,
        tools,
        raw,
        answer,
    }
}

/// The words of a turn's messages.
fn said(turn: &Value) -> String {
    let messages = turn.as_array().into_iter().flatten();
    let texts: Vec<&str> = messages
        .filter_map(|message| message["content"].as_str())
        .collect();
    texts.join("\n")
}

/// Reads a call in Python's notation. Arguments without a name get those of the function's document, in its order.
fn read(written: &str, tools: &[ToolSpec]) -> Result<ToolCall, String> {
    let unread = || written.to_owned();
    let call = python_call(written).ok_or_else(unread)?;
    let mut arguments = Map::new();
    if !call.positional.is_empty() {
        let tool = tools
            .iter()
            .find(|tool| tool.name == call.name)
            .ok_or_else(unread)?;
        let properties = tool.parameters["properties"]
            .as_object()
            .ok_or_else(unread)?;
        if call.positional.len() > properties.len() {
            return Err(unread());
        }
        arguments.extend(properties.keys().cloned().zip(call.positional));
    }
    for (name, value) in call.arguments {
        if arguments.insert(name, value).is_some() {
            return Err(unread());
        }
    }
    Ok(ToolCall::new(&call.name, arguments))
}

/// Writes a call in Python's notation.
#[must_use]
pub fn written(call: &ToolCall) -> String {
    let arguments = call
        .arguments
        .iter()
        .map(|(name, value)| format!("{name}={}", literal(value)));
    format!(
        "{}({})",
        call.name,
        arguments.collect::<Vec<_>>().join(", ")
    )
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_its_tools_and_its_calls_by_turn() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path();
        for folder in FOLDERS {
            std::fs::create_dir(data.join(folder)).unwrap();
        }
        let name = "BFCL_v4_multi_turn_miss_func.json";
        let question = json!({"id": "multi_turn_miss_func_0", "question": [[{"role": "user", "content": "Sort a."}], [], [{"role": "user", "content": "Now c."}]],
            "involved_classes": ["GorillaFileSystem"], "excluded_function": ["cp"], "missed_function": {"1": ["sort"]}});
        let answer = json!({"id": "multi_turn_miss_func_0", "ground_truth": [[], ["sort('a')"], ["cat(file_name='c'", "cat(n=1)"]]});
        std::fs::write(data.join(name), format!("{question}\n")).unwrap();
        std::fs::write(data.join(FOLDERS[0]).join(name), format!("{answer}\n")).unwrap();
        let document = |name: &str| json!({"name": name, "parameters": {"type": "dict", "properties": {"file_name": {"type": "string"}}, "required": ["file_name"]}});
        let documents = ["sort", "cat", "cp"].map(|name| document(name).to_string());
        std::fs::write(
            data.join(FOLDERS[1]).join(CLASSES[0].1),
            documents.join("\n"),
        )
        .unwrap();

        let found = rows(&locate(data).unwrap()).unwrap();
        let row = &found[0];
        assert_eq!(
            row.tools
                .iter()
                .map(|tool| tool.name.as_str())
                .collect::<Vec<_>>(),
            ["sort", "cat"]
        );
        assert_eq!((row.turns.len(), row.asked), (3, None));
        assert_eq!(row.turns[0].withheld, ["sort"]);
        assert_eq!(
            row.turns[1].calls[0].as_ref().unwrap().arguments["file_name"],
            "a"
        );
        assert!(row.turns[2].calls[0].is_err() && row.turns[2].calls[1].is_ok());
        assert_eq!(row.tools[0].parameters["type"], "object");
    }

    #[test]
    fn a_written_call_is_read_back() {
        let call = read("f(a='x \"y\"', b=[1, 2.5], c=True, d={'k': None})", &[]).unwrap();
        assert_eq!(read(&written(&call), &[]).unwrap(), call);
    }
}
