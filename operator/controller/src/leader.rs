//! What changes hands with the lease: the label on the leader's pod, by which workers find it, and a look at everything.
//!
//! The label is this replica's own pod's. It is taken off when the lease is lost; a replica that cannot do that any more
//! (cut off, killed) keeps it until its pod is not ready, and what it is told meanwhile costs nothing: reports are lost, not
//! wrong.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::names::LEADER;

/// Follows the lease until the process ends: labels this pod, and calls `leads` whenever that changes.
pub async fn follow(
    client: Client,
    pod: Option<(String, String)>,
    mut leading: watch::Receiver<bool>,
    leads: impl Fn(bool),
) {
    let mut labelled = None;
    loop {
        let now = *leading.borrow_and_update();
        leads(now);
        if labelled != Some(now) {
            labelled = Some(now);
            if let Some((namespace, name)) = &pod {
                label(&client, namespace, name, now, &leading).await;
            }
        }
        if leading.changed().await.is_err() {
            return;
        }
    }
}

async fn label(
    client: &Client,
    namespace: &str,
    name: &str,
    leads: bool,
    leading: &watch::Receiver<bool>,
) {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let value = if leads { json!("true") } else { Value::Null };
    let patch = Patch::Merge(json!({ "metadata": { "labels": { LEADER: value } } }));
    let mut pause = Duration::from_millis(200);
    while *leading.borrow() == leads {
        let params = PatchParams::default();
        let asked = pods.patch(name, &params, &patch);
        match tokio::time::timeout(Duration::from_secs(5), asked).await {
            Ok(Ok(_)) => return,
            Ok(Err(kube::Error::Api(status))) if status.code == 404 => {
                tracing::info!(
                    name,
                    "this replica has no pod of that name; workers are not led to it"
                );
                return;
            }
            Ok(Err(error)) => tracing::warn!(%error, "the leader's label was not changed"),
            Err(_) => tracing::warn!("the leader's label was not changed in time"),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(10));
    }
}
