//! The manifest's overlay over a pod template: a strategic merge, which may not touch what makes a worker safe and ours.
//!
//! Lists of things with names (containers, volumes, variables) are merged by name, as kubectl does; all else is replaced.

use k8s_openapi::DeepMerge as _;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use serde_json::Value;

use crate::names;

/// An overlay that is not allowed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum OverlayError {
    /// A field that is not the manifest's to set.
    #[error("worker.overlay: {0} is protected; take it out")]
    Protected(String),
    /// A field that a pod template does not have.
    #[error("worker.overlay: {0} is no field of a pod template; correct its name")]
    Unknown(String),
    /// A value of the wrong type.
    #[error("worker.overlay is no pod template: {0}")]
    Shape(String),
}

/// Fields of the pod that nobody may set.
const POD: [&str; 11] = [
    "restartPolicy",
    "serviceAccount",
    "serviceAccountName",
    "automountServiceAccountToken",
    "securityContext",
    "hostNetwork",
    "hostPID",
    "hostIPC",
    "hostUsers",
    "subdomain",
    "hostname",
];
/// Fields of the worker's container that nobody may set.
const WORKER: [&str; 7] = [
    "image",
    "command",
    "args",
    "securityContext",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "envFrom",
];
/// Volumes of ours.
const VOLUMES: [&str; 5] = ["run", "domain", "work", "tmp", "store"];

/// The template with the overlay merged over it.
///
/// # Errors
/// [`OverlayError`], naming the field.
pub fn merge(template: Value, overlay: Option<&Value>) -> Result<Value, OverlayError> {
    let Some(overlay) = overlay else {
        return Ok(template);
    };
    protected(overlay)?;
    let shape = |error: serde_json::Error| OverlayError::Shape(error.to_string());
    let change: PodTemplateSpec = serde_json::from_value(overlay.clone()).map_err(shape)?;
    let understood = serde_json::to_value(&change).map_err(shape)?;
    unknown(overlay, &understood, "")?;
    let mut merged: PodTemplateSpec = serde_json::from_value(template).map_err(shape)?;
    merged.merge_from(change);
    serde_json::to_value(merged).map_err(shape)
}

fn refuse(path: String) -> Result<(), OverlayError> {
    Err(OverlayError::Protected(path))
}

fn protected(overlay: &Value) -> Result<(), OverlayError> {
    for part in ["labels", "annotations"] {
        let words = overlay["metadata"][part].as_object();
        for word in words.into_iter().flat_map(|words| words.keys()) {
            if word.starts_with("agoge.dev/") || word.starts_with("app.kubernetes.io/") {
                refuse(format!("metadata.{part}[{word:?}]"))?;
            }
        }
    }
    let spec = &overlay["spec"];
    for field in POD {
        if spec.get(field).is_some() {
            refuse(format!("spec.{field}"))?;
        }
    }
    for volume in named(spec, "volumes") {
        let name = volume["name"].as_str().unwrap_or_default();
        if VOLUMES.contains(&name) || volume.get("hostPath").is_some() {
            refuse(format!("spec.volumes[{name:?}]"))?;
        }
    }
    for list in ["containers", "initContainers", "ephemeralContainers"] {
        for container in named(spec, list) {
            let name = container["name"].as_str().unwrap_or_default();
            let path = format!("spec.{list}[{name:?}]");
            if container["securityContext"]["privileged"] == Value::Bool(true) {
                refuse(format!("{path}.securityContext.privileged"))?;
            }
            if name == names::CONTAINER {
                worker(container, &path)?;
            }
        }
    }
    Ok(())
}

fn worker(container: &Value, path: &str) -> Result<(), OverlayError> {
    for field in WORKER {
        if container.get(field).is_some() {
            refuse(format!("{path}.{field}"))?;
        }
    }
    for variable in named(container, "env") {
        let name = variable["name"].as_str().unwrap_or_default();
        if name.starts_with("AGOGE_") || name.starts_with("MASTER_") {
            refuse(format!("{path}.env[{name:?}]"))?;
        }
    }
    for mount in named(container, "volumeMounts") {
        let name = mount["name"].as_str().unwrap_or_default();
        let place = mount["mountPath"].as_str().unwrap_or_default();
        let ours = ["/etc/agoge", "/work", "/tmp"];
        if VOLUMES.contains(&name) || ours.iter().any(|ours| place.starts_with(ours)) {
            refuse(format!("{path}.volumeMounts[{name:?}]"))?;
        }
    }
    Ok(())
}

fn named<'a>(value: &'a Value, list: &str) -> impl Iterator<Item = &'a Value> {
    value[list].as_array().into_iter().flatten()
}

/// Finds what was written and not understood.
fn unknown(written: &Value, understood: &Value, path: &str) -> Result<(), OverlayError> {
    match (written, understood) {
        (Value::Object(written), Value::Object(known)) => {
            for (key, value) in written {
                let path = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                let empty = value.is_null()
                    || value.as_object().is_some_and(serde_json::Map::is_empty)
                    || value.as_array().is_some_and(Vec::is_empty);
                match known.get(key) {
                    Some(known) => unknown(value, known, &path)?,
                    None if empty => {}
                    None => return Err(OverlayError::Unknown(path)),
                }
            }
            Ok(())
        }
        (Value::Array(written), Value::Array(known)) => written
            .iter()
            .zip(known)
            .enumerate()
            .try_for_each(|(n, (a, b))| unknown(a, b, &format!("{path}[{n}]"))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn template() -> Value {
        json!({ "spec": { "restartPolicy": "Never", "containers": [
            { "name": "worker", "image": "w", "env": [{ "name": "HOME", "value": "/tmp" }] },
        ] } })
    }

    #[test]
    fn lists_are_merged_by_name_and_the_rest_replaced() {
        let overlay = json!({ "spec": {
            "runtimeClassName": "kata",
            "containers": [
                { "name": "worker", "env": [{ "name": "OMP_NUM_THREADS", "value": "2" }] },
                { "name": "sidecar", "image": "s" },
            ],
        } });
        let merged = merge(template(), Some(&overlay)).unwrap();
        assert_eq!(merged["spec"]["runtimeClassName"], "kata");
        let containers = merged["spec"]["containers"].as_array().unwrap();
        assert_eq!(containers.len(), 2);
        assert_eq!(containers[0]["image"], "w");
        assert_eq!(containers[0]["env"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn what_makes_a_worker_safe_is_refused_with_its_path() {
        for (overlay, path) in [
            (
                json!({ "spec": { "hostNetwork": true } }),
                "spec.hostNetwork",
            ),
            (
                json!({ "spec": { "serviceAccountName": "admin" } }),
                "spec.serviceAccountName",
            ),
            (
                json!({ "spec": { "containers": [{ "name": "worker", "image": "evil" }] } }),
                "spec.containers[\"worker\"].image",
            ),
            (
                json!({ "spec": { "containers": [{ "name": "worker", "env": [{ "name": "AGOGE_TERMINATION_LOG" }] }] } }),
                "spec.containers[\"worker\"].env[\"AGOGE_TERMINATION_LOG\"]",
            ),
            (
                json!({ "spec": { "volumes": [{ "name": "etc", "hostPath": { "path": "/etc" } }] } }),
                "spec.volumes[\"etc\"]",
            ),
            (
                json!({ "metadata": { "labels": { "agoge.dev/owner": "other" } } }),
                "metadata.labels[\"agoge.dev/owner\"]",
            ),
        ] {
            let refused = merge(template(), Some(&overlay)).unwrap_err();
            assert_eq!(refused, OverlayError::Protected(path.to_owned()));
        }
    }

    #[test]
    fn a_field_that_does_not_exist_is_named() {
        let overlay = json!({ "spec": { "nodeselector": { "a": "b" } } });
        let refused = merge(template(), Some(&overlay)).unwrap_err();
        assert_eq!(refused, OverlayError::Unknown("spec.nodeselector".into()));
    }
}
