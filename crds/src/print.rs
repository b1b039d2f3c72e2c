//! The CustomResourceDefinitions, generated from the types for the chart and the offline check.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::{Value, json};

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
        unseen(&mut value);
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

/// Sets the default status of an object that no operator has reconciled. kstatus considers an object without a status
/// ready, and one whose status describes another generation in progress.
fn unseen(definition: &mut Value) {
    let versions = definition.pointer_mut("/spec/versions");
    for version in versions.and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(status) = version.pointer_mut("/schema/openAPIV3Schema/properties/status") {
            status["default"] = json!({ "phase": Phase::Pending, "observedGeneration": UNSEEN });
        }
    }
}

/// Removes parts of the derived schema that the API does not accept: number formats that Kubernetes warns about
/// (`uint32`), and `nullable`, since an optional field is left out and never null.
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
            map.values_mut().for_each(plain);
        }
        Value::Array(items) => items.iter_mut().for_each(plain),
        _ => {}
    }
}
