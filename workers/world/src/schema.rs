//! JSON schemas: of the state (records validated) and of the tools (derived from type hints, arguments read by them).

use std::collections::BTreeSet;
use std::path::Path;

use agoge_dialogue::{ToolSpec, coerce_in};
use serde_json::{Map, Value};

use crate::names::Mark;
use crate::problem::{Problem, line_of};

mod doc;
mod hint;

pub(crate) use hint::tool;

/// Problems of one file that are shown; more would be noise.
const SHOWN: usize = 20;

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
const ID_MARK: &str = "x-agoge-id";

/// Returns true for a schema that says at its top that nothing in its records is a name: `"x-agoge-id": false`.
pub(crate) fn is_nameless(schema: &Value) -> bool {
    schema.get(ID_MARK) == Some(&Value::Bool(false))
}

/// Returns the ids that a schema marks, each once.
///
/// An id is marked as `{"pattern": "^[0-9]{5}$", "x-agoge-id": true}`.
///
/// # Errors
/// A mark whose pattern is neither a number of digits from 4 to 18 nor one of fixed characters and classes.
pub(crate) fn marks(schema: &Value) -> Result<BTreeSet<Mark>, String> {
    fn walk(schema: &Value, found: &mut BTreeSet<Mark>) -> Result<(), String> {
        match schema {
            Value::Object(map) => {
                if map.get(ID_MARK) == Some(&Value::Bool(true)) {
                    let pattern = map.get("pattern").and_then(Value::as_str);
                    found.insert(pattern.and_then(Mark::read).ok_or_else(|| {
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
    Ok(found)
}

/// Returns the lengths of marked ids that are digits alone, in ascending order.
///
/// # Errors
/// As of [`marks`].
pub(crate) fn id_lengths(schema: &Value) -> Result<Vec<usize>, String> {
    let lengths: BTreeSet<usize> = marks(schema)?.iter().filter_map(Mark::length).collect();
    Ok(lengths.into_iter().collect())
}

/// Returns the arguments in the types of a tool's schema, converted where nothing is lost: see [`agoge_dialogue::coerce`].
///
/// # Errors
/// The problem, in words that the agent reads.
pub fn arguments(
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
        taken.insert(
            name.clone(),
            coerce_in(&tool.parameters, name, schema, value)?,
        );
    }
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use agoge_sandbox::{Format, Types};
    use serde_json::json;

    #[test]
    fn ids_are_known_by_their_mark_alone() {
        let of =
            |id: Value| id_lengths(&json!({"$defs": {"id": id}, "x": [{"pattern": "^[0-9]{6}$"}]}));
        let marked = |pattern: &str| of(json!({"pattern": pattern, ID_MARK: true}));
        assert_eq!(marked("^[0-9]{5}$").unwrap(), [5]);
        assert!(of(json!({"pattern": "^[0-9]{5}$"})).unwrap().is_empty());
        assert!(marked("^dev_[0-9a-f]{4}$").unwrap().is_empty());
        for bad in ["^[0-9]{2}$", "^[a-z]+$"] {
            assert!(marked(bad).unwrap_err().contains(bad), "{bad}");
        }
    }

    #[test]
    fn arguments_are_read_kindly_where_nothing_is_lost_and_refused_otherwise() {
        let source =
            "def f(id: str, n: int, x: float = 1.0) -> str:\n    \"\"\"D.\"\"\"\n    return id\n";
        let found = agoge_sandbox::signatures(source).unwrap();
        let tool = tool(&found[0], &Types::default(), Format::One).unwrap();
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
