//! The operator: keeps a cluster at what SynthesisJobs, CheckerSuites and GRPORuns ask for.
//!
//! The plan (`agoge-plan`, pure) decides. This crate observes ([`index`], [`observe`], `references`), renders ([`render`],
//! pure) and writes ([`mod@write`]). [`reconcile`] is the pipeline that connects them; [`run`] starts everything.
//!
//! Every replica watches and indexes, so that a standby is warm; only the one that holds the lease writes.
#![forbid(unsafe_code)]

mod backoff;
mod cluster;
mod controllers;
#[cfg(test)]
mod fake_api;
mod http;
pub mod index;
pub mod kinds;
mod leader;
pub mod metrics;
pub mod names;
pub mod observe;
pub mod options;
mod progress;
pub mod reconcile;
mod references;
pub mod render;
mod requests;
pub mod resolve;
mod telemetry;
pub mod write;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use agoge_lease::{Election, Leadership};
use futures::future::LocalBoxFuture;
use kube::Client;
use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinHandle, JoinSet};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use controllers::{Controllers, StoreWriters};
use http::Handlers;
use index::Index;
use leader::OwnPod;
use metrics::Metrics;
pub use options::Options;
use reconcile::{CONCURRENT_STATUS_WRITES, Shared};
use references::References;
use requests::{ReconcileRequests, RequestReceivers};
use resolve::Resolver;
use telemetry::{LogFilter, Traces};
use write::Writer;

/// The time for which reconciles wait for the certificate authority at the start. Without one, conditions say so.
const AUTHORITY_TIMEOUT: Duration = Duration::from_secs(10);
/// The time in which the lease is released at the end.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(5);

/// A failure that ends the operator.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// A setting is wrong.
    #[error("{0}")]
    Setting(String),
    /// There is no configuration for an API server.
    #[error("cannot find a cluster: {0}; run it in a pod, or set KUBECONFIG")]
    Cluster(String),
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// The cause.
        source: std::io::Error,
    },
    /// A background task panicked.
    #[error("a background task of the operator failed: {0}; please report this")]
    Background(#[source] JoinError),
}

/// Runs the operator until a signal stops it.
///
/// The future is boxed so that it is compiled here, once, and not again in every crate that waits for it.
///
/// # Errors
/// [`OperatorError`]
#[must_use]
pub fn run(options: Options) -> LocalBoxFuture<'static, Result<(), OperatorError>> {
    Box::pin(run_until_stopped(options))
}

async fn run_until_stopped(options: Options) -> Result<(), OperatorError> {
    let (traces, log) = start_telemetry(&options)?;
    let client = cluster::connect().await?;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        identity = options.replica(),
        "the operator starts"
    );
    let stop = stop_on_signals();
    let candidate = Candidate::start(&client, &options);
    let operator = Operator::assemble(client, options, log, &candidate.leadership).await?;
    let ended = operator.run(stop, &candidate.leadership).await;
    // Every write has ended: another replica may lead now.
    candidate.release().await;
    tracing::info!("the operator stops");
    traces.end().await;
    ended
}

/// Starts logs and traces.
fn start_telemetry(options: &Options) -> Result<(Traces, LogFilter), OperatorError> {
    // Another part of the process may have installed it before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let traces = Traces::start().map_err(OperatorError::Setting)?;
    let log = LogFilter::start(options.log_format, &options.log_filter, &traces)
        .map_err(OperatorError::Setting)?;
    Ok((traces, log))
}

/// Returns a token that SIGTERM or SIGINT cancels.
fn stop_on_signals() -> CancellationToken {
    let stop = CancellationToken::new();
    tokio::spawn(cancel_on_signals(stop.clone()));
    stop
}

async fn cancel_on_signals(stop: CancellationToken) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut term), Ok(mut int)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        tracing::error!("cannot listen for signals");
        return;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
    tracing::info!("a signal stops the operator");
    stop.cancel();
}

/// This replica in the election of a leader.
struct Candidate {
    leadership: Leadership,
    /// Ends the candidacy.
    resign: CancellationToken,
    election: JoinHandle<()>,
}

impl Candidate {
    fn start(client: &Client, options: &Options) -> Self {
        let election = Election {
            client: client.clone(),
            namespace: options.namespace.clone(),
            name: options.lease_name.clone(),
            identity: options.replica(),
            duration: Duration::from_secs(options.lease_seconds),
        };
        let resign = CancellationToken::new();
        let (leadership, election) = election.start(resign.clone().cancelled_owned());
        Self {
            leadership,
            resign,
            election,
        }
    }

    /// Releases the lease. One that cannot be released in time expires by itself.
    async fn release(self) {
        self.resign.cancel();
        let _ = tokio::time::timeout(RELEASE_TIMEOUT, self.election).await;
    }
}

/// The parts of the operator, connected.
struct Operator {
    client: Client,
    options: Options,
    handlers: Arc<Handlers>,
    writers: StoreWriters,
    receivers: RequestReceivers,
}

impl Operator {
    /// Connects the parts, and starts the progress server.
    async fn assemble(
        client: Client,
        options: Options,
        log: LogFilter,
        leadership: &Leadership,
    ) -> Result<Self, OperatorError> {
        let metrics = Metrics::new().map_err(|error| OperatorError::Setting(error.to_string()))?;
        let (requests, receivers) = ReconcileRequests::channels();
        let index = Index::new(requests.clone());
        let progress = progress::start(&client, &options, &index, &requests).await?;
        let (stores, writers) = controllers::stores();
        let leads = leadership.clone();
        let writer = Writer::new(
            client.clone(),
            Arc::new(move || leads.leads()),
            &options.replica(),
            metrics.clone(),
        );
        let shared = Arc::new(Shared {
            index,
            stores,
            references: References::default(),
            resolver: Resolver::new(client.clone(), options.defaults()),
            writer,
            metrics,
            reports: progress.reports(),
            authority: progress.authority(),
            status_writes: Semaphore::new(CONCURRENT_STATUS_WRITES),
            warm: AtomicBool::new(false),
        });
        let handlers = Arc::new(Handlers {
            shared,
            progress,
            requests,
            log,
            kinds_served: AtomicBool::new(false),
        });
        Ok(Self {
            client,
            options,
            handlers,
            writers,
            receivers,
        })
    }

    /// Runs the controllers until they are stopped, with everything that they need beside them.
    async fn run(
        self,
        stop: CancellationToken,
        leadership: &Leadership,
    ) -> Result<(), OperatorError> {
        let listen = self.options.http_listen;
        let mut http = tokio::spawn(http::serve(listen, self.handlers.clone()));
        tokio::select! {
            () = cluster::wait_for_kinds(&self.client) => {
                self.handlers.kinds_served.store(true, Ordering::Relaxed);
            }
            () = stop.cancelled() => {}
            served = &mut http => return http_ended(listen, served),
        }
        let mut background = self.start_background(leadership);
        let controllers = Controllers {
            client: self.client,
            options: self.options,
            shared: self.handlers.shared.clone(),
            requests: self.handlers.requests.clone(),
            stop,
        };
        tokio::select! {
            () = controllers.run(self.writers, self.receivers) => Ok(()),
            error = first_failure(&mut background) => Err(OperatorError::Background(error)),
            served = http => http_ended(listen, served),
        }
    }

    /// Starts the watches of children, the first reconcile of everything, and the following of the lease.
    fn start_background(&self, leadership: &Leadership) -> JoinSet<()> {
        let handlers = &self.handlers;
        let mut background = JoinSet::new();
        background.spawn(controllers::watch_children(
            self.client.clone(),
            self.options.clone(),
            handlers.shared.index.clone(),
            handlers.progress.clone(),
        ));
        background.spawn(warm_up(handlers.clone()));
        let pod = self.options.identity.clone().map(|name| OwnPod {
            namespace: self.options.namespace.clone(),
            name,
        });
        let on_change = {
            let handlers = handlers.clone();
            move |leads| leadership_changed(&handlers, leads)
        };
        background.spawn(leader::follow(
            self.client.clone(),
            pod,
            leadership.changed(),
            on_change,
        ));
        background
    }
}

/// Waits until the first lists are complete and the certificate authority is there, then lets reconciles act on everything.
async fn warm_up(handlers: Arc<Handlers>) {
    const CHECK: Duration = Duration::from_millis(50);
    let shared = &handlers.shared;
    let began = tokio::time::Instant::now();
    while !shared.index.ready() {
        sleep(CHECK).await;
    }
    while (shared.authority)().is_none() && began.elapsed() < AUTHORITY_TIMEOUT {
        sleep(CHECK).await;
    }
    shared.warm.store(true, Ordering::Relaxed);
    handlers.reconcile_all();
}

/// Records a change of leadership; a new leader reconciles everything.
fn leadership_changed(handlers: &Handlers, leads: bool) {
    handlers.shared.metrics.leads(leads);
    tracing::info!(leads, "the leadership of this replica");
    if leads {
        handlers.reconcile_all();
    }
}

/// Returns the panic of the first background task that has one. Tasks that end are done.
async fn first_failure(background: &mut JoinSet<()>) -> JoinError {
    while let Some(ended) = background.join_next().await {
        if let Err(error) = ended {
            return error;
        }
    }
    std::future::pending().await
}

fn http_ended(
    address: std::net::SocketAddr,
    served: Result<std::io::Result<()>, JoinError>,
) -> Result<(), OperatorError> {
    match served {
        Ok(Ok(())) => Ok(()),
        Ok(Err(source)) => Err(OperatorError::Listen { address, source }),
        Err(error) => Err(OperatorError::Background(error)),
    }
}
