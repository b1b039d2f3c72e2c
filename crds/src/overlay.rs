//! The overlay of a worker template: a part of a pod template that may not change the fields on which a worker's safety, or its
//! assignment, depends.
//!
//! `agoge check`, `submit` and the operator judge it by this one function. To the API server it is an object of any shape, and
//! an object that it accepts and the operator refuses ends as Failed with the reason InvalidTemplate.

use std::sync::OnceLock;

use k8s_openapi::api::core::v1::PodTemplateSpec;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use crate::check::fields::unknown_in;
use crate::check::problem::Finding;
use crate::check::schema::violations;
use crate::check::structural::normalise;

/// The name of the worker's container.
pub const CONTAINER: &str = "worker";
/// The name of the tool server's container, which is defined by `toolServer` alone.
pub const TOOLS_CONTAINER: &str = "tools";

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
const PROTECTED_VOLUMES: [&str; 7] = [
    "run",
    "domain",
    "work",
    "tmp",
    "store",
    "tools",
    "tools-tmp",
];
/// Folders that the operator mounts.
const PROTECTED_PATHS: [&str; 4] = ["/etc/agoge", "/work", "/tmp", "/tools"];

/// Reads an overlay: returns it in the form in which a pod template is read, without nulls.
///
/// # Errors
/// Every field that is protected, unknown, or of the wrong type. Their paths begin below the overlay.
pub fn read(overlay: &Value) -> Result<Value, Vec<Finding>> {
    let schema = pod_template();
    let mut overlay = overlay.clone();
    normalise(&mut overlay, schema);
    let mut findings = violations(&overlay, schema);
    findings.extend(unknown_in(&overlay, schema, ""));
    let protected = protected(&overlay).into_iter();
    findings.extend(protected.map(|field| Finding::new(field, "is protected", "remove it")));
    if findings.is_empty() {
        Ok(overlay)
    } else {
        Err(findings)
    }
}

/// Returns the schema of a pod template of which any field may be left out.
fn pod_template() -> &'static Value {
    static SCHEMA: OnceLock<Value> = OnceLock::new();
    SCHEMA.get_or_init(|| {
        let settings = SchemaSettings::openapi3().with(|settings| {
            settings.inline_subschemas = true;
            settings.meta_schema = None;
        });
        let schema = settings
            .into_generator()
            .into_root_schema_for::<PodTemplateSpec>();
        let mut schema = schema.to_value();
        partial(&mut schema);
        schema
    })
}

/// Makes every field of a schema optional, and says of quantities and ports what JSON schema knows: they are numbers or texts.
fn partial(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            // A field may be called `required` as well; only a list of names is the keyword.
            if map.get("required").is_some_and(Value::is_array) {
                map.shift_remove("required");
            }
            if map.contains_key("x-kubernetes-int-or-string") {
                map.insert("type".into(), json!(["number", "string"]));
            }
            map.values_mut().for_each(partial);
        }
        Value::Array(items) => items.iter_mut().for_each(partial),
        _ => {}
    }
}

/// Returns the paths of the protected fields that an overlay sets.
fn protected(overlay: &Value) -> Vec<String> {
    let mut paths = vec![];
    for part in ["labels", "annotations"] {
        let entries = overlay["metadata"][part].as_object();
        for key in entries.into_iter().flat_map(|entries| entries.keys()) {
            if key.starts_with("agoge.dev/") || key.starts_with("app.kubernetes.io/") {
                paths.push(format!("metadata.{part}[{key:?}]"));
            }
        }
    }
    let spec = &overlay["spec"];
    let fields = PROTECTED_POD_FIELDS.iter();
    paths.extend(
        fields
            .filter(|field| spec.get(**field).is_some())
            .map(|field| format!("spec.{field}")),
    );
    for volume in listed(spec, "volumes") {
        let name = volume["name"].as_str().unwrap_or_default();
        if PROTECTED_VOLUMES.contains(&name) || volume.get("hostPath").is_some() {
            paths.push(format!("spec.volumes[{name:?}]"));
        }
    }
    for list in ["containers", "initContainers", "ephemeralContainers"] {
        for container in listed(spec, list) {
            let name = container["name"].as_str().unwrap_or_default();
            let path = format!("spec.{list}[{name:?}]");
            if container["securityContext"]["privileged"] == Value::Bool(true) {
                paths.push(format!("{path}.securityContext.privileged"));
            }
            if name == CONTAINER {
                paths.extend(protected_in_worker(container, &path));
            }
            if name == TOOLS_CONTAINER {
                paths.push(path);
            }
        }
    }
    paths
}

fn protected_in_worker(container: &Value, path: &str) -> Vec<String> {
    let fields = PROTECTED_WORKER_FIELDS.iter();
    let mut paths: Vec<String> = fields
        .filter(|field| container.get(**field).is_some())
        .map(|field| format!("{path}.{field}"))
        .collect();
    for variable in listed(container, "env") {
        let name = variable["name"].as_str().unwrap_or_default();
        if name.starts_with("AGOGE_") || name.starts_with("MASTER_") {
            paths.push(format!("{path}.env[{name:?}]"));
        }
    }
    for mount in listed(container, "volumeMounts") {
        let name = mount["name"].as_str().unwrap_or_default();
        let at = mount["mountPath"].as_str().unwrap_or_default();
        let inside = PROTECTED_PATHS.iter().any(|path| at.starts_with(path));
        if PROTECTED_VOLUMES.contains(&name) || inside {
            paths.push(format!("{path}.volumeMounts[{name:?}]"));
        }
    }
    paths
}

fn listed<'a>(value: &'a Value, list: &str) -> impl Iterator<Item = &'a Value> {
    value[list].as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(overlay: Value) -> Vec<Finding> {
        read(&overlay).unwrap_err()
    }

    #[test]
    fn protected_fields_are_refused_with_their_path() {
        let worker = |field: Value| json!({ "spec": { "containers": [field] } });
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
                worker(json!({ "name": "worker", "image": "evil" })),
                "spec.containers[\"worker\"].image",
            ),
            (
                worker(json!({ "name": "worker", "env": [{ "name": "AGOGE_TERMINATION_LOG" }] })),
                "spec.containers[\"worker\"].env[\"AGOGE_TERMINATION_LOG\"]",
            ),
            (
                json!({ "spec": { "volumes": [{ "name": "etc", "hostPath": { "path": "/etc" } }] } }),
                "spec.volumes[\"etc\"]",
            ),
            (
                json!({ "spec": { "initContainers": [{ "name": "tools", "image": "evil" }] } }),
                "spec.initContainers[\"tools\"]",
            ),
            (
                json!({ "metadata": { "labels": { "agoge.dev/owner": "other" } } }),
                "metadata.labels[\"agoge.dev/owner\"]",
            ),
        ] {
            let found = refused(overlay);
            assert_eq!(found, [Finding::new(path, "is protected", "remove it")]);
        }
    }

    #[test]
    fn unknown_fields_and_values_of_the_wrong_type_are_refused_with_their_path() {
        let env = |value: Value| json!({ "spec": { "containers": [{ "name": "worker", "env": [{ "name": "A", "value": value }] }] } });
        for (overlay, path, word) in [
            (
                json!({ "spec": { "nodeselector": { "a": "b" } } }),
                "spec.nodeselector",
                "nodeSelector",
            ),
            (
                env(json!(1)),
                "spec.containers[0].env[0].value",
                "quote it: \"1\"",
            ),
            (
                env(json!(true)),
                "spec.containers[0].env[0].value",
                "quote it: \"true\"",
            ),
            (
                json!({ "metadata": { "labels": { "tier": 2 } } }),
                "metadata.labels.tier",
                "quote it",
            ),
            (
                json!({ "spec": { "terminationGracePeriodSeconds": "60" } }),
                "spec.terminationGracePeriodSeconds",
                "take the quotes away",
            ),
        ] {
            let found = refused(overlay);
            assert_eq!(found.len(), 1, "{found:?}");
            assert_eq!(found[0].field, path);
            assert!(found[0].to_string().contains(word), "{}", found[0]);
        }
    }

    #[test]
    fn what_a_pod_template_takes_is_taken_and_nulls_are_absent() {
        let overlay = json!({ "spec": {
            "nodeSelector": null,
            "hostNetwork": null,
            "tolerations": [{ "key": "gpu", "operator": "Exists" }],
            "containers": [{
                "name": "worker",
                "env": [{ "name": "A", "value": "1" }, { "name": "B", "value": null }],
                "resources": { "limits": { "cpu": 2, "memory": "4Gi", "x.io/part": 0.5 } },
                "ports": [{ "containerPort": 9000.0 }],
            }],
        } });
        let taken = read(&overlay).unwrap_or_else(|found| panic!("{found:?}"));
        assert!(taken["spec"].get("nodeSelector").is_none());
        serde_json::from_value::<PodTemplateSpec>(taken).unwrap();
        assert_eq!(read(&json!({})).unwrap(), json!({}));
    }
}
