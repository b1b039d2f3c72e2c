//! JSON schemas: of the state (numbers normalised, records validated) and of the tools (derived from type hints).

use std::collections::BTreeSet;
use std::path::Path;

use agoge_dialogue::{ToolSpec, coerce};
use agoge_sandbox::Signature;
use serde_json::{Map, Number, Value, json};

use crate::problem::{Problem, line_of};

/// Problems of one file that are shown; more would be noise.
const SHOWN: usize = 20;

/// Converts numbers to the types of the schema: an int where a `number` belongs becomes a float, a whole float where an `integer`
/// belongs becomes an int.
pub(crate) fn normalise(root: &Value, schema: &Value, value: &mut Value) {
    let schema = resolve(root, schema);
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let inner = schema.get("properties").and_then(|p| p.get(key));
                if let Some(inner) = inner.or_else(|| schema.get("additionalProperties")) {
                    normalise(root, inner, value);
                }
            }
        }
        Value::Array(items) => {
            if let Some(inner) = schema.get("items") {
                for item in items {
                    normalise(root, inner, item);
                }
            }
        }
        Value::Number(number) => {
            let ty = schema.get("type").and_then(Value::as_str);
            let float = number.as_f64();
            match (ty, float) {
                (Some("number"), Some(float)) if is_exact(number) => *value = json!(float),
                (Some("integer"), Some(_)) => *value = whole(value.clone()),
                _ => {}
            }
        }
        _ => {}
    }
}

/// Tells whether a whole number is the same as a float. A larger one stays as it is written.
fn is_exact(number: &Number) -> bool {
    number
        .as_i64()
        .is_some_and(|whole| whole.unsigned_abs() <= 1 << 53)
}

fn resolve<'a>(root: &'a Value, mut schema: &'a Value) -> &'a Value {
    // A chain of references longer than this is a circle.
    for _ in 0..32 {
        let target = schema
            .get("$ref")
            .and_then(Value::as_str)
            .and_then(|r| r.strip_prefix('#'));
        match target.and_then(|pointer| root.pointer(pointer)) {
            Some(next) => schema = next,
            None => break,
        }
    }
    schema
}

/// A whole float as an int; anything else as it is.
fn whole(value: Value) -> Value {
    match value.as_f64() {
        Some(float) if value.is_f64() && float.fract() == 0.0 && float.abs() < 9e15 => {
            json!(float as i64)
        }
        _ => value,
    }
}

/// Returns the parts of a state that its schema does not allow.
pub(crate) fn problems(
    schema_file: &Path,
    file: &Path,
    schema: &Value,
    state: &Value,
) -> Vec<Problem> {
    let validator = match jsonschema::validator_for(schema) {
        Ok(validator) => validator,
        Err(error) => {
            let message = format!("it is not a JSON schema: {error}");
            return vec![Problem::new(schema_file, message, "correct it")];
        }
    };
    let mut errors = validator.iter_errors(state).peekable();
    if errors.peek().is_none() {
        return Vec::new();
    }
    // Lines cost a search of the whole text, so they are looked up only for problems.
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let mut found: Vec<Problem> = Vec::new();
    for error in errors.by_ref().take(SHOWN) {
        let place = error.instance_path().to_string();
        let mut line = None;
        for key in place.split('/').filter(|key| !key.is_empty()) {
            let needle = format!("\"{}\"", key.replace("~1", "/").replace("~0", "~"));
            line = line_of(&text, &needle, line.unwrap_or(1)).or(line);
        }
        let message = format!("{}: {error}", place.trim_start_matches('/'));
        let remedy = "correct the record, or the schema in schema.json";
        found.push(Problem::new(file, message, remedy).at(line));
    }
    let more = errors.count();
    if more > 0 {
        found.push(Problem::new(
            file,
            format!("and {more} more"),
            "correct those above first",
        ));
    }
    found
}

/// The mark of ids: a schema that has it describes names of records, and no amounts.
pub(crate) const ID_MARK: &str = "x-agoge-id";

/// Returns the lengths of the ids that a schema marks, in ascending order.
///
/// An id is marked as `{"pattern": "^[0-9]{5}$", "x-agoge-id": true}`.
///
/// # Errors
/// A mark whose pattern is not a number of digits from 4 to 18.
pub(crate) fn id_lengths(schema: &Value) -> Result<Vec<usize>, String> {
    fn walk(schema: &Value, found: &mut BTreeSet<usize>) -> Result<(), String> {
        match schema {
            Value::Object(map) => {
                if map.get(ID_MARK) == Some(&Value::Bool(true)) {
                    let pattern = map.get("pattern").and_then(Value::as_str);
                    let length = pattern
                        .and_then(|p| p.strip_prefix("^[0-9]{")?.strip_suffix("}$"))
                        .and_then(|digits| digits.parse::<usize>().ok())
                        .filter(|digits| (4..=18).contains(digits));
                    found.insert(length.ok_or_else(|| {
                        let pattern = pattern.unwrap_or("no pattern");
                        format!("an id that is marked by `{ID_MARK}` has {pattern}")
                    })?);
                }
                map.values().try_for_each(|inner| walk(inner, found))
            }
            Value::Array(items) => items.iter().try_for_each(|inner| walk(inner, found)),
            _ => Ok(()),
        }
    }
    let mut found = BTreeSet::new();
    walk(schema, &mut found)?;
    Ok(found.into_iter().collect())
}

/// Returns the tool of a function's signature.
pub(crate) fn tool(signature: &Signature) -> Result<ToolSpec, (String, String)> {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for parameter in &signature.parameters {
        if !parameter.ty.is_empty() {
            let Some(mut schema) = of_hint(&parameter.ty) else {
                let message = format!(
                    "`{}` of `{}` has the type `{}`, which JSON does not have",
                    parameter.name, signature.name, parameter.ty
                );
                let remedy =
                    "use str, int, float, bool, list, dict, Literal[..] or one of them `| None`";
                return Err((message, remedy.into()));
            };
            if let (Some(default), Some(map)) = (&parameter.default, schema.as_object_mut()) {
                map.insert("default".into(), default.clone());
            }
            properties.insert(parameter.name.clone(), schema);
        }
        if !parameter.optional {
            required.push(parameter.name.clone());
        }
    }
    Ok(ToolSpec {
        name: signature.name.clone(),
        description: signature.doc.clone(),
        parameters: json!({
            "type": "object", "properties": properties, "required": required, "additionalProperties": false
        }),
    })
}

fn of_hint(hint: &str) -> Option<Value> {
    let hint = hint.trim();
    if let Some(inner) = hint.strip_suffix("| None") {
        return nullable(of_hint(inner)?);
    }
    if let Some(inner) = hint
        .strip_prefix("Optional[")
        .and_then(|h| h.strip_suffix(']'))
    {
        return nullable(of_hint(inner)?);
    }
    if let Some(inner) = hint
        .strip_prefix("Literal[")
        .and_then(|h| h.strip_suffix(']'))
    {
        let quoted = format!("[{}]", inner.replace('\'', "\""));
        let values: Vec<Value> = serde_json::from_str(&quoted).ok()?;
        return Some(choice(values));
    }
    let (name, inner) = match hint.split_once('[') {
        Some((name, rest)) => (name, rest.strip_suffix(']')),
        None => (hint, None),
    };
    Some(match name {
        "str" => json!({"type": "string"}),
        "int" => json!({"type": "integer"}),
        "float" => json!({"type": "number"}),
        "bool" => json!({"type": "boolean"}),
        "dict" | "Dict" => json!({"type": "object"}),
        "list" | "List" => match inner {
            Some(inner) => json!({"type": "array", "items": of_hint(inner)?}),
            None => json!({"type": "array"}),
        },
        "Any" => json!({}),
        _ => return None,
    })
}

/// Returns the schema of one of these values, with their type where they have one in common.
fn choice(values: Vec<Value>) -> Value {
    let kind = |value: &Value| match value {
        Value::String(_) => Some("string"),
        Value::Bool(_) => Some("boolean"),
        Value::Number(number) if !number.is_f64() => Some("integer"),
        _ => None,
    };
    let first = values.first().and_then(kind);
    match first.filter(|first| values.iter().all(|value| kind(value) == Some(*first))) {
        Some(kind) => json!({"type": kind, "enum": values}),
        None => json!({"enum": values}),
    }
}

fn nullable(mut schema: Value) -> Option<Value> {
    let ty = schema.get("type").cloned();
    if let (Some(ty), Some(map)) = (ty, schema.as_object_mut()) {
        map.insert("type".into(), json!([ty, "null"]));
    }
    if let Some(values) = schema.get_mut("enum").and_then(Value::as_array_mut) {
        values.push(Value::Null);
    }
    Some(schema)
}

/// Returns the arguments in the types of a tool's schema, converted where nothing is lost: see [`coerce`].
///
/// # Errors
/// The problem, in words that the agent reads.
pub(crate) fn arguments(
    tool: &ToolSpec,
    given: &Map<String, Value>,
) -> Result<Map<String, Value>, String> {
    let taken = some_arguments(tool, given)?;
    let required = tool.parameters["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str);
    for name in required {
        if !taken.contains_key(name) {
            return Err(format!("`{}` needs `{name}`", tool.name));
        }
    }
    Ok(taken)
}

/// Returns the arguments as [`arguments`] does, where some that the tool needs may be missing.
///
/// # Errors
/// The problem, in words that the agent reads.
pub(crate) fn some_arguments(
    tool: &ToolSpec,
    given: &Map<String, Value>,
) -> Result<Map<String, Value>, String> {
    let empty = Map::new();
    let properties = tool.parameters["properties"].as_object().unwrap_or(&empty);
    let mut taken = Map::new();
    for (name, value) in given {
        let Some(schema) = properties.get(name) else {
            let known: Vec<&str> = properties.keys().map(String::as_str).collect();
            return Err(format!(
                "`{}` takes no `{name}`, only {}",
                tool.name,
                known.join(", ")
            ));
        };
        taken.insert(name.clone(), coerce(name, schema, value)?);
    }
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_known_by_their_mark_alone() {
        let of =
            |id: Value| id_lengths(&json!({"$defs": {"id": id}, "x": [{"pattern": "^[0-9]{6}$"}]}));
        let marked = |pattern: &str| of(json!({"pattern": pattern, ID_MARK: true}));
        assert_eq!(marked("^[0-9]{5}$").unwrap(), [5]);
        assert!(of(json!({"pattern": "^[0-9]{5}$"})).unwrap().is_empty());
        for bad in ["^[0-9]{2}$", "^[a-z]+$"] {
            assert!(marked(bad).unwrap_err().contains(bad), "{bad}");
        }
    }

    #[test]
    fn numbers_take_the_types_of_the_schema() {
        let schema = json!({"additionalProperties": {"additionalProperties": {"$ref": "#/$defs/r"}},
            "$defs": {"r": {"properties": {"f": {"type": "number"}, "i": {"type": "integer"},
                "l": {"items": {"type": "number"}}}}}});
        let mut state = json!({"c": {"1": {"f": 3, "i": 4.0, "l": [1, 2.5]}}});
        normalise(&schema, &schema, &mut state);
        assert_eq!(
            state.to_string(),
            r#"{"c":{"1":{"f":3.0,"i":4,"l":[1.0,2.5]}}}"#
        );
        let wide = json!({"c": {"1": {"f": 9_007_199_254_740_993_i64}}});
        let mut state = wide.clone();
        normalise(&schema, &schema, &mut state);
        assert_eq!(state, wide, "a number that a float would round is kept");
    }

    #[test]
    fn a_choice_has_the_type_of_its_values_and_takes_none_where_the_hint_does() {
        let of = |hint: &str| of_hint(hint).unwrap();
        assert_eq!(
            of("Literal['am', 'pm']"),
            json!({"type": "string", "enum": ["am", "pm"]})
        );
        assert_eq!(
            of("Literal[1, 2] | None"),
            json!({"type": ["integer", "null"], "enum": [1, 2, null]})
        );
        assert_eq!(of("Literal[1, 'x']"), json!({"enum": [1, "x"]}));
        let tools = "def f(slot: Literal['am'] | None = None) -> str:\n    return 'ok'\n";
        let tool = tool(&agoge_sandbox::signatures(tools).unwrap()[0]).unwrap();
        let given = json!({"slot": null});
        assert!(arguments(&tool, given.as_object().unwrap()).is_ok());
    }

    #[test]
    fn arguments_are_read_kindly_where_nothing_is_lost_and_refused_otherwise() {
        let source =
            "def f(id: str, n: int, x: float = 1.0) -> str:\n    \"\"\"D.\"\"\"\n    return id\n";
        let tool = tool(&agoge_sandbox::signatures(source).unwrap()[0]).unwrap();
        let read = |value: Value| arguments(&tool, value.as_object().unwrap());
        assert_eq!(
            json!(read(json!({"id": 7, "n": 3.0, "x": 2})).unwrap()),
            json!({"id": "7", "n": 3, "x": 2.0})
        );
        assert_eq!(
            json!(read(json!({"id": "007", "n": "3", "x": "2.50"})).unwrap()),
            json!({"id": "007", "n": 3, "x": 2.5})
        );
        for (bad, word) in [
            (json!({"id": "7"}), "needs `n`"),
            (json!({"id": "7", "n": 2.5}), "type integer"),
            (json!({"id": "7", "n": 2, "y": 1}), "takes no `y`"),
            (json!({"id": "7", "n": "2.5"}), "type integer"),
            (json!({"id": "7", "n": "007"}), "type integer"),
        ] {
            assert!(read(bad.clone()).unwrap_err().contains(word), "{bad}");
        }
    }
}
