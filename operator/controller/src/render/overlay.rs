//! The manifest's overlay over a pod template: a strategic merge that may not change the fields on which a worker's safety,
//! or its assignment, depends.
//!
//! Lists of named things (containers, volumes, variables) are merged by name, as kubectl does; everything else is replaced.

use k8s_openapi::DeepMerge as _;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use serde_json::Value;

use crate::names;

/// An overlay that is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum OverlayError {
    /// A field that a manifest may not set.
    #[error("worker.overlay: {0} is protected; remove it")]
    Protected(String),
    /// A field that a pod template does not have.
    #[error("worker.overlay: a pod template has no field {0}; correct its name")]
    Unknown(String),
    /// A value of the wrong type.
    #[error("worker.overlay is not a pod template: {0}")]
    Shape(String),
}

/// Fields of the pod that a manifest may not set.
const PROTECTED_POD_FIELDS: [&str; 11] = [
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
/// Fields of the worker's container that a manifest may not set.
const PROTECTED_WORKER_FIELDS: [&str; 7] = [
    "image",
    "command",
    "args",
    "securityContext",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "envFrom",
];
/// Volumes that the operator defines.
const PROTECTED_VOLUMES: [&str; 5] = ["run", "domain", "work", "tmp", "store"];
/// Folders that the operator mounts.
const PROTECTED_PATHS: [&str; 3] = ["/etc/agoge", "/work", "/tmp"];

/// Merges the overlay over the template.
///
/// # Errors
/// [`OverlayError`], naming the field.
pub fn merge(
    mut template: PodTemplateSpec,
    overlay: Option<&Value>,
) -> Result<PodTemplateSpec, OverlayError> {
    let Some(overlay) = overlay else {
        return Ok(template);
    };
    refuse_protected(overlay)?;
    let shape = |error: serde_json::Error| OverlayError::Shape(error.to_string());
    let change: PodTemplateSpec = serde_json::from_value(overlay.clone()).map_err(shape)?;
    let parsed = serde_json::to_value(&change).map_err(shape)?;
    refuse_unknown(overlay, &parsed, "")?;
    template.merge_from(change);
    Ok(template)
}

fn refuse(path: String) -> Result<(), OverlayError> {
    Err(OverlayError::Protected(path))
}

fn refuse_protected(overlay: &Value) -> Result<(), OverlayError> {
    for part in ["labels", "annotations"] {
        let entries = overlay["metadata"][part].as_object();
        for key in entries.into_iter().flat_map(|entries| entries.keys()) {
            if key.starts_with("agoge.dev/") || key.starts_with("app.kubernetes.io/") {
                refuse(format!("metadata.{part}[{key:?}]"))?;
            }
        }
    }
    let spec = &overlay["spec"];
    for field in PROTECTED_POD_FIELDS {
        if spec.get(field).is_some() {
            refuse(format!("spec.{field}"))?;
        }
    }
    for volume in named(spec, "volumes") {
        let name = volume["name"].as_str().unwrap_or_default();
        if PROTECTED_VOLUMES.contains(&name) || volume.get("hostPath").is_some() {
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
                refuse_protected_in_worker(container, &path)?;
            }
        }
    }
    Ok(())
}

fn refuse_protected_in_worker(container: &Value, path: &str) -> Result<(), OverlayError> {
    for field in PROTECTED_WORKER_FIELDS {
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
        let mount_path = mount["mountPath"].as_str().unwrap_or_default();
        if PROTECTED_VOLUMES.contains(&name)
            || PROTECTED_PATHS
                .iter()
                .any(|path| mount_path.starts_with(path))
        {
            refuse(format!("{path}.volumeMounts[{name:?}]"))?;
        }
    }
    Ok(())
}

fn named<'a>(value: &'a Value, list: &str) -> impl Iterator<Item = &'a Value> {
    value[list].as_array().into_iter().flatten()
}

/// Refuses fields that were written in the overlay and got lost in parsing.
fn refuse_unknown(written: &Value, parsed: &Value, path: &str) -> Result<(), OverlayError> {
    match (written, parsed) {
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
                    Some(known) => refuse_unknown(value, known, &path)?,
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
            .try_for_each(|(n, (a, b))| refuse_unknown(a, b, &format!("{path}[{n}]"))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn template() -> PodTemplateSpec {
        let template = json!({ "spec": { "restartPolicy": "Never", "containers": [
            { "name": "worker", "image": "w", "env": [{ "name": "HOME", "value": "/tmp" }] },
        ] } });
        serde_json::from_value(template).unwrap()
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
        let merged = merge(template(), Some(&overlay)).unwrap().spec.unwrap();
        assert_eq!(merged.runtime_class_name.as_deref(), Some("kata"));
        let worker = &merged.containers[0];
        assert_eq!(merged.containers.len(), 2);
        assert_eq!(worker.image.as_deref(), Some("w"));
        assert_eq!(worker.env.as_ref().unwrap().len(), 2);
    }

    #[test]
    fn protected_fields_are_refused_with_their_path() {
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
    fn an_unknown_field_is_refused_with_its_path() {
        let overlay = json!({ "spec": { "nodeselector": { "a": "b" } } });
        let refused = merge(template(), Some(&overlay)).unwrap_err();
        assert_eq!(refused, OverlayError::Unknown("spec.nodeselector".into()));
    }
}
