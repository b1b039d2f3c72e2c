//! What the names of a manifest stand for in its namespace: ConfigMaps for domains, endpoints and stores.
//!
//! A name that stands for nothing is no error of the driver's: the child waits, and its condition says what is missing.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use agoge_plan::{Child, ChildState};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client};

use crate::observe::pending;
use crate::render::{DomainFrom, EndpointFrom, Site, StoreFrom};

/// How long what was found counts as found.
const FRESH: Duration = Duration::from_secs(10);

/// The operator's own answers.
#[derive(Clone, Debug)]
pub struct Defaults {
    /// The store of manifests that name none.
    pub store: Option<StoreFrom>,
    /// The worker's image.
    pub image: String,
    /// When it is pulled.
    pub pull_policy: String,
    /// The account of pods.
    pub service_account: String,
    /// Where pods report.
    pub progress_url: String,
}

/// Why a child cannot be started yet.
#[derive(Debug)]
pub enum Unresolved {
    /// A name stands for nothing, or for something unusable: a state to be told.
    Missing(ChildState),
    /// The API server did not answer.
    Api(Box<kube::Error>),
}

/// Looks names up.
pub struct Resolver {
    client: Client,
    defaults: Defaults,
    found: Mutex<HashMap<(String, String), (Instant, Found)>>,
}

/// The keys of a ConfigMap that decide; its files are not kept.
type Found = HashMap<String, String>;

impl Resolver {
    /// A resolver that asks this client.
    #[must_use]
    pub fn new(client: Client, defaults: Defaults) -> Self {
        Self {
            client,
            defaults,
            found: Mutex::default(),
        }
    }

    /// Everything a child's names stand for.
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

    /// What the name of a domain stands for.
    ///
    /// # Errors
    /// [`Unresolved`]
    pub async fn domain(&self, namespace: &str, domain: &str) -> Result<DomainFrom, Unresolved> {
        let what = format!(
            "there is no ConfigMap {domain} in {namespace}; make one with `agoge domain pack`"
        );
        let found = self
            .look_up(namespace, domain, "DomainNotFound", &what)
            .await?;
        Ok(match (found.get("image"), found.get("store")) {
            (Some(image), _) => DomainFrom::Image(image.clone()),
            (_, Some(digest)) => DomainFrom::Store(digest.clone()),
            _ => DomainFrom::ConfigMap(domain.to_owned()),
        })
    }

    /// What the name of an endpoint stands for.
    ///
    /// # Errors
    /// [`Unresolved`]
    pub async fn endpoint(&self, namespace: &str, name: &str) -> Result<EndpointFrom, Unresolved> {
        let what =
            format!("there is no ConfigMap {name} in {namespace}; make one with the key url");
        let found = self
            .look_up(namespace, name, "EndpointNotFound", &what)
            .await?;
        let Some(url) = found.get("url") else {
            let message =
                format!("the ConfigMap {name} has no key url; add the endpoint's address");
            return Err(Unresolved::Missing(pending("EndpointNotFound", &message)));
        };
        Ok(EndpointFrom {
            name: name.to_owned(),
            url: url.clone(),
            secret: found.get("secret").cloned(),
        })
    }

    /// What the name of a store stands for; without one, the default.
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
        let what =
            format!("there is no ConfigMap {name} in {namespace}; make one with the key url");
        let found = self
            .look_up(namespace, name, "StoreNotFound", &what)
            .await?;
        let Some(url) = found.get("url") else {
            let message = format!("the ConfigMap {name} has no key url; add the store's address");
            return Err(Unresolved::Missing(pending("StoreNotFound", &message)));
        };
        Ok(StoreFrom {
            url: url.clone(),
            endpoint: found.get("endpoint").cloned(),
            region: found.get("region").cloned(),
            allow_http: found.get("allowHttp").is_some_and(|allow| allow == "true"),
            secret: found.get("secret").cloned(),
            claim: found.get("claim").cloned(),
        })
    }

    async fn look_up(
        &self,
        namespace: &str,
        name: &str,
        reason: &str,
        what: &str,
    ) -> Result<Found, Unresolved> {
        let key = (namespace.to_owned(), name.to_owned());
        let known = self
            .found
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&key)
            .filter(|(at, _)| at.elapsed() < FRESH)
            .map(|(_, found)| found.clone());
        if let Some(found) = known {
            return Ok(found);
        }
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), namespace);
        let map = api
            .get_opt(name)
            .await
            .map_err(|error| Unresolved::Api(Box::new(error)))?
            .ok_or_else(|| Unresolved::Missing(pending(reason, what)))?;
        // A domain's files may be large and are not the operator's to read.
        let found: Found = map
            .data
            .unwrap_or_default()
            .into_iter()
            .filter(|(_, value)| value.len() <= 1024)
            .collect();
        let mut all = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, (at, _)| at.elapsed() < FRESH);
        all.insert(key, (Instant::now(), found.clone()));
        Ok(found)
    }
}
