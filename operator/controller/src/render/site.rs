//! The resolved names of a manifest: where domain, store and endpoints are in this cluster.

/// The source of a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DomainFrom {
    /// The files of a ConfigMap.
    ConfigMap(String),
    /// An OCI image, mounted as a volume.
    Image(String),
    /// A folder in the store, by digest.
    Store(String),
}

/// A store, with everything that a pod needs to reach it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreFrom {
    /// Its address.
    pub url: String,
    /// Its endpoint, unless it is the cloud's own.
    pub endpoint: Option<String>,
    /// Its region.
    pub region: Option<String>,
    /// True if it is reached without TLS.
    pub allow_http: bool,
    /// The Secret with its credentials.
    pub secret: Option<String>,
    /// The PersistentVolumeClaim that holds it, for an address that is a path.
    pub claim: Option<String>,
}

/// A model endpoint, with the Secret that holds its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointFrom {
    /// Its name in manifests.
    pub name: String,
    /// Base URL.
    pub url: String,
    /// The Secret; its entry `key` is the API key.
    pub secret: Option<String>,
}

/// Everything that the pods of one child need to know about this cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct Site {
    /// The domain.
    pub domain: DomainFrom,
    /// The store.
    pub store: StoreFrom,
    /// The endpoints.
    pub endpoints: Vec<EndpointFrom>,
    /// The worker's image, for manifests that name none.
    pub image: String,
    /// The image's pull policy.
    pub pull_policy: String,
    /// The service account of the pods; it needs no permission.
    pub service_account: String,
    /// The address of the progress server.
    pub progress_url: String,
    /// The certificate authority of that address, PEM.
    pub ca: String,
}
