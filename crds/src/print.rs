//! The CustomResourceDefinitions, generated from the types for the chart and the offline check.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::{Map, Value, json};

use crate::Phase;
use crate::checker_suite::CheckerSuite;
use crate::grpo_run::GRPORun;
use crate::status::UNSEEN;
use crate::synthesis_job::SynthesisJob;

/// Returns the three definitions.
#[must_use]
pub fn crds() -> Vec<CustomResourceDefinition> {
    vec![
        crd::<SynthesisJob>(),
        crd::<CheckerSuite>(),
        crd::<GRPORun>(),
    ]
}

/// Returns the definition of one kind.
pub(crate) fn crd<T: CustomResourceExt>() -> CustomResourceDefinition {
    let derived = T::crd();
    let plain = serde_json::to_value(&derived).map(|mut value| {
        plain(&mut value);
        for schema in schemas(&mut value) {
            settled(schema);
            unseen(schema);
        }
        value
    });
    plain.and_then(serde_json::from_value).unwrap_or(derived)
}

/// The three definitions as multi-document YAML, as `charts/agoge-crds` ships them: helm keeps them, and with them every
/// object, when the chart is uninstalled.
///
/// # Errors
/// Never in practice: the definitions are made of plain data.
pub fn crd_yaml() -> Result<String, serde_yaml::Error> {
    let mut text = String::from("# Printed from the types of the crate agoge-crds; do not edit.\n");
    for mut crd in crds() {
        crd.metadata
            .annotations
            .get_or_insert_default()
            .insert("helm.sh/resource-policy".into(), "keep".into());
        text.push_str("---\n");
        text.push_str(&serde_yaml::to_string(&crd)?);
    }
    Ok(text)
}

/// Returns the schema of every version of a definition.
fn schemas(definition: &mut Value) -> impl Iterator<Item = &mut Value> {
    let versions = definition.pointer_mut("/spec/versions");
    let versions = versions.and_then(Value::as_array_mut).into_iter().flatten();
    versions.filter_map(|version| version.pointer_mut("/schema/openAPIV3Schema"))
}

/// Sets the default status of an object that no operator has reconciled. kstatus considers an object without a status
/// ready, and one whose status describes another generation in progress.
fn unseen(schema: &mut Value) {
    if let Some(status) = schema.pointer_mut("/properties/status") {
        status["default"] = json!({ "phase": Phase::Pending, "observedGeneration": UNSEEN });
    }
}

/// Removes the defaults of fields within the items of atomic lists. Such a list has one owner and is compared as a whole: with
/// defaults in it, what the API server keeps is never what a repository holds, and Argo CD shows the object as OutOfSync for
/// ever. Workers fill these defaults in themselves. Lists whose items need defaults are maps (`x-kubernetes-list-type`).
fn settled(schema: &mut Value) {
    let is_map = schema.get("x-kubernetes-list-type") == Some(&Value::from("map"));
    if let Some(items) = schema.get_mut("items").filter(|_| !is_map) {
        without_defaults(items);
    }
    subschemas(schema).for_each(settled);
}

fn without_defaults(schema: &mut Value) {
    if let Value::Object(map) = schema {
        map.shift_remove("default");
    }
    subschemas(schema).for_each(without_defaults);
}

/// Returns the schemas of what a value of this schema holds: its fields, its items or its entries.
fn subschemas(schema: &mut Value) -> impl Iterator<Item = &mut Value> {
    let keywords = schema.as_object_mut().into_iter().flatten();
    keywords.flat_map(|(keyword, value)| {
        let (fields, one) = match keyword.as_str() {
            "properties" => (value.as_object_mut(), None),
            "items" | "additionalProperties" => (None, Some(value)),
            _ => (None, None),
        };
        let fields = fields.into_iter().flat_map(Map::values_mut);
        fields.chain(one)
    })
}

/// Removes parts of the derived schema that the API does not accept: number formats that Kubernetes warns about
/// (`uint32`), and `nullable`, since an optional field is left out and never null. Adds what makes a schema without a type one
/// of quantities: neither a map nor a list, nor true or false.
fn plain(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if map
                .get("format")
                .and_then(Value::as_str)
                .is_some_and(|f| f.starts_with("uint"))
            {
                map.insert("format".into(), "int64".into());
            }
            if map.get("nullable") == Some(&Value::Bool(true)) {
                map.remove("nullable");
            }
            if map.contains_key("x-kubernetes-preserve-unknown-fields") && !map.contains_key("type")
            {
                map.insert("maxItems".into(), 0.into());
                map.insert("maxProperties".into(), 0.into());
                map.insert("not".into(), json!({ "enum": [true, false] }));
            }
            map.values_mut().for_each(plain);
        }
        Value::Array(items) => items.iter_mut().for_each(plain),
        _ => {}
    }
}
