//! The connection to the API server, and watches over it.

use std::time::Duration;

use agoge_crds::{GROUP, VERSION};
use futures::Stream;
use k8s_openapi::NamespaceResourceScope;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Config, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use tokio::time::sleep;

use crate::names::Kind;
use crate::{OperatorError, Options};

/// Seconds after which the API server ends a watch, which is then resumed: a dead connection is noticed by then.
const WATCH_SECONDS: u32 = 90;

/// Connects to the cluster of this pod or of the kubeconfig.
///
/// # Errors
/// [`OperatorError::Cluster`]
pub async fn connect() -> Result<Client, OperatorError> {
    let mut config = Config::infer()
        .await
        .map_err(|error| OperatorError::Cluster(error.to_string()))?;
    config.connect_timeout = Some(Duration::from_secs(5));
    // Longer than a watch; every other call is limited by its caller.
    config.read_timeout = Some(Duration::from_secs(120));
    config.write_timeout = Some(Duration::from_secs(10));
    Client::try_from(config).map_err(|error| OperatorError::Cluster(error.to_string()))
}

/// Waits until the API server serves the three kinds.
pub async fn wait_for_kinds(client: &Client) {
    let version = format!("{GROUP}/{VERSION}");
    let mut logged = false;
    while !serves_kinds(client, &version).await {
        if !logged {
            tracing::info!(
                version,
                "waiting for the CustomResourceDefinitions; install the chart agoge-crds"
            );
            logged = true;
        }
        sleep(Duration::from_secs(1)).await;
    }
}

async fn serves_kinds(client: &Client, version: &str) -> bool {
    let Ok(list) = client.list_api_group_resources(version).await else {
        return false;
    };
    let serves = |kind: &Kind| list.resources.iter().any(|r| r.kind == kind.as_str());
    Kind::ALL.iter().all(serves)
}

/// Watches the objects of a kind in the namespaces that the options select. The managed fields are dropped.
pub fn watch<K>(
    client: &Client,
    options: &Options,
    config: watcher::Config,
) -> impl Stream<Item = Result<watcher::Event<K>, watcher::Error>> + Send + 'static
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + std::fmt::Debug
        + Send
        + 'static,
{
    let api: Api<K> = match options.watch_namespace.as_str() {
        "" => Api::all(client.clone()),
        namespace => Api::namespaced(client.clone(), namespace),
    };
    watcher(api, config.timeout(WATCH_SECONDS))
        .default_backoff()
        .modify(|object| object.managed_fields_mut().clear())
}
