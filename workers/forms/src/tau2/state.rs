//! A state of tau2-bench in the form of our schema: defaults filled in, kinds of numbers as declared, fields in the schema's
//! order, times as tau2-bench writes them.

use agoge_sandbox::{Format, normalise, resolve};
use serde_json::{Map, Value, json};

/// The mark in schema.json of a point in time. Files write `2025-01-20T14:30:00`; tau2-bench hashes it and shows it to agents
/// as Python's `str` does, with a space.
const TIME: &str = "x-tau2-datetime";

/// Brings a state into the form of its schema. Tools return records as they lie there, so their order of fields is what an
/// agent reads.
pub(super) fn arranged(schema: &Value, state: Map<String, Value>) -> Value {
    let mut state = Value::Object(state);
    let collections = schema["properties"].as_object();
    for (name, collection) in collections.into_iter().flatten() {
        if state.get(name).is_none() {
            let is_list = resolve(schema, collection)["type"] == "array";
            state[name] = if is_list { json!([]) } else { json!({}) };
        }
    }
    normalise(schema, schema, &mut state, Format::Two);
    ordered(schema, schema, state)
}

/// Returns a value with the fields of every object in the order of its schema; unknown fields come last, as they came.
fn ordered(root: &Value, schema: &Value, value: Value) -> Value {
    let schema = resolve(root, schema);
    match value {
        Value::Object(mut map) => {
            let mut sorted = Map::new();
            let properties = schema.get("properties").and_then(Value::as_object);
            for (name, inner) in properties.into_iter().flatten() {
                if let Some(value) = map.shift_remove(name) {
                    sorted.insert(name.clone(), ordered(root, inner, value));
                }
            }
            let other = schema.get("additionalProperties").unwrap_or(&Value::Null);
            for (name, value) in map {
                sorted.insert(name, ordered(root, other, value));
            }
            Value::Object(sorted)
        }
        Value::Array(items) => {
            let inner = schema.get("items").unwrap_or(&Value::Null);
            let items = items.into_iter();
            items.map(|item| ordered(root, inner, item)).collect()
        }
        Value::String(text) if schema[TIME] == true => text.replacen('T', " ", 1).into(),
        other => other,
    }
}

/// Returns the text of `state.json`: one record a line, so that a difference is readable.
pub(super) fn text(state: &Value) -> String {
    let mut lines = Vec::new();
    let empty = Map::new();
    let collections = state.as_object().unwrap_or(&empty);
    for (n, (name, collection)) in collections.iter().enumerate() {
        let comma = if n + 1 < collections.len() { "," } else { "" };
        let (open, records, close) = match collection {
            Value::Object(map) => {
                let records = map.iter();
                let line = |(id, record): (&String, &Value)| format!("  {}: {record}", json!(id));
                ("{", records.map(line).collect::<Vec<_>>(), "}")
            }
            Value::Array(items) => {
                let records = items.iter().map(|record| format!("  {record}"));
                ("[", records.collect(), "]")
            }
            other => ("", vec![format!("  {other}")], ""),
        };
        lines.push(format!(
            " {}: {open}\n{}\n {close}{comma}",
            json!(name),
            records.join(",\n")
        ));
    }
    format!("{{\n{}\n}}\n", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_gets_defaults_kinds_and_the_order_of_its_schema() {
        let schema = json!({
            "properties": {
                "people": {"type": "object", "additionalProperties": {"$ref": "#/$defs/person"}},
                "bills": {"type": "array", "items": {"properties": {"at": {"type": "string", "x-tau2-datetime": true}}}},
                "tags": {"type": "array"},
            },
            "$defs": {"person": {"properties": {
                "name": {"type": "string"}, "note": {"type": ["string", "null"], "default": null}, "sum": {"type": "number"},
            }}},
        });
        let given = json!({"people": {"b": {"sum": 3, "name": "B"}, "a": {"name": "A", "sum": 1.5}},
            "bills": [{"at": "2025-01-20T14:30:00"}]});
        let state = arranged(&schema, given.as_object().cloned().unwrap_or_default());
        let written = r#"{"people":{"b":{"name":"B","note":null,"sum":3.0},"a":{"name":"A","note":null,"sum":1.5}},"bills":[{"at":"2025-01-20 14:30:00"}],"tags":[]}"#;
        assert_eq!(state.to_string(), written);
        assert_eq!(
            serde_json::from_str::<Value>(&text(&state))
                .unwrap()
                .to_string(),
            written
        );
    }
}
