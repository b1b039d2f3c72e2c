//! What a child becomes in a cluster: an Indexed Job, and where its pods must meet or start together, a Service and a
//! PodGroup. Pure; what is rendered once for a child is never changed.
//!
//! The assignment travels in the pod template, as an annotation that the pod finds as a file: a child that needs no other
//! object is made by one write, and is there with all that it needs or not at all.

pub mod overlay;

use std::path::PathBuf;

use agoge_contract::{Assignment, Endpoint, ProgressServer, ROLLOUT_PORT, Resolved, Role};
use agoge_crds::shared::Gang;
use agoge_plan::Child;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Service;
use kube::api::DynamicObject;
use serde_json::{Map, Value, json};

use crate::names;

/// Whom pods run as.
const USER: u32 = 65_532;
/// Seconds in which a worker that is asked to stop must have stopped.
const GRACE: u32 = 60;
/// Where a pod finds what it was given, and the files there.
const RUN: &str = "/etc/agoge/run";
const ASSIGNMENT: &str = "assignment.json";
const AUTHORITY: &str = "ca.crt";
const TOKEN: &str = "token";
/// Times that one rollout server may fail before it is given up: many, since it is replaced by itself.
const REPLACED: u32 = 1000;

/// Where a domain comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DomainFrom {
    /// The files of a ConfigMap.
    ConfigMap(String),
    /// An OCI image, mounted as a volume.
    Image(String),
    /// A folder in the store, by digest.
    Store(String),
}

/// A store with what its pods need to reach it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreFrom {
    /// Its address.
    pub url: String,
    /// Its endpoint, where it is not the cloud's own.
    pub endpoint: Option<String>,
    /// Its region.
    pub region: Option<String>,
    /// Whether it is reached without TLS.
    pub allow_http: bool,
    /// The Secret with its credentials.
    pub secret: Option<String>,
    /// The PersistentVolumeClaim it lies on, for an address that is a path.
    pub claim: Option<String>,
}

/// An endpoint with the Secret that holds its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointFrom {
    /// The name manifests use.
    pub name: String,
    /// Base URL.
    pub url: String,
    /// The Secret, with the key `key`.
    pub secret: Option<String>,
}

/// Everything that a child's names stand for in this cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct Site {
    /// The domain.
    pub domain: DomainFrom,
    /// The store.
    pub store: StoreFrom,
    /// The endpoints.
    pub endpoints: Vec<EndpointFrom>,
    /// The worker's image, where the manifest names none.
    pub image: String,
    /// When it is pulled.
    pub pull_policy: String,
    /// The account of pods; it needs no permission.
    pub service_account: String,
    /// Where pods report progress.
    pub progress_url: String,
    /// The certificate authority of that address, PEM.
    pub ca: String,
}

/// A child's objects.
#[derive(Clone, Debug)]
pub struct Rendered {
    /// Where trainer ranks meet, or rollout servers are found.
    pub service: Option<Service>,
    /// What lets pods start together: a PodGroup of Kubernetes or of Volcano.
    pub group: Option<DynamicObject>,
    /// The Job.
    pub job: Job,
}

/// A template that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// The overlay is not allowed.
    #[error(transparent)]
    Overlay(#[from] overlay::OverlayError),
    /// A field that is no field of Kubernetes: ours to mend.
    #[error("cannot render {what}: {source}")]
    Shape {
        /// Which object.
        what: &'static str,
        /// What does not fit.
        source: serde_json::Error,
    },
}

/// The objects of a child.
///
/// # Errors
/// [`RenderError`]
pub fn render(child: &Child, site: &Site) -> Result<Rendered, RenderError> {
    let shape = |what| move |source| RenderError::Shape { what, source };
    Ok(Rendered {
        service: service(child)
            .map(serde_json::from_value)
            .transpose()
            .map_err(shape("the Service"))?,
        group: group(child)
            .map(serde_json::from_value)
            .transpose()
            .map_err(shape("the pod group"))?,
        job: serde_json::from_value(job(child, site)?).map_err(shape("the Job"))?,
    })
}

/// Whether a child's pods are ranks of one trainer.
fn ranks(child: &Child) -> bool {
    child.shards > 1 && child.role() == Role::Train
}

/// Whether a child's pods serve rollouts: each by itself, and none has anything to lose.
fn serves(child: &Child) -> bool {
    child.role() == Role::Rollout
}

fn metadata(child: &Child) -> Value {
    json!({
        "name": child.name,
        "namespace": child.owner.namespace,
        "labels": names::labels(child),
        "annotations": { names::SPEC_HASH: child.digest() },
        "ownerReferences": [{
            "apiVersion": child.owner.api_version,
            "kind": child.owner.kind,
            "name": child.owner.name,
            "uid": child.owner.uid,
            "controller": true,
            "blockOwnerDeletion": true,
        }],
    })
}

/// The assignment as a pod reads it. Its shard is the pod's index.
fn assignment(child: &Child, site: &Site) -> Assignment {
    let endpoints = site.endpoints.iter().enumerate().map(|(n, endpoint)| {
        let key_variable = endpoint.secret.as_ref().map(|_| key_variable(n));
        (
            endpoint.name.clone(),
            Endpoint {
                url: endpoint.url.clone(),
                key_variable,
            },
        )
    });
    let resolved = Resolved {
        domain: match &site.domain {
            DomainFrom::Store(digest) => PathBuf::from(format!("store:{digest}")),
            _ => PathBuf::from("/etc/agoge/domain"),
        },
        store: site.store.url.clone(),
        endpoints: endpoints.collect(),
        recordings: None,
    };
    let mut assignment = child.assignment(0, &resolved, PathBuf::from("/work"), 0);
    assignment.progress = Some(ProgressServer {
        url: site.progress_url.clone(),
        token: PathBuf::from(format!("{RUN}/{TOKEN}")),
        authority: Some(PathBuf::from(format!("{RUN}/{AUTHORITY}"))),
    });
    assignment.keep = (!serves(child)).then(|| format!("work/{}/{}", child.owner.uid, child.key));
    assignment
}

fn key_variable(n: usize) -> String {
    format!("AGOGE_ENDPOINT_KEY_{n}")
}

fn service(child: &Child) -> Option<Value> {
    let mut metadata = metadata(child);
    let spec = if serves(child) {
        metadata["name"] = json!(child.service());
        json!({
            "clusterIP": "None",
            // Whatever the attempt: a trainer looks for them under one name.
            "selector": {
                names::KIND: child.owner.kind,
                names::OWNER: child.owner.name,
                names::KEY: child.key,
            },
            "ports": [{ "name": "rollout", "port": ROLLOUT_PORT }],
        })
    } else if ranks(child) {
        json!({
            "clusterIP": "None",
            // Ranks meet before they are ready.
            "publishNotReadyAddresses": true,
            "selector": { "batch.kubernetes.io/job-name": child.name },
            "ports": [{ "name": "ranks", "port": names::RANKS_PORT }],
        })
    } else {
        return None;
    };
    Some(json!({ "apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec }))
}

fn gang(child: &Child) -> Gang {
    match child.needs.template.gang {
        Some(gang) if child.shards > 1 && !serves(child) => gang,
        _ => Gang::None,
    }
}

fn group(child: &Child) -> Option<Value> {
    match gang(child) {
        Gang::None => None,
        Gang::PodGroup => Some(json!({
            "apiVersion": "scheduling.k8s.io/v1beta1", "kind": "PodGroup",
            "metadata": metadata(child),
            "spec": { "schedulingPolicy": { "gang": { "minCount": child.shards } } },
        })),
        Gang::Volcano => Some(json!({
            "apiVersion": "scheduling.volcano.sh/v1beta1", "kind": "PodGroup",
            "metadata": metadata(child),
            "spec": {
                "minMember": child.shards,
                "priorityClassName": child.needs.template.priority_class_name,
            },
        })),
    }
}

fn job(child: &Child, site: &Site) -> Result<Value, RenderError> {
    let mut meta = metadata(child);
    let queue = child.needs.template.queue.as_deref();
    if let Some(queue) = queue {
        meta["labels"][names::QUEUE] = json!(queue);
    }
    Ok(json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": meta,
        "spec": {
            "completionMode": "Indexed",
            "completions": child.shards,
            "parallelism": child.shards,
            // Attempts are the plan's to count: a failed pod fails its Job, and the next attempt is another Job. But a
            // rollout server that fails is replaced by the Job itself, while the others play on; it waits for its own
            // failures only, not for those of others.
            "backoffLimit": if serves(child) { Value::Null } else { json!(0) },
            "backoffLimitPerIndex": serves(child).then_some(REPLACED),
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": { "rules": [
                // Moved out of the way: nobody's fault; the Job makes another pod, which finds the kept work.
                { "action": "Ignore", "onPodConditions": [{ "type": "DisruptionTarget", "status": "True" }] },
                { "action": "FailJob", "onExitCodes": { "containerName": names::CONTAINER, "operator": "In", "values": [2, 4] } },
                { "action": "Ignore", "onExitCodes": { "containerName": names::CONTAINER, "operator": "In", "values": [130, 143] } },
            ] },
            // A queue lets it start.
            "suspend": queue.is_some(),
            "template": overlay::merge(template(child, site)?, child.needs.template.overlay.as_ref())?,
        },
    }))
}

fn template(child: &Child, site: &Site) -> Result<Value, RenderError> {
    let wishes = &child.needs.template;
    let mut spec = json!({
        "restartPolicy": "Never",
        "serviceAccountName": site.service_account,
        "automountServiceAccountToken": false,
        "enableServiceLinks": false,
        "terminationGracePeriodSeconds": GRACE,
        "securityContext": {
            "runAsNonRoot": true, "runAsUser": USER, "runAsGroup": USER, "fsGroup": USER,
            "seccompProfile": { "type": "RuntimeDefault" },
        },
        "containers": [{
            "name": names::CONTAINER,
            "image": wishes.image.as_deref().unwrap_or(&site.image),
            "imagePullPolicy": site.pull_policy,
            "args": [child.role().as_str(), "--assignment", format!("{RUN}/{ASSIGNMENT}")],
            "env": env(child, site),
            "resources": resources(child),
            "securityContext": {
                "allowPrivilegeEscalation": false,
                "readOnlyRootFilesystem": true,
                "capabilities": { "drop": ["ALL"] },
            },
            "terminationMessagePolicy": "FallbackToLogsOnError",
            "volumeMounts": mounts(site),
        }],
        "volumes": volumes(site),
    });
    if !wishes.node_selector.is_empty() {
        spec["nodeSelector"] = json!(wishes.node_selector);
    }
    if !wishes.tolerations.is_empty() {
        spec["tolerations"] = json!(wishes.tolerations);
    }
    if let Some(class) = &wishes.priority_class_name {
        spec["priorityClassName"] = json!(class);
    }
    if ranks(child) {
        spec["subdomain"] = json!(child.name);
    }
    if serves(child) {
        spec["subdomain"] = json!(child.service());
        let worker = &mut spec["containers"][0];
        worker["ports"] = json!([{ "name": "rollout", "containerPort": ROLLOUT_PORT }]);
        // Its threads may all be at play: it is late before it is gone.
        worker["readinessProbe"] = json!({
            "httpGet": { "path": "/healthz", "port": "rollout" },
            "periodSeconds": 5, "timeoutSeconds": 5, "failureThreshold": 3,
        });
    }
    let text =
        serde_json::to_string(&assignment(child, site)).map_err(|source| RenderError::Shape {
            what: "the assignment",
            source,
        })?;
    let mut annotations = Map::new();
    annotations.insert(names::ASSIGNMENT.into(), json!(text));
    annotations.insert(names::CA.into(), json!(site.ca));
    match gang(child) {
        Gang::None => {}
        Gang::PodGroup => spec["schedulingGroup"] = json!({ "podGroupName": child.name }),
        Gang::Volcano => {
            spec["schedulerName"] = json!("volcano");
            annotations.insert("scheduling.k8s.io/group-name".into(), json!(child.name));
        }
    }
    Ok(
        json!({ "metadata": { "labels": names::labels(child), "annotations": annotations }, "spec": spec }),
    )
}

fn env(child: &Child, site: &Site) -> Vec<Value> {
    let plain = |name: &str, value: &str| json!({ "name": name, "value": value });
    let secret = |name: &str, secret: &str, key: &str| json!({ "name": name, "valueFrom": { "secretKeyRef": { "name": secret, "key": key } } });
    let mut env = vec![plain("AGOGE_TERMINATION_LOG", "/dev/termination-log")];
    let store = &site.store;
    if let Some(endpoint) = &store.endpoint {
        env.push(plain("AWS_ENDPOINT", endpoint));
    }
    if let Some(region) = &store.region {
        env.push(plain("AWS_REGION", region));
    }
    if store.allow_http {
        env.push(plain("AWS_ALLOW_HTTP", "true"));
    }
    if let Some(name) = &store.secret {
        for key in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
            env.push(secret(key, name, key));
        }
    }
    for (n, endpoint) in site.endpoints.iter().enumerate() {
        if let Some(name) = &endpoint.secret {
            env.push(secret(&key_variable(n), name, "key"));
        }
    }
    if ranks(child) {
        env.push(plain(
            "MASTER_ADDR",
            &format!("{}-0.{}", child.name, child.name),
        ));
        env.push(plain("MASTER_PORT", &names::RANKS_PORT.to_string()));
    }
    env
}

fn resources(child: &Child) -> Value {
    let asked = &child.needs.resources;
    let mut all = Map::new();
    if let Some(cpu) = &asked.cpu {
        all.insert("cpu".into(), json!(cpu));
    }
    if let Some(memory) = &asked.memory {
        all.insert("memory".into(), json!(memory.to_string()));
    }
    if all.is_empty() {
        json!({})
    } else {
        json!({ "requests": all, "limits": all })
    }
}

fn mounts(site: &Site) -> Vec<Value> {
    let mut mounts = vec![
        json!({ "name": "run", "mountPath": RUN, "readOnly": true }),
        json!({ "name": "work", "mountPath": "/work" }),
        json!({ "name": "tmp", "mountPath": "/tmp" }),
    ];
    if !matches!(site.domain, DomainFrom::Store(_)) {
        mounts
            .push(json!({ "name": "domain", "mountPath": "/etc/agoge/domain", "readOnly": true }));
    }
    if site.store.claim.is_some() {
        let path = site.store.url.trim_start_matches("file://");
        mounts.push(json!({ "name": "store", "mountPath": path }));
    }
    mounts
}

fn annotated(path: &str, annotation: &str) -> Value {
    json!({ "path": path, "fieldRef": { "fieldPath": format!("metadata.annotations['{annotation}']") } })
}

fn volumes(site: &Site) -> Vec<Value> {
    let mut volumes = vec![
        json!({ "name": "run", "projected": { "sources": [
            { "downwardAPI": { "items": [
                annotated(ASSIGNMENT, names::ASSIGNMENT),
                annotated(AUTHORITY, names::CA),
            ] } },
            { "serviceAccountToken": { "path": TOKEN, "audience": names::AUDIENCE, "expirationSeconds": 3600 } },
        ] } }),
        json!({ "name": "work", "emptyDir": {} }),
        json!({ "name": "tmp", "emptyDir": {} }),
    ];
    match &site.domain {
        DomainFrom::ConfigMap(name) => {
            volumes.push(json!({ "name": "domain", "configMap": { "name": name } }));
        }
        DomainFrom::Image(reference) => {
            let image = json!({ "reference": reference, "pullPolicy": site.pull_policy });
            volumes.push(json!({ "name": "domain", "image": image }));
        }
        DomainFrom::Store(_) => {}
    }
    if let Some(claim) = &site.store.claim {
        volumes.push(json!({ "name": "store", "persistentVolumeClaim": { "claimName": claim } }));
    }
    volumes
}

#[cfg(test)]
mod tests;
