//! The tools of a server as the agent gets them: without hidden arguments, references in schemas resolved.

use agoge_dialogue::ToolSpec;
use agoge_world::ServerSpec;
use serde_json::{Map, Value, json};

/// The deepest nesting that references are followed to; a schema that refers to itself is open from there on.
const DEPTH: usize = 12;

/// Returns the tools that the agent gets.
///
/// # Errors
/// The configuration names a tool or an argument that no tool has.
pub(crate) fn visible(spec: &ServerSpec, tools: &[ToolSpec]) -> Result<Vec<ToolSpec>, String> {
    let known = || {
        let names: Vec<&str> = tools.iter().map(|tool| tool.name.as_str()).collect();
        names.join(", ")
    };
    let named = spec.own_tools().chain(spec.omit.iter().map(String::as_str));
    for name in named {
        if !tools.iter().any(|tool| tool.name == name) {
            return Err(format!(
                "`tools:` names a tool `{name}`, and the server has only {}",
                known()
            ));
        }
    }
    let key = spec.seen().and_then(|seen| seen.key.as_deref());
    let hidden: Vec<&str> = spec.hide.keys().map(String::as_str).chain(key).collect();
    for argument in &hidden {
        let takes = |tool: &ToolSpec| tool.parameters["properties"].get(*argument).is_some();
        if !tools.iter().any(takes) {
            return Err(format!(
                "`tools:` hides an argument `{argument}`, which no tool of the server takes"
            ));
        }
    }
    let own: Vec<&str> = spec.own_tools().collect();
    let for_agent = tools
        .iter()
        .filter(|tool| !own.contains(&tool.name.as_str()) && !spec.omit.contains(&tool.name));
    Ok(for_agent.map(|tool| shown(tool, &hidden)).collect())
}

fn shown(tool: &ToolSpec, hidden: &[&str]) -> ToolSpec {
    let mut parameters = resolved(&tool.parameters, &tool.parameters, DEPTH);
    if let Some(schema) = parameters.as_object_mut() {
        schema.remove("$defs");
        schema.remove("definitions");
        if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
            properties.retain(|name, _| !hidden.contains(&name.as_str()));
        }
        if let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) {
            required.retain(|name| name.as_str().is_none_or(|name| !hidden.contains(&name)));
        }
        schema.entry("type").or_insert_with(|| json!("object"));
        schema.entry("properties").or_insert_with(|| json!({}));
    }
    ToolSpec {
        parameters,
        ..tool.clone()
    }
}

/// Returns a schema in which each reference into `root` is replaced by the schema that it names.
pub(crate) fn resolved(root: &Value, schema: &Value, depth: usize) -> Value {
    if depth == 0 {
        return json!({});
    }
    match schema {
        Value::Object(fields) => {
            let named = fields.get("$ref").and_then(Value::as_str);
            let target = named.and_then(|name| root.pointer(name.strip_prefix('#')?));
            if let Some(target) = target {
                let mut whole = resolved(root, target, depth - 1);
                if let Some(whole) = whole.as_object_mut() {
                    let beside = fields.iter().filter(|(name, _)| *name != "$ref");
                    whole.extend(beside.map(|(name, value)| (name.clone(), value.clone())));
                }
                return whole;
            }
            let fields = fields
                .iter()
                .map(|(name, value)| (name.clone(), resolved(root, value, depth - 1)));
            Value::Object(fields.collect::<Map<_, _>>())
        }
        Value::Array(items) => {
            let items = items.iter().map(|item| resolved(root, item, depth - 1));
            Value::Array(items.collect())
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> ServerSpec {
        let text = r#"{"mcp": {"command": ["s"], "omit": ["admin"], "hide": {"trace": null},
            "state": {"key": "state_key", "reset": "reset", "export": "dump"}}}"#;
        serde_json::from_str(text).unwrap()
    }

    fn tool(name: &str, parameters: Value) -> ToolSpec {
        ToolSpec {
            name: name.into(),
            description: String::new(),
            parameters,
        }
    }

    #[test]
    fn the_agent_sees_neither_the_key_nor_the_tools_that_the_program_calls() {
        let book = json!({"type": "object", "required": ["seat", "state_key"],
            "properties": {"seat": {"$ref": "#/$defs/Seat"}, "state_key": {"type": "string"}, "trace": {}},
            "$defs": {"Seat": {"type": "integer", "minimum": 1}}});
        let none = json!({"type": "object"});
        let mut tools = vec![tool("book", book)];
        tools.extend(["reset", "dump", "admin"].map(|name| tool(name, none.clone())));
        let seen = visible(&spec(), &tools).unwrap();
        let names: Vec<&str> = seen.iter().map(|tool| tool.name.as_str()).collect();
        assert_eq!(names, ["book"]);
        assert_eq!(
            seen[0].parameters,
            json!({"type": "object", "required": ["seat"],
                "properties": {"seat": {"type": "integer", "minimum": 1}}})
        );
        let missing = visible(&spec(), &tools[..3]).unwrap_err();
        assert!(missing.contains("`admin`"), "{missing}");
    }
}
