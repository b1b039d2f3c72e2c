//! Resolves the names in a manifest: domains, endpoints and stores are ConfigMaps of its namespace.
//!
//! A name that cannot be resolved is not an error: the child waits, and its condition says what is missing.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use agoge_plan::{Child, ChildState};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client};
use parking_lot::Mutex;

use crate::observe::pending;
use crate::render::{DomainFrom, EndpointFrom, Site, StoreFrom};

/// The time for which a ConfigMap that was read is not read again.
const FRESH: Duration = Duration::from_secs(10);
/// The longest entry of a ConfigMap that is kept, in bytes.
const MAX_ENTRY: usize = 1024;

/// The operator's own settings, for everything that a manifest leaves out.
#[derive(Clone, Debug)]
pub struct Defaults {
    /// The store for manifests that name none.
    pub store: Option<StoreFrom>,
    /// The worker's image.
    pub image: String,
    /// The image's pull policy.
    pub pull_policy: String,
    /// The service account of pods.
    pub service_account: String,
    /// The address of the progress server.
    pub progress_url: String,
}

/// A name that was not resolved.
#[derive(Debug)]
pub enum Unresolved {
    /// The name's ConfigMap does not exist or lacks a key. The state says so.
    Missing(ChildState),
    /// The API server did not answer.
    Api(Box<kube::Error>),
}

/// Resolves names by an API client.
pub struct Resolver {
    client: Client,
    defaults: Defaults,
    /// ConfigMaps read lately, by namespace and name.
    recent: Mutex<HashMap<(String, String), (Instant, Entries)>>,
}

/// The short entries of a ConfigMap. Those of a domain may be large files, which are not kept.
type Entries = HashMap<String, String>;

impl Resolver {
    /// Creates a resolver.
    #[must_use]
    pub fn new(client: Client, defaults: Defaults) -> Self {
        Self {
            client,
            defaults,
            recent: Mutex::default(),
        }
    }

    /// Resolves all names that a child uses.
    ///
    /// # Errors
    /// [`Unresolved`]
    pub async fn site(
        &self,
        child: &Child,
        domain: &str,
        store: Option<&str>,
        ca: &str,
    ) -> Result<Site, Unresolved> {
        let namespace = child.owner.namespace.as_deref().unwrap_or("default");
        let domain = self.domain(namespace, domain).await?;
        let mut endpoints = vec![];
        for name in &child.needs.endpoints {
            endpoints.push(self.endpoint(namespace, name).await?);
        }
        Ok(Site {
            domain,
            store: self.store(namespace, store).await?,
            endpoints,
            image: self.defaults.image.clone(),
            pull_policy: self.defaults.pull_policy.clone(),
            service_account: self.defaults.service_account.clone(),
            progress_url: self.defaults.progress_url.clone(),
            ca: ca.to_owned(),
        })
    }

    /// Resolves the name of a domain.
    ///
    /// # Errors
    /// [`Unresolved`]
    pub async fn domain(&self, namespace: &str, domain: &str) -> Result<DomainFrom, Unresolved> {
        let missing = format!(
            "there is no ConfigMap {domain} in {namespace}; create one with `agoge domain pack`"
        );
        let entries = self
            .entries(namespace, domain, "DomainNotFound", &missing)
            .await?;
        Ok(match (entries.get("image"), entries.get("store")) {
            (Some(image), _) => DomainFrom::Image(image.clone()),
            (_, Some(digest)) => DomainFrom::Store(digest.clone()),
            _ => DomainFrom::ConfigMap(domain.to_owned()),
        })
    }

    /// Resolves the name of an endpoint.
    ///
    /// # Errors
    /// [`Unresolved`]
    pub async fn endpoint(&self, namespace: &str, name: &str) -> Result<EndpointFrom, Unresolved> {
        let missing =
            format!("there is no ConfigMap {name} in {namespace}; create one with the key url");
        let entries = self
            .entries(namespace, name, "EndpointNotFound", &missing)
            .await?;
        let Some(url) = entries.get("url") else {
            let message =
                format!("the ConfigMap {name} has no key url; add the endpoint's address");
            return Err(Unresolved::Missing(pending("EndpointNotFound", &message)));
        };
        Ok(EndpointFrom {
            name: name.to_owned(),
            url: url.clone(),
            secret: entries.get("secret").cloned(),
        })
    }

    /// Resolves the name of a store; without a name, returns the default store.
    ///
    /// # Errors
    /// [`Unresolved`]
    pub async fn store(
        &self,
        namespace: &str,
        name: Option<&str>,
    ) -> Result<StoreFrom, Unresolved> {
        let Some(name) = name else {
            return self.defaults.store.clone().ok_or_else(|| {
                let message = "the operator has no default store; give it --store-url, or name one in spec.store";
                Unresolved::Missing(pending("StoreNotFound", message))
            });
        };
        let missing =
            format!("there is no ConfigMap {name} in {namespace}; create one with the key url");
        let entries = self
            .entries(namespace, name, "StoreNotFound", &missing)
            .await?;
        let Some(url) = entries.get("url") else {
            let message = format!("the ConfigMap {name} has no key url; add the store's address");
            return Err(Unresolved::Missing(pending("StoreNotFound", &message)));
        };
        Ok(StoreFrom {
            url: url.clone(),
            endpoint: entries.get("endpoint").cloned(),
            region: entries.get("region").cloned(),
            allow_http: entries
                .get("allowHttp")
                .is_some_and(|allow| allow == "true"),
            secret: entries.get("secret").cloned(),
            claim: entries.get("claim").cloned(),
        })
    }

    /// Returns the entries of a ConfigMap, from memory if it was read lately.
    async fn entries(
        &self,
        namespace: &str,
        name: &str,
        reason: &str,
        missing: &str,
    ) -> Result<Entries, Unresolved> {
        let key = (namespace.to_owned(), name.to_owned());
        let recent = self
            .recent
            .lock()
            .get(&key)
            .filter(|(read, _)| read.elapsed() < FRESH)
            .map(|(_, entries)| entries.clone());
        if let Some(entries) = recent {
            return Ok(entries);
        }
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), namespace);
        let map = api
            .get_opt(name)
            .await
            .map_err(|error| Unresolved::Api(Box::new(error)))?
            .ok_or_else(|| Unresolved::Missing(pending(reason, missing)))?;
        let entries: Entries = map
            .data
            .unwrap_or_default()
            .into_iter()
            .filter(|(_, value)| value.len() <= MAX_ENTRY)
            .collect();
        let mut recent = self.recent.lock();
        recent.retain(|_, (read, _)| read.elapsed() < FRESH);
        recent.insert(key, (Instant::now(), entries.clone()));
        Ok(entries)
    }
}

#[cfg(test)]
mod tests;
