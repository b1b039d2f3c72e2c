//! The tools as a prompt describes them, for models that write calls as text.

use agoge_dialogue::ToolSpec;
use serde_json::Value;

/// Levels of a nested schema that are written out.
const DEPTH: usize = 3;

/// Returns the tools as signatures, one a line: `- hold(parcel: string, slot: "am" | "pm", days?: integer = 3): …`. Where an
/// argument is optional, a last line explains its mark.
///
/// A tool whose arguments are all required and have plain types is written as in 0.2.0: recordings find their answers by the
/// digest of this text.
#[must_use]
pub fn tool_list(tools: &[ToolSpec]) -> String {
    let mut text = String::new();
    let mut optional = false;
    for tool in tools {
        let signature = arguments(&tool.parameters, DEPTH);
        optional |= signature.contains("?: ");
        text.push_str(&format!(
            "- {}({signature}): {}\n",
            tool.name, tool.description
        ));
    }
    if optional {
        text.push_str("\nAn argument marked with `?` is optional.\n");
    }
    text
}

/// Returns the arguments of an object schema, each with its type.
fn arguments(schema: &Value, depth: usize) -> String {
    let required = schema["required"].as_array();
    let is_required = |name: &str| required.is_some_and(|all| all.iter().any(|one| one == name));
    let properties = schema["properties"].as_object();
    let each = properties.into_iter().flatten().map(|(name, schema)| {
        let kind = kind(schema, depth);
        if is_required(name) {
            return format!("{name}: {kind}");
        }
        match &schema["default"] {
            Value::Null => format!("{name}?: {kind}"),
            default => format!("{name}?: {kind} = {default}"),
        }
    });
    each.collect::<Vec<_>>().join(", ")
}

/// Returns the type of a value, with the values themselves where they are few and known.
fn kind(schema: &Value, depth: usize) -> String {
    let list = |key: &str| schema[key].as_array();
    let any_of = |kinds: Vec<String>| kinds.join(" | ");
    if let Some(values) = list("enum") {
        return any_of(values.iter().map(Value::to_string).collect());
    }
    if let Some(value) = schema.get("const") {
        return value.to_string();
    }
    if let Some(schemas) = list("anyOf").or_else(|| list("oneOf")) {
        return match depth {
            0 => "any".to_owned(),
            _ => any_of(schemas.iter().map(|one| kind(one, depth - 1)).collect()),
        };
    }
    match &schema["type"] {
        Value::String(name) => named(name, schema, depth),
        Value::Array(names) => {
            let names = names.iter().filter_map(Value::as_str);
            any_of(names.map(|name| named(name, schema, depth)).collect())
        }
        _ => "any".to_owned(),
    }
}

/// Returns a type by its name, with the type of its parts.
fn named(name: &str, schema: &Value, depth: usize) -> String {
    match (name, depth) {
        ("array", 1..) if schema["items"].is_object() => {
            let items = kind(&schema["items"], depth - 1);
            match items.contains(' ') {
                true => format!("array of ({items})"),
                false => format!("array of {items}"),
            }
        }
        ("object", 1..) if schema["properties"].is_object() => {
            format!("{{{}}}", arguments(schema, depth - 1))
        }
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tool(parameters: Value) -> ToolSpec {
        ToolSpec {
            name: "hold".into(),
            description: "Keeps it.".into(),
            parameters,
        }
    }

    #[test]
    fn values_types_and_optional_arguments_are_shown() {
        let parameters = json!({"type": "object", "required": ["parcel", "slot", "route"], "properties": {
            "parcel": {"type": "string"},
            "slot": {"type": "string", "enum": ["am", "pm"]},
            "days": {"type": "integer", "default": 3},
            "note": {"type": ["string", "null"], "default": null},
            "tags": {"type": "array", "items": {"enum": ["red", "blue"]}},
            "ids": {"type": "array", "items": {"type": "integer"}},
            "route": {"type": "object", "required": ["to"], "properties": {
                "to": {"type": "string"}, "via": {"anyOf": [{"type": "string"}, {"type": "boolean"}]}}},
            "extra": {},
        }});
        let wanted = "- hold(parcel: string, slot: \"am\" | \"pm\", days?: integer = 3, note?: string | null, \
                      tags?: array of (\"red\" | \"blue\"), ids?: array of integer, \
                      route: {to: string, via?: string | boolean}, extra?: any): Keeps it.\n\n\
                      An argument marked with `?` is optional.\n";
        assert_eq!(tool_list(&[tool(parameters)]), wanted);
    }

    #[test]
    fn required_arguments_of_plain_types_are_written_as_recordings_know_them() {
        let parameters = json!({"type": "object", "required": ["parcel", "days"], "properties": {
            "parcel": {"type": "string"}, "days": {"type": "integer"}}, "additionalProperties": false});
        let text = tool_list(&[tool(parameters.clone()), tool(parameters)]);
        let line = "- hold(parcel: string, days: integer): Keeps it.\n";
        assert_eq!(text, format!("{line}{line}"));
    }

    #[test]
    fn a_schema_that_is_nested_without_end_is_cut() {
        let mut schema = json!({"type": "string"});
        for _ in 0..50 {
            schema = json!({"type": "object", "properties": {"in": schema}});
        }
        let text = tool_list(&[tool(schema)]);
        assert!(text.len() < 200 && text.contains("object"), "{text}");
    }
}
