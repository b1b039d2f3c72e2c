//! The cluster driver: keeps a cluster at what SynthesisJobs, CheckerSuites and GRPORuns ask for.
//!
//! The plan (`agoge-plan`, pure) decides; this crate observes ([`index`], [`observe`], `references`), renders ([`render`],
//! pure), and writes ([`mod@write`]). [`reconcile`] is the loop around them; [`run`] starts everything.
//!
//! Every replica watches and indexes, so that a standby is warm; only the one that holds the lease writes.
#![forbid(unsafe_code)]

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
pub mod resolve;
mod telemetry;
pub mod write;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use agoge_crds::{CheckerSuite, GROUP, GRPORun, SynthesisJob, VERSION};
use agoge_lease::Election;
use futures::channel::mpsc::UnboundedReceiver;
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::core::DeserializeGuard;
use kube::runtime::reflector::{ObjectRef, Store, store};
use kube::runtime::{Controller, WatchStreamExt, controller, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::{Semaphore, watch};
use tokio::time::sleep;

use index::{Index, Pokes};
use kinds::Ours;
use metrics::Metrics;
use names::{Kind, SELECTOR, Target};
pub use options::Options;
use reconcile::{Context, Guarded, Shared, Stores};
use references::References;
use resolve::Resolver;
use telemetry::{LogFilter, Traces};
use write::Writer;

/// How long reconciles wait for the certificate authority at the start.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why the operator could not go on.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// A setting.
    #[error("{0}")]
    Setting(String),
    /// No way to the API server.
    #[error("cannot find a cluster: {0}; run it in a pod, or set KUBECONFIG")]
    Cluster(String),
    /// An address that cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// Why.
        source: std::io::Error,
    },
}

/// Runs the operator until it is asked to stop.
///
/// # Errors
/// [`OperatorError`]
pub async fn run(options: Options) -> Result<(), OperatorError> {
    // Another part of the process may have installed it before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let traces = Traces::start().map_err(OperatorError::Setting)?;
    let log = LogFilter::start(options.log_format, &options.log_filter, &traces)
        .map_err(OperatorError::Setting)?;
    let client = client().await?;
    let metrics = Metrics::new().map_err(|error| OperatorError::Setting(error.to_string()))?;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        identity = options.who(),
        "operator starts"
    );
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(stop_on_signals(stop));

    let election = Election {
        client: client.clone(),
        namespace: options.namespace.clone(),
        name: options.lease_name.clone(),
        identity: options.who(),
        duration: Duration::from_secs(options.lease_seconds),
    };
    let (drained, drain) = watch::channel(false);
    let (leadership, elected) = election.start(until(drain));

    let (pokes, mut receivers) = Pokes::new();
    let index = Index::new(pokes.clone());
    let progress = progress::start(&client, &options, &index, &pokes).await?;
    let (jobs, jobs_writer) = store::<Guarded<SynthesisJob>>();
    let (suites, suites_writer) = store::<Guarded<CheckerSuite>>();
    let (runs, runs_writer) = store::<Guarded<GRPORun>>();
    let stores = Stores { jobs, suites, runs };
    let leads = {
        let leadership = leadership.clone();
        Arc::new(move || leadership.leads())
    };
    let shared = Arc::new(Shared {
        index: index.clone(),
        stores: stores.clone(),
        references: References::default(),
        resolver: Resolver::new(client.clone(), options.defaults()),
        writer: Writer::new(client.clone(), leads, &options.who(), metrics.clone()),
        metrics: metrics.clone(),
        reports: progress.reports(),
        bundle: progress.bundle(),
        statuses: Semaphore::new(reconcile::STATUSES),
        warm: AtomicBool::new(false),
    });

    let served = Arc::new(AtomicBool::new(false));
    let look_at_all = {
        let (stores, pokes) = (stores.clone(), pokes.clone());
        move || all(&stores).iter().for_each(|target| pokes.poke(target))
    };
    let asked = http::Asked {
        ready: ready(served.clone(), index.clone()),
        metrics: text(
            metrics.clone(),
            stores.clone(),
            index.clone(),
            progress.clone(),
        ),
        look_at_all: std::env::var_os("AGOGE_BENCH").map(|_| Arc::new(look_at_all.clone()) as _),
        log,
    };
    let answers = tokio::spawn(http::serve(options.http_listen, asked));

    let mut early = stopped.clone();
    tokio::select! {
        () = crds(&client) => {}
        _ = early.wait_for(|stopped| *stopped) => {}
    }
    served.store(true, Ordering::Relaxed);
    let watches = watches(&client, &options, &index);
    let warm = warm(&shared, look_at_all.clone());
    let pod = options
        .identity
        .clone()
        .map(|name| (options.namespace.clone(), name));
    let on_change = {
        let metrics = metrics.clone();
        move |leads: bool| {
            metrics.leads(leads);
            tracing::info!(leads, "leadership");
            if leads {
                look_at_all();
            }
        }
    };
    let leader = leader::follow(client.clone(), pod, leadership.changed(), on_change);
    let every = Every {
        client: &client,
        options: &options,
        shared: &shared,
        pokes: &pokes,
        stopped: &stopped,
    };
    let mut take = |kind| {
        receivers.remove(&kind).unwrap_or_else(|| {
            Pokes::new()
                .1
                .remove(&kind)
                .expect("a receiver of each kind")
        })
    };
    let controllers = futures::future::join3(
        every.control::<SynthesisJob>(stores.jobs, jobs_writer, take(Kind::SynthesisJob)),
        every.control::<CheckerSuite>(stores.suites, suites_writer, take(Kind::CheckerSuite)),
        every.control::<GRPORun>(stores.runs, runs_writer, take(Kind::GRPORun)),
    );
    let background = futures::future::join4(watches, warm, leader, std::future::pending::<()>());
    let ended = tokio::select! {
        _ = controllers => Ok(()),
        _ = background => Ok(()),
        answered = answers => match answered {
            Ok(Err(source)) => Err(OperatorError::Listen { address: options.http_listen, source }),
            _ => Ok(()),
        },
    };
    // What was being written is written: another replica may lead now.
    drained.send_replace(true);
    let _ = tokio::time::timeout(Duration::from_secs(5), elected).await;
    tracing::info!("operator stops");
    traces.end().await;
    ended
}

async fn client() -> Result<Client, OperatorError> {
    let cluster = |error: &dyn std::fmt::Display| OperatorError::Cluster(error.to_string());
    let mut config = kube::Config::infer()
        .await
        .map_err(|error| cluster(&error))?;
    config.connect_timeout = Some(Duration::from_secs(5));
    // Longer than a watch is quiet; every other call is bounded by its caller.
    config.read_timeout = Some(Duration::from_secs(120));
    config.write_timeout = Some(Duration::from_secs(10));
    Client::try_from(config).map_err(|error| cluster(&error))
}

async fn stop_on_signals(stop: watch::Sender<bool>) {
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
    tracing::info!("asked to stop");
    stop.send_replace(true);
}

async fn until(mut flag: watch::Receiver<bool>) {
    // A sender that is gone says the same as one that says so.
    let _ = flag.wait_for(|flag| *flag).await;
}

/// Waits until the API server serves the three kinds.
async fn crds(client: &Client) {
    let version = format!("{GROUP}/{VERSION}");
    let mut told = false;
    loop {
        if let Ok(list) = client.list_api_group_resources(&version).await
            && Kind::ALL
                .iter()
                .all(|kind| list.resources.iter().any(|r| r.kind == kind.as_str()))
        {
            return;
        }
        if !told {
            tracing::info!(
                version,
                "waiting for the CustomResourceDefinitions; install the chart agoge-crds"
            );
            told = true;
        }
        sleep(Duration::from_secs(1)).await;
    }
}

fn api<K>(client: &Client, options: &Options) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    match options.watch_namespace.as_str() {
        "" => Api::all(client.clone()),
        namespace => Api::namespaced(client.clone(), namespace),
    }
}

/// A watch that notices a dead connection within two minutes.
fn watching<K>(
    client: &Client,
    options: &Options,
    config: watcher::Config,
) -> impl futures::Stream<Item = Result<watcher::Event<K>, watcher::Error>> + Send + 'static
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + std::fmt::Debug
        + Send
        + 'static,
{
    watcher(api::<K>(client, options), config.timeout(90))
        .default_backoff()
        .modify(|object| object.managed_fields_mut().clear())
}

/// Waits until everything is there that reconciles need, then has every object looked at.
async fn warm(shared: &Shared, look_at_all: impl Fn()) {
    let began = tokio::time::Instant::now();
    while !shared.index.ready() {
        sleep(Duration::from_millis(50)).await;
    }
    // An authority that cannot be had is told in conditions, but not before it had its time.
    while (shared.bundle)().is_none() && began.elapsed() < PATIENCE {
        sleep(Duration::from_millis(50)).await;
    }
    shared.warm.store(true, Ordering::Relaxed);
    look_at_all();
}

/// The watches of children, until the process ends.
async fn watches(client: &Client, options: &Options, index: &Index) {
    let ours = || watcher::Config::default().labels(SELECTOR);
    let refused = watcher::Config::default().fields("involvedObject.kind=Job,reason=FailedCreate");
    futures::join!(
        index::follow("jobs", watching::<Job>(client, options, ours()), |e| index
            .job(e)),
        index::follow("pods", watching::<Pod>(client, options, ours()), |e| index
            .pod(e)),
        index::follow("events", watching::<Event>(client, options, refused), |e| {
            index.told(e)
        }),
    );
}

/// What the controllers of all kinds are made from.
struct Every<'a> {
    client: &'a Client,
    options: &'a Options,
    shared: &'a Arc<Shared>,
    pokes: &'a Pokes,
    stopped: &'a watch::Receiver<bool>,
}

impl Every<'_> {
    /// The controller of one kind, until it is asked to stop.
    async fn control<K: Ours>(
        &self,
        reader: Store<Guarded<K>>,
        writer: kube::runtime::reflector::store::Writer<Guarded<K>>,
        poked: UnboundedReceiver<Target>,
    ) {
        let (references, pokes) = (self.shared.references.clone(), self.pokes.clone());
        let (metrics, more) = (self.shared.metrics.clone(), self.shared.metrics.clone());
        let objects = watching::<Guarded<K>>(self.client, self.options, watcher::Config::default())
            .inspect_ok(move |event| references.see(event, &pokes))
            .reflect(writer)
            .applied_objects()
            .inspect_ok(move |guard: &Guarded<K>| {
                metrics.queued(&Target {
                    kind: K::KIND,
                    namespace: guard.namespace().unwrap_or_default(),
                    name: guard.name_any(),
                });
            });
        let poked = poked.map(move |target| {
            more.queued(&target);
            ObjectRef::<Guarded<K>>::new(&target.name).within(&target.namespace)
        });
        let config = controller::Config::default().concurrency(self.options.concurrency);
        let context = Arc::new(Context::<K>::new(self.shared.clone()));
        Controller::for_stream(objects, reader)
            .with_config(config)
            .reconcile_on(poked)
            .graceful_shutdown_on(until(self.stopped.clone()))
            .run(reconcile::reconcile::<K>, reconcile::pause::<K>, context)
            .for_each(|result| async move {
                match result {
                    // Its object went meanwhile.
                    Ok(_) | Err(controller::Error::ObjectNotFound(_)) => {}
                    // Told by the pause.
                    Err(controller::Error::ReconcilerFailed(..)) => {}
                    Err(error) => tracing::warn!(%error, kind = %K::KIND, "a watch was interrupted; it goes on"),
                }
            })
            .await;
    }
}

fn ready(
    served: Arc<AtomicBool>,
    index: Index,
) -> Arc<dyn Fn() -> Result<(), String> + Send + Sync> {
    Arc::new(move || {
        if !served.load(Ordering::Relaxed) {
            return Err("waiting for the CustomResourceDefinitions".into());
        }
        if index.ready() {
            Ok(())
        } else {
            Err("waiting for the first lists of Jobs and pods".into())
        }
    })
}

fn text(
    metrics: Metrics,
    stores: Stores,
    index: Index,
    progress: progress::Progress,
) -> Arc<dyn Fn() -> String + Send + Sync> {
    Arc::new(move || {
        let mut objects = HashMap::new();
        phases(&stores.jobs, &mut objects);
        phases(&stores.suites, &mut objects);
        phases(&stores.runs, &mut objects);
        for (outcome, so_far) in progress.outcomes() {
            metrics.reports(outcome, so_far);
        }
        metrics.text(&objects, index.tally())
    })
}

fn phases<K: Ours>(store: &Store<Guarded<K>>, into: &mut HashMap<(Kind, String), i64>) {
    for guard in store.state() {
        let phase = match &guard.0 {
            Ok(object) => object
                .status()
                .map(|status| format!("{:?}", K::run(status).phase))
                .unwrap_or_else(|| "Pending".into()),
            Err(_) => "Invalid".into(),
        };
        *into.entry((K::KIND, phase)).or_default() += 1;
    }
}

/// Every object there is.
fn all(stores: &Stores) -> Vec<Target> {
    let mut targets = vec![];
    list(&stores.jobs, &mut targets);
    list(&stores.suites, &mut targets);
    list(&stores.runs, &mut targets);
    targets
}

fn list<K: Ours>(store: &Store<DeserializeGuard<K>>, into: &mut Vec<Target>) {
    into.extend(store.state().iter().map(|guard| Target {
        kind: K::KIND,
        namespace: guard.namespace().unwrap_or_default(),
        name: guard.name_any(),
    }));
}
