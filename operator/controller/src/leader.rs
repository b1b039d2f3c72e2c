//! Acts on a change of leadership: labels the leader's pod, by which workers find it.
//!
//! A replica labels its own pod only, and removes the label when it loses the lease. One that cannot do so (cut off, killed)
//! keeps the label until its pod is not ready. Reports that reach it meanwhile are lost, which costs nothing.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::backoff;
use crate::names::LEADER;

/// The time after which the change of a label counts as failed.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The pod of this replica.
#[derive(Clone, Debug)]
pub struct OwnPod {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// Follows the lease until the process ends: calls `on_change` with the current state at once and whenever it changes, and
/// labels this replica's pod.
pub async fn follow(
    client: Client,
    pod: Option<OwnPod>,
    mut leading: watch::Receiver<bool>,
    on_change: impl Fn(bool),
) {
    let mut labelled = None;
    loop {
        let leads = *leading.borrow_and_update();
        on_change(leads);
        if labelled != Some(leads) {
            labelled = Some(leads);
            if let Some(pod) = &pod {
                label(&client, pod, leads, &leading).await;
            }
        }
        if leading.changed().await.is_err() {
            return;
        }
    }
}

/// Sets or removes the label; gives up when the leadership changes again.
async fn label(client: &Client, pod: &OwnPod, leads: bool, leading: &watch::Receiver<bool>) {
    let pods: Api<Pod> = Api::namespaced(client.clone(), &pod.namespace);
    let value = if leads { json!("true") } else { Value::Null };
    let patch = Patch::Merge(json!({ "metadata": { "labels": { LEADER: value } } }));
    let mut failures = 0;
    while *leading.borrow() == leads {
        let params = PatchParams::default();
        let patched = pods.patch(&pod.name, &params, &patch);
        match tokio::time::timeout(TIMEOUT, patched).await {
            Ok(Ok(_)) => return,
            Ok(Err(kube::Error::Api(status))) if status.code == 404 => {
                tracing::info!(
                    name = pod.name,
                    "there is no pod of this replica's name; workers cannot find this replica"
                );
                return;
            }
            Ok(Err(error)) => tracing::warn!(%error, "the leader's label was not changed"),
            Err(_) => tracing::warn!("the leader's label was not changed in time"),
        }
        failures += 1;
        tokio::time::sleep(backoff::LEADER_LABEL.pause(failures)).await;
    }
}
