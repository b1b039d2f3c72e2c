//! A tool call as a JSON value: the shapes that models give it, and the names of the tools that are offered.

use serde_json::{Map, Value};

use crate::coerce::of_text;
use crate::json::whole;
use crate::{ToolCall, ToolSpec};

/// The fields that may hold a call's name, and those that may hold its arguments; the usual one first.
const NAMES: [&str; 5] = ["name", "tool", "tool_name", "function", "action"];
const ARGUMENTS: [&str; 6] = [
    "arguments",
    "parameters",
    "args",
    "input",
    "tool_input",
    "action_input",
];
/// The fields that may stand beside the name of a call without arguments.
const BESIDE: [&str; 2] = ["id", "type"];
/// Words that servers and models put before and after a tool's own name.
const PREFIXES: [&str; 4] = ["functions.", "tools.", "tool.", "default_api."];
const SUFFIX: &str = ".call";
/// The depth to which arguments may be JSON within a text.
const ENCODED: usize = 3;

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
    /// It is written in another form and breaks that form's rules.
    #[error("the tool call cannot be read: {0}")]
    Form(&'static str),
}

/// The certainty with which a JSON value counts as a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// It stands between the marks of a call: every object is one.
    Marked,
    /// It stands alone or in a fence: an object with a name and arguments is one, whatever the name.
    Shaped,
    /// It stands in prose: only the call of an offered tool is one.
    Named,
}

/// The tools that are offered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tools<'a>(pub &'a [ToolSpec]);

impl Tools<'_> {
    /// The value that the text of an argument stands for: the schema says which, where it is known.
    pub fn value(&self, tool: &str, name: &str, text: &str) -> Value {
        let schema = self.argument(tool, name);
        schema.map_or_else(|| text.into(), |schema| of_text(schema, text))
    }

    fn argument(&self, tool: &str, name: &str) -> Option<&Value> {
        let tool = self.0.iter().find(|spec| spec.name == tool)?;
        tool.parameters.get("properties")?.get(name)
    }

    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|spec| spec.name == name)
    }

    /// True for a written name that means an offered tool.
    pub fn offers(&self, written: &str) -> bool {
        self.has(&self.name(written))
    }

    /// The offered tool that a written name means, else the name as it is written.
    pub fn name(&self, written: &str) -> String {
        if self.has(written) {
            return written.to_owned();
        }
        let bare = written.trim();
        let bare = PREFIXES
            .iter()
            .find_map(|prefix| bare.strip_prefix(prefix))
            .unwrap_or(bare);
        let bare = bare.strip_suffix(SUFFIX).unwrap_or(bare);
        // `functions.look:0`: the number of the call follows its name.
        let numbered = bare.rsplit_once(':');
        let bare = match numbered {
            Some((name, number)) if number.bytes().all(|b| b.is_ascii_digit()) => name,
            _ => bare,
        };
        let means = if self.has(bare) { bare } else { written };
        means.to_owned()
    }
}

/// The calls that a value is, in their order; none where it is something else.
///
/// # Errors
/// A call with a part that cannot be read.
pub(super) fn calls_of(
    value: &Value,
    trust: Trust,
    tools: Tools<'_>,
) -> Result<Vec<ToolCall>, CallError> {
    match value {
        Value::Array(items) => calls_of_all(items, trust, tools),
        Value::Object(map) => {
            if let Some(inner) = map.get("tool_calls").filter(|inner| inner.is_array()) {
                return calls_of(inner, trust, tools);
            }
            let call = match trust {
                Trust::Marked => called(value, tools, false).or_else(|| Some(call_from(value))),
                Trust::Shaped if has_shape(value) => Some(call_from(value)),
                Trust::Shaped | Trust::Named => called(value, tools, true),
            };
            let call = call.transpose()?.map(|call| named(call, tools));
            Ok(call.into_iter().collect())
        }
        _ if trust == Trust::Marked => Err(CallError::NoName),
        _ => Ok(Vec::new()),
    }
}

/// The calls that some values are, as [`calls_of`] reads each.
///
/// # Errors
/// As [`calls_of`].
pub(super) fn calls_of_all(
    values: &[Value],
    trust: Trust,
    tools: Tools<'_>,
) -> Result<Vec<ToolCall>, CallError> {
    let mut calls = Vec::new();
    for value in values {
        calls.extend(calls_of(value, trust, tools)?);
    }
    Ok(calls)
}

/// A call whose name is the offered tool's.
pub(super) fn named(mut call: ToolCall, tools: Tools<'_>) -> ToolCall {
    call.name = tools.name(&call.name);
    call
}

/// A call of an offered tool, in any of the shapes; with `offered: false` of any tool.
fn called(value: &Value, tools: Tools<'_>, offered: bool) -> Option<Result<ToolCall, CallError>> {
    let map = inner(value).as_object()?;
    let known = |name: &&str| !offered || tools.offers(name);
    let (field, name) = NAMES.iter().find_map(|field| {
        let name = map.get(*field)?.as_str().filter(known)?;
        Some((*field, name))
    })?;
    let given = ARGUMENTS.iter().find_map(|field| map.get(*field));
    let beside = |key: &String| key == field || BESIDE.contains(&key.as_str());
    if given.is_none() && !map.keys().all(beside) {
        return None;
    }
    Some(call_with(id_of(value), name, given))
}

/// One call from a JSON object: `{name, arguments}`, or that inside `function`; the arguments may be a JSON text, null or
/// missing.
pub(crate) fn call_from(value: &Value) -> Result<ToolCall, CallError> {
    let inner = inner(value);
    let name = inner.get("name").and_then(Value::as_str);
    let name = name.ok_or(CallError::NoName)?;
    let given = inner.get("arguments").or_else(|| inner.get("parameters"));
    call_with(id_of(value), name, given)
}

fn id_of(value: &Value) -> &str {
    value.get("id").and_then(Value::as_str).unwrap_or_default()
}

/// A call of this name, with arguments as an object, as the JSON text of one, or none.
///
/// # Errors
/// The arguments are something else.
pub(super) fn call_with(
    id: &str,
    name: &str,
    given: Option<&Value>,
) -> Result<ToolCall, CallError> {
    let arguments = given.map_or_else(|| Some(Map::new()), arguments);
    Ok(ToolCall {
        id: id.to_owned(),
        name: name.to_owned(),
        arguments: arguments.ok_or_else(|| CallError::Arguments(name.to_owned()))?,
    })
}

/// Arguments as an object, as the JSON text of one, or as nothing.
fn arguments(given: &Value) -> Option<Map<String, Value>> {
    let mut given = given.clone();
    for _ in 0..ENCODED {
        match given {
            Value::Object(map) => return Some(map),
            Value::Null => return Some(Map::new()),
            Value::String(text) if text.trim().is_empty() => return Some(Map::new()),
            Value::String(text) => given = whole(&text)?,
            _ => return None,
        }
    }
    given.as_object().cloned()
}

/// Returns true for an object with a name and arguments.
pub(crate) fn has_shape(value: &Value) -> bool {
    let inner = inner(value);
    inner.get("name").is_some()
        && (inner.get("arguments").is_some() || inner.get("parameters").is_some())
}

fn inner(value: &Value) -> &Value {
    value
        .get("function")
        .filter(|function| function.is_object())
        .unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn tools() -> Vec<ToolSpec> {
        ["look", "now"]
            .map(|name| ToolSpec {
                name: name.into(),
                description: String::new(),
                parameters: json!({"type": "object", "properties": {"id": {"type": "string"}}}),
            })
            .into()
    }

    #[test]
    fn every_shape_of_a_call_of_an_offered_tool_is_read_even_in_prose() {
        let tools = tools();
        for shape in [
            json!({"name": "look", "arguments": {"id": "4"}}),
            json!({"type": "function", "name": "look", "parameters": {"id": "4"}}),
            json!({"type": "function", "function": {"name": "look", "arguments": "{\"id\": \"4\"}"}}),
            json!({"name": "look", "arguments": "\"{\\\"id\\\": \\\"4\\\"}\""}),
            json!({"name": "look", "arguments": "{'id': '4'}"}),
            json!({"tool": "look", "args": {"id": "4"}}),
            json!({"function": "look", "arguments": {"id": "4"}}),
            json!({"action": "look", "action_input": {"id": "4"}}),
            json!({"name": "functions.look:0", "arguments": {"id": "4"}}),
            json!([{"tool_calls": [{"name": "look", "arguments": {"id": "4"}}]}]),
        ] {
            let calls = calls_of(&shape, Trust::Named, Tools(&tools)).unwrap();
            assert_eq!(calls.len(), 1, "{shape}");
            assert_eq!(
                (calls[0].name.as_str(), &calls[0].arguments["id"]),
                ("look", &json!("4"))
            );
        }
        for none in [
            json!({"name": "now"}),
            json!({"name": "now", "arguments": ""}),
        ] {
            let calls = calls_of(&none, Trust::Named, Tools(&tools)).unwrap();
            assert!(calls.len() == 1 && calls[0].arguments.is_empty(), "{none}");
        }
    }

    #[test]
    fn other_objects_are_calls_only_where_marks_or_the_shape_say_so() {
        let tools = tools();
        let count = |value: &Value, trust| calls_of(value, trust, Tools(&tools)).map(|c| c.len());
        let other = json!({"name": "refund", "arguments": {"id": "4"}});
        assert_eq!(count(&other, Trust::Named), Ok(0));
        assert_eq!(count(&other, Trust::Shaped), Ok(1));
        let record = json!({"name": "look", "city": "Basel"});
        assert_eq!(count(&record, Trust::Shaped), Ok(0));
        assert_eq!(
            count(&json!({"total": 3}), Trust::Marked),
            Err(CallError::NoName)
        );
        let listed = json!({"name": "look", "arguments": ["4"]});
        assert_eq!(
            count(&listed, Trust::Named),
            Err(CallError::Arguments("look".into()))
        );
    }
}
