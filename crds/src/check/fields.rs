//! Checks of names: unknown fields, each with the nearest known one, and the object's own name.

use serde_json::{Map, Value};

use super::Finding;

/// Fields of `metadata` that a manifest may carry.
pub(super) const METADATA: [&str; 15] = [
    "name",
    "namespace",
    "labels",
    "annotations",
    "generateName",
    "finalizers",
    "ownerReferences",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// Characters that the name of an object may have: it is the value of a label of its children.
const MAX_NAME: usize = 63;

const TOP: [&str; 5] = ["apiVersion", "kind", "metadata", "spec", "status"];

/// Suggests the nearest known name.
pub(super) fn suggest(wrong: &str, known: &[&str]) -> String {
    let lower = wrong.to_lowercase();
    let near = known
        .iter()
        .map(|name| {
            (
                strsim::damerau_levenshtein(&lower, &name.to_lowercase()),
                *name,
            )
        })
        .min_by_key(|(distance, _)| *distance);
    match near {
        Some((distance, name)) if distance <= 1 + wrong.len() / 3 => {
            format!("did you mean {name}?")
        }
        _ => format!("known are: {}", known.join(", ")),
    }
}

/// Checks `metadata` and the top level.
pub(super) fn metadata(value: &Value) -> Vec<Finding> {
    let mut findings = vec![];
    let Value::Object(map) = value else {
        return findings;
    };
    findings.extend(strangers(map, "", &TOP));
    let Some(Value::Object(metadata)) = map.get("metadata") else {
        findings.push(Finding::new(
            "metadata.name",
            "is missing",
            "give it a name",
        ));
        return findings;
    };
    findings.extend(strangers(metadata, "metadata", &METADATA));
    findings.extend(name(metadata.get("name")));
    findings
}

/// Checks an object's name as the API server and the rule of the kinds do.
fn name(name: Option<&Value>) -> Option<Finding> {
    let (message, remedy) = match name {
        Some(Value::String(name)) if name.len() > MAX_NAME => (
            format!("{name:?} has {} characters", name.len()),
            format!("use at most {MAX_NAME}"),
        ),
        Some(Value::String(name)) if name.split('.').all(is_label) => return None,
        Some(Value::String(name)) => (
            format!("{name:?} is not a valid name"),
            "use lower-case letters, digits, - and . only, and begin and end with a letter or digit"
                .to_owned(),
        ),
        Some(Value::Number(_) | Value::Bool(_)) => {
            let written = name.map(Value::to_string).unwrap_or_default();
            (
                format!("{written} is not a text"),
                format!("quote it: \"{written}\""),
            )
        }
        Some(other) => (format!("{other} is not a text"), "give it a name".to_owned()),
        None => ("is missing".to_owned(), "give it a name".to_owned()),
    };
    Some(Finding::new("metadata.name", message, remedy))
}

fn is_label(name: &str) -> bool {
    let inner = name
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    inner && !name.is_empty() && !name.starts_with('-') && !name.ends_with('-')
}

/// Finds fields of the spec that the schema does not know.
pub(super) fn unknown(value: &Value, schema: &Value) -> Vec<Finding> {
    match (value.get("spec"), schema.pointer("/properties/spec")) {
        (Some(spec), Some(schema)) => unknown_in(spec, schema, "spec"),
        _ => vec![],
    }
}

/// Finds fields of a value that its schema does not know. `path` is where the value is.
pub(crate) fn unknown_in(value: &Value, schema: &Value, path: &str) -> Vec<Finding> {
    let mut findings = vec![];
    walk(value, schema, path, &mut findings);
    findings
}

fn walk(value: &Value, schema: &Value, path: &str, findings: &mut Vec<Finding>) {
    if schema.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true)) {
        return;
    }
    match value {
        Value::Object(map) => {
            if let Some(Value::Object(properties)) = schema.get("properties") {
                let known: Vec<&str> = properties.keys().map(String::as_str).collect();
                findings.extend(strangers(map, path, &known));
                for (name, value) in map {
                    if let Some(schema) = properties.get(name) {
                        walk(value, schema, &below(path, name), findings);
                    }
                }
            } else if let Some(schema) = schema.get("additionalProperties") {
                for (name, value) in map {
                    walk(value, schema, &below(path, name), findings);
                }
            }
        }
        Value::Array(items) => {
            if let Some(schema) = schema.get("items") {
                for (index, item) in items.iter().enumerate() {
                    walk(item, schema, &format!("{path}[{index}]"), findings);
                }
            }
        }
        _ => {}
    }
}

fn strangers(map: &Map<String, Value>, path: &str, known: &[&str]) -> Vec<Finding> {
    map.keys()
        .filter(|name| !known.contains(&name.as_str()))
        .map(|name| Finding::new(below(path, name), "is unknown", suggest(name, known)))
        .collect()
}

/// Returns the path of a field below another one.
pub(super) fn below(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}
