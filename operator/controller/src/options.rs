//! The settings of `agoge operator`. Each can also be given as an environment variable.

use std::net::SocketAddr;

use crate::render::StoreFrom;
use crate::resolve::Defaults;

/// Run the operator: create and supervise the workers of SynthesisJobs, CheckerSuites and GRPORuns.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// The operator's own namespace.
    #[arg(long, env = "POD_NAMESPACE", default_value = "default")]
    pub namespace: String,
    /// The name of this replica: that of its pod.
    #[arg(long, env = "POD_NAME")]
    pub identity: Option<String>,
    /// The namespace to watch; if empty, all namespaces are watched.
    #[arg(long, env = "AGOGE_WATCH_NAMESPACE", default_value = "")]
    pub watch_namespace: String,
    /// Image of workers, for manifests that name none.
    #[arg(
        long,
        env = "AGOGE_WORKER_IMAGE",
        default_value = "localhost/agoge-worker:dev"
    )]
    pub worker_image: String,
    /// Pull policy of that image.
    #[arg(long, env = "AGOGE_WORKER_PULL_POLICY", default_value = "IfNotPresent")]
    pub worker_pull_policy: String,
    /// Service account of workers; it needs no permissions.
    #[arg(long, env = "AGOGE_WORKER_SERVICE_ACCOUNT", default_value = "default")]
    pub worker_service_account: String,
    /// Store for manifests that name none: `s3://bucket/prefix`, or a path on a volume.
    #[arg(long, env = "AGOGE_STORE_URL")]
    pub store_url: Option<String>,
    /// The store's endpoint, unless it is the cloud's own.
    #[arg(long, env = "AGOGE_STORE_ENDPOINT")]
    pub store_endpoint: Option<String>,
    /// The store's region.
    #[arg(long, env = "AGOGE_STORE_REGION")]
    pub store_region: Option<String>,
    /// Connect to the store without TLS.
    #[arg(long, env = "AGOGE_STORE_ALLOW_HTTP", num_args = 0..=1, default_value_t = false, default_missing_value = "true")]
    pub store_allow_http: bool,
    /// Secret in each workload namespace, with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.
    #[arg(long, env = "AGOGE_STORE_SECRET")]
    pub store_secret: Option<String>,
    /// PersistentVolumeClaim in each workload namespace that holds the store, if the store is a path.
    #[arg(long, env = "AGOGE_STORE_CLAIM")]
    pub store_claim: Option<String>,
    /// Name of the Lease that the leader holds.
    #[arg(long, env = "AGOGE_LEASE_NAME", default_value = "agoge-operator")]
    pub lease_name: String,
    /// Duration of the Lease in seconds.
    #[arg(long, env = "AGOGE_LEASE_SECONDS", default_value_t = 15, value_parser = clap::value_parser!(u64).range(3..=300))]
    pub lease_seconds: u64,
    /// Address on which workers' progress reports are accepted.
    #[arg(long, env = "AGOGE_PROGRESS_LISTEN", default_value = "0.0.0.0:9443")]
    pub progress_listen: SocketAddr,
    /// Address that workers report to; if unset, the Service `agoge-progress` in the operator's namespace.
    #[arg(long, env = "AGOGE_PROGRESS_URL")]
    pub progress_url: Option<String>,
    /// Address on which health and metrics are served.
    #[arg(long, env = "AGOGE_HTTP_LISTEN", default_value = "0.0.0.0:8080")]
    pub http_listen: SocketAddr,
    /// Objects of one kind that are reconciled concurrently.
    #[arg(long, env = "AGOGE_CONCURRENCY", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub concurrency: u16,
    /// Format of the log.
    #[arg(long, env = "AGOGE_LOG_FORMAT", value_enum, default_value_t = LogFormat::Json)]
    pub log_format: LogFormat,
    /// Log filter, such as `info` or `agoge_controller=debug,info`; PUT /log-filter changes it at run time.
    #[arg(
        long,
        env = "AGOGE_LOG_FILTER",
        default_value = "info,kube_client=warn"
    )]
    pub log_filter: String,
}

/// Format of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// One JSON object per line.
    Json,
    /// Plain text for people.
    Text,
}

impl Options {
    /// Returns the name of this replica.
    #[must_use]
    pub fn replica(&self) -> String {
        self.identity
            .clone()
            .unwrap_or_else(|| format!("agoge-{}", std::process::id()))
    }

    /// Returns the settings for everything that a manifest leaves out.
    #[must_use]
    pub fn defaults(&self) -> Defaults {
        let of = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let progress = format!("https://agoge-progress.{}.svc:9443", self.namespace);
        Defaults {
            store: of(&self.store_url).map(|url| StoreFrom {
                url,
                endpoint: of(&self.store_endpoint),
                region: of(&self.store_region),
                allow_http: self.store_allow_http,
                secret: of(&self.store_secret),
                claim: of(&self.store_claim),
            }),
            image: self.worker_image.clone(),
            pull_policy: self.worker_pull_policy.clone(),
            service_account: self.worker_service_account.clone(),
            progress_url: of(&self.progress_url).unwrap_or(progress),
        }
    }
}
