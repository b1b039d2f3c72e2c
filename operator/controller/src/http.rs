//! Plain HTTP for the kubelet, Prometheus and people: health, readiness, metrics, and the log filter.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post, put};
use kube::runtime::reflector::Store;

use crate::controllers::all_targets;
use crate::kinds::AgogeResource;
use crate::names::Kind;
use crate::progress::Progress;
use crate::reconcile::{Guarded, Shared};
use crate::requests::ReconcileRequests;
use crate::telemetry::LogFilter;

/// Variable that adds the path `/reconcile-all`, for measurements.
const BENCH: &str = "AGOGE_BENCH";

/// The parts of the operator that requests ask for.
pub struct Handlers {
    /// The objects, their children, and metrics.
    pub shared: Arc<Shared>,
    /// The progress server.
    pub progress: Progress,
    /// Requests to reconcile.
    pub requests: ReconcileRequests,
    /// The log filter.
    pub log: LogFilter,
    /// True once the API server serves the three kinds.
    pub kinds_served: AtomicBool,
}

impl Handlers {
    /// Requests that every object is reconciled.
    pub fn reconcile_all(&self) {
        self.requests.request_all(&all_targets(&self.shared.stores));
    }

    /// Returns `Ok` if this replica can work, otherwise what it waits for.
    fn ready(&self) -> Result<(), &'static str> {
        if !self.kinds_served.load(Ordering::Relaxed) {
            return Err("waiting for the CustomResourceDefinitions");
        }
        if !self.shared.index.ready() {
            return Err("waiting for the first lists of Jobs and pods");
        }
        Ok(())
    }

    fn metrics(&self) -> String {
        let (shared, stores) = (&self.shared, &self.shared.stores);
        let mut objects = HashMap::new();
        count_phases(&stores.synthesis_jobs, &mut objects);
        count_phases(&stores.checker_suites, &mut objects);
        count_phases(&stores.grpo_runs, &mut objects);
        for (outcome, total) in self.progress.outcomes() {
            shared.metrics.reports(outcome, total);
        }
        shared.metrics.text(&objects, shared.index.tally())
    }
}

fn count_phases<K: AgogeResource>(
    store: &Store<Guarded<K>>,
    objects: &mut HashMap<(Kind, String), i64>,
) {
    for guard in store.state() {
        let phase = match &guard.0 {
            Ok(object) => object.status().map_or_else(
                || "Pending".into(),
                |status| format!("{:?}", K::run(status).phase),
            ),
            Err(_) => "Invalid".into(),
        };
        *objects.entry((K::KIND, phase)).or_default() += 1;
    }
}

/// Serves until the process ends.
///
/// # Errors
/// An address that cannot be listened on.
pub async fn serve(listen: SocketAddr, handlers: Arc<Handlers>) -> std::io::Result<()> {
    let mut router = Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/log-filter", put(log_filter));
    if std::env::var_os(BENCH).is_some() {
        router = router.route("/reconcile-all", post(reconcile_all));
    }
    let listener = tokio::net::TcpListener::bind(listen).await?;
    tracing::info!(address = %listener.local_addr()?, "health and metrics are served");
    axum::serve(listener, router.with_state(handlers)).await
}

async fn ready(State(handlers): State<Arc<Handlers>>) -> (StatusCode, &'static str) {
    match handlers.ready() {
        Ok(()) => (StatusCode::OK, "ok"),
        Err(waiting) => (StatusCode::SERVICE_UNAVAILABLE, waiting),
    }
}

async fn metrics(State(handlers): State<Arc<Handlers>>) -> String {
    handlers.metrics()
}

async fn reconcile_all(State(handlers): State<Arc<Handlers>>) -> &'static str {
    handlers.reconcile_all();
    "ok"
}

async fn log_filter(State(handlers): State<Arc<Handlers>>, filter: String) -> (StatusCode, String) {
    match handlers.log.set(filter.trim()) {
        Ok(()) => {
            tracing::info!(filter = filter.trim(), "the log filter was changed");
            (StatusCode::OK, "ok".into())
        }
        Err(error) => (StatusCode::BAD_REQUEST, error),
    }
}
