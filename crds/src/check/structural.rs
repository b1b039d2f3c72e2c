//! The form in which the API server validates an object, and the uniqueness of the items of its list maps.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Finding;
use super::fields::below;

/// The largest whole number up to which floats are exact.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Brings a value into the form in which the API server validates it: a field that is null is absent, unless the schema keeps
/// what it does not know; and `40.0` is 40 where the schema has a whole number.
pub(crate) fn normalise(value: &mut Value, schema: &Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, value| !(value.is_null() && field(schema, name).is_some()));
            for (name, value) in fields.iter_mut() {
                if let Some(schema) = field(schema, name) {
                    normalise(value, schema);
                }
            }
        }
        Value::Array(items) => {
            if let Some(schema) = schema.get("items") {
                items.iter_mut().for_each(|item| normalise(item, schema));
            }
        }
        Value::Number(number) if number.is_f64() => {
            let float = number.as_f64().unwrap_or_default();
            let is_whole = float.fract() == 0.0 && float.abs() < EXACT;
            if is_whole && schema.get("type") == Some(&Value::from("integer")) {
                *value = Value::from(float as i64);
            }
        }
        _ => {}
    }
}

/// Returns the schema of a field, or of an entry of a map.
fn field<'a>(schema: &'a Value, name: &str) -> Option<&'a Value> {
    let known = schema.get("properties").and_then(|known| known.get(name));
    known
        .or_else(|| schema.get("additionalProperties"))
        .filter(|schema| schema.is_object())
}

/// Finds items of list maps (`x-kubernetes-list-type: map`) that have the same keys.
pub(super) fn duplicates(value: &Value, schema: &Value, path: &str) -> Vec<Finding> {
    let mut findings = vec![];
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                if let Some(schema) = field(schema, name) {
                    findings.extend(duplicates(value, schema, &below(path, name)));
                }
            }
        }
        Value::Array(items) => {
            let item = schema.get("items").unwrap_or(&Value::Null);
            let mut seen = BTreeSet::new();
            for (index, value) in items.iter().enumerate() {
                findings.extend(duplicates(value, item, &format!("{path}[{index}]")));
                let Some(keys) = keys(value, schema) else {
                    continue;
                };
                if !seen.insert(keys.clone()) {
                    findings.push(Finding::new(
                        path,
                        format!("two items have {keys}"),
                        "list each once",
                    ));
                }
            }
        }
        _ => {}
    }
    findings
}

/// Returns the keys of an item of a list map with their values, in words.
fn keys(item: &Value, list: &Value) -> Option<String> {
    let names = list.get("x-kubernetes-list-map-keys")?.as_array()?;
    let schema = list.get("items").unwrap_or(&Value::Null);
    let parts = names.iter().filter_map(Value::as_str).map(|name| {
        let default = || field(schema, name)?.get("default");
        let value = item.get(name).or_else(default).unwrap_or(&Value::Null);
        format!(
            "{name} {}",
            value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned)
        )
    });
    Some(parts.collect::<Vec<_>>().join(" and "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nulls_of_fields_are_absent_and_whole_floats_whole_numbers() {
        let schema = json!({"properties": {
            "n": {"type": "integer"}, "x": {"type": "number"},
            "map": {"type": "object", "additionalProperties": {"type": "string"}},
            "list": {"type": "array", "items": {"type": "object", "properties": {"n": {"type": "integer"}}}},
            "any": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
        }});
        let mut value = json!({"n": 3.0, "x": 3.0, "map": {"a": null, "b": "c"}, "list": [{"n": null}, null, {"n": 2.5}],
            "any": {"kept": null, "n": 1.0}, "unknown": null});
        normalise(&mut value, &schema);
        assert_eq!(
            value.to_string(),
            json!({"n": 3, "x": 3.0, "map": {"b": "c"}, "list": [{}, null, {"n": 2.5}],
                "any": {"kept": null, "n": 1.0}, "unknown": null})
            .to_string()
        );
        let mut value = json!({"map": null, "list": null});
        normalise(&mut value, &schema);
        assert_eq!(value, json!({}));
    }

    #[test]
    fn items_with_the_same_keys_are_found_also_where_a_key_is_a_default() {
        let schema = json!({"properties": {"ports": {"type": "array",
            "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["port", "protocol"],
            "items": {"properties": {"port": {}, "protocol": {"default": "TCP"}}}}}});
        let found = |ports: Value| duplicates(&json!({"ports": ports}), &schema, "");
        assert!(
            found(json!([{"port": 1}, {"port": 2}, {"port": 1, "protocol": "UDP"}])).is_empty()
        );
        let twice = found(json!([{"port": 1}, {"port": 1, "protocol": "TCP"}]));
        assert_eq!(twice.len(), 1);
        assert_eq!(twice[0].field, "ports");
        assert!(twice[0].message.contains("port 1 and protocol TCP"));
    }
}
