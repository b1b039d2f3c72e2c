//! The lists of the definitions do not drift under tools that compare a repository with a cluster.
//!
//! The API server writes defaults into what it keeps. Tools such as Argo CD compare maps field by field, and so ignore a field
//! that only the cluster has; they compare an atomic list as a whole, and so see a difference in every item that got a default.

use agoge_crds::crds;
use serde_json::Value;

/// Calls a function for each schema of a definition, with its path.
fn each(schema: &Value, path: &str, found: &mut dyn FnMut(&Value, &str)) {
    found(schema, path);
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        each(field, &format!("{path}.{name}"), found);
    }
    for (keyword, mark) in [("items", "[]"), ("additionalProperties", "{}")] {
        if schema[keyword].is_object() {
            each(&schema[keyword], &format!("{path}{mark}"), found);
        }
    }
}

fn definitions() -> Vec<(String, Value)> {
    crds()
        .iter()
        .map(|crd| {
            let version = serde_json::to_value(&crd.spec.versions[0].schema).expect("plain data");
            (
                crd.spec.names.kind.clone(),
                version["openAPIV3Schema"].clone(),
            )
        })
        .collect()
}

fn is_map(schema: &Value) -> bool {
    schema["x-kubernetes-list-type"] == "map"
}

#[test]
fn no_atomic_list_has_defaults_in_its_items() {
    for (kind, schema) in definitions() {
        each(&schema, &kind, &mut |list, path| {
            if !list["items"].is_object() || is_map(list) {
                return;
            }
            each(&list["items"], path, &mut |item, path| {
                assert!(
                    item.get("default").is_none(),
                    "{path} of an atomic list has a default"
                );
            });
        });
    }
}

#[test]
fn the_keys_of_a_list_map_are_scalars_that_every_item_has() {
    let mut maps = vec![];
    for (kind, schema) in definitions() {
        each(&schema, &kind, &mut |list, path| {
            if !is_map(list) {
                return;
            }
            let item = &list["items"];
            assert_eq!(item["type"], "object", "{path}");
            let keys = list["x-kubernetes-list-map-keys"]
                .as_array()
                .expect("a map has keys");
            for key in keys.iter().filter_map(Value::as_str) {
                let field = &item["properties"][key];
                let scalar = ["string", "integer", "boolean", "number"]
                    .iter()
                    .any(|t| field["type"] == *t);
                assert!(scalar, "{path}: {key} is no scalar");
                let required = item["required"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .any(|name| name == key);
                assert!(
                    required || field.get("default").is_some(),
                    "{path}: an item may lack {key}"
                );
            }
            maps.push(path.to_owned());
        });
    }
    for list in [
        "SynthesisJob.spec.strategies",
        "SynthesisJob.spec.strategies[].parameters.splits",
        "GRPORun.status.conditions",
    ] {
        assert!(
            maps.iter().any(|path| path == list),
            "{list} is none of {maps:?}"
        );
    }
}

/// A quantity has no type, since it may be a text or a number: the definition says what it is not.
#[test]
fn a_schema_without_a_type_takes_texts_and_numbers_only() {
    let mut quantities = 0;
    for (kind, schema) in definitions() {
        each(&schema, &kind, &mut |node, path| {
            if !node["type"].is_null() {
                return;
            }
            quantities += 1;
            assert_eq!(node["x-kubernetes-preserve-unknown-fields"], true, "{path}");
            let takes = |value: Value| jsonschema::is_valid(node, &value);
            for value in ["2", "500m", "1.5Gi"] {
                assert!(takes(value.into()), "{path}: {value}");
            }
            assert!(takes(2.into()) && takes(0.5.into()), "{path}");
            for value in [
                Value::from(true),
                (-1).into(),
                "two".into(),
                serde_json::json!({"a": 1}),
                serde_json::json!([2]),
            ] {
                assert!(!takes(value.clone()), "{path}: {value}");
            }
        });
    }
    assert!(
        quantities >= 5,
        "cores and memory of each kind, and the limits of the sandbox"
    );
}
