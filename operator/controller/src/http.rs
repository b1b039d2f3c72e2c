//! What the operator answers over plain HTTP: health, readiness, metrics, and the log filter.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post, put};

use crate::telemetry::LogFilter;

/// What is asked of the operator.
#[derive(Clone)]
pub struct Asked {
    /// Whether it can do its work: `Err` says what it waits for.
    pub ready: Arc<dyn Fn() -> Result<(), String> + Send + Sync>,
    /// Metrics as text.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// Has every object looked at, for measurements.
    pub look_at_all: Option<Arc<dyn Fn() + Send + Sync>>,
    /// What is logged.
    pub log: LogFilter,
}

/// Answers until the process ends.
///
/// # Errors
/// An address that cannot be listened on.
pub async fn serve(listen: SocketAddr, asked: Asked) -> std::io::Result<()> {
    let mut router = Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/log-filter", put(log_filter));
    if asked.look_at_all.is_some() {
        router = router.route("/reconcile-all", post(look_at_all));
    }
    let listener = tokio::net::TcpListener::bind(listen).await?;
    tracing::info!(address = %listener.local_addr()?, "health and metrics");
    axum::serve(listener, router.with_state(asked)).await
}

async fn ready(State(asked): State<Asked>) -> (StatusCode, String) {
    match (asked.ready)() {
        Ok(()) => (StatusCode::OK, "ok".into()),
        Err(what) => (StatusCode::SERVICE_UNAVAILABLE, what),
    }
}

async fn metrics(State(asked): State<Asked>) -> String {
    (asked.metrics)()
}

async fn look_at_all(State(asked): State<Asked>) -> &'static str {
    if let Some(look) = asked.look_at_all {
        look();
    }
    "ok"
}

async fn log_filter(State(asked): State<Asked>, filter: String) -> (StatusCode, String) {
    match asked.log.set(filter.trim()) {
        Ok(()) => {
            tracing::info!(filter = filter.trim(), "the log filter was changed");
            (StatusCode::OK, "ok".into())
        }
        Err(error) => (StatusCode::BAD_REQUEST, error),
    }
}
