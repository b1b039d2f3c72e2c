//! `agoge-worker rollout`: plays pieces for a trainer, over HTTP, until it is cancelled.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use agoge_contract::{TrainStage, TrainWork};
use agoge_learner::parallel::Parallelism;
use agoge_store::Digest;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};

use super::setup_digest;
use super::tables::{Answer, Set, Tables, Threads};
use super::wire::{Health, Play};
use crate::failure::Failure;
use crate::job::Job;
use crate::train::{Stage, episodes};

/// Bytes of a piece at most.
const PIECE: usize = 16 << 20;
/// Bytes of a weights file beside the weights at most.
const HEADER: usize = 1 << 20;
/// Interval of progress reports.
const REPORT: Duration = Duration::from_millis(500);

/// State that all handlers share.
struct Service {
    tables: Tables,
    setup: String,
}

/// Serves until it is cancelled.
///
/// # Errors
/// When an input of the assignment cannot be used, or the port is taken; [`Failure::Stopped`] in the end.
pub fn run(job: &mut Job, work: &TrainWork, listen: SocketAddr) -> Result<(), Failure> {
    let stage = Stage::alone(job, work)?;
    let spec = work.settings.grpo().ok_or_else(|| {
        let stage = work.stage().as_str();
        Failure::Input(format!(
            "stage {stage} plays no rollouts; only grpo and grpoUnfiltered have servers"
        ))
    })?;
    let policy = stage.model(job, TrainStage::AgentSft)?;
    let weights = policy.decoder.parameter_count() * 4 + HEADER;
    let rules = episodes::rules(spec);
    let set = Set {
        policy,
        user: stage.user(job)?,
        tasks: stage.suite.practice()?,
        arenas: (0..job.threads().max(1))
            .map(|_| stage.arena(Parallelism::repeatable(1, 1), 1, &rules))
            .collect::<Result<_, _>>()?,
    };
    let (tables, threads) = Tables::start(set, job.stop.clone()).map_err(Failure::infra)?;
    let setup = setup_digest(&stage, spec);
    let service = Arc::new(Service { tables, setup });
    job.progress.stage("rollouts", "episodes", 0);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(Failure::infra)?;
    let served = runtime.block_on(serve(job, listen, service, weights, &threads));
    // The service is gone, and with it the queue: threads end after the piece that they play.
    drop(runtime);
    threads.join();
    served.and(Err(Failure::Stopped))
}

async fn serve(
    job: &mut Job,
    listen: SocketAddr,
    service: Arc<Service>,
    weights: usize,
    threads: &Threads,
) -> Result<(), Failure> {
    let listener = tokio::net::TcpListener::bind(listen).await.map_err(|e| {
        Failure::Infra(format!("listening on {listen}: {e}; name another --listen"))
    })?;
    let bound = listener.local_addr().map_err(Failure::infra)?;
    tracing::info!(%bound, "playing rollouts");
    let stop = job.stop.clone();
    let watched = service.clone();
    let report = async {
        let mut played = 0;
        loop {
            tokio::time::sleep(REPORT).await;
            let episodes = watched.tables.episodes();
            if episodes != played {
                played = episodes;
                job.progress.at(played);
            }
            if threads.broken() {
                break Failure::Infra("a table ended by a panic; see the log".into());
            }
        }
    };
    let serve = axum::serve(listener, routes(service, weights))
        .with_graceful_shutdown(async move { stop.requested().await });
    tokio::select! {
        served = async { serve.await } => served.map_err(Failure::infra),
        failure = report => Err(failure),
    }
}

fn routes(service: Arc<Service>, weights: usize) -> Router {
    Router::new()
        .route(
            "/weights/{digest}",
            put(load).layer(DefaultBodyLimit::max(weights)),
        )
        .route("/play", post(play).layer(DefaultBodyLimit::max(PIECE)))
        .route("/healthz", get(health))
        .with_state(service)
}

async fn health(State(service): State<Arc<Service>>) -> axum::Json<Health> {
    axum::Json(Health {
        weights: service.tables.held(),
        episodes: service.tables.episodes(),
        tables: service.tables.count(),
    })
}

async fn load(
    State(service): State<Arc<Service>>,
    Path(digest): Path<String>,
    body: Bytes,
) -> Response {
    let taken = tokio::task::spawn_blocking(move || {
        if Digest::of(&body).to_string() != digest {
            return Err("the weights do not have this digest".into());
        }
        service.tables.load(&digest, &body)
    });
    match taken.await {
        Ok(Ok(())) => StatusCode::NO_CONTENT.into_response(),
        Ok(Err(why)) => (StatusCode::UNPROCESSABLE_ENTITY, why).into_response(),
        Err(panic) => (StatusCode::INTERNAL_SERVER_ERROR, panic.to_string()).into_response(),
    }
}

async fn play(State(service): State<Arc<Service>>, body: Bytes) -> Response {
    let refused = |why: String| (StatusCode::UNPROCESSABLE_ENTITY, why).into_response();
    let play: Play = match serde_json::from_slice(&body) {
        Ok(play) => play,
        Err(error) => return refused(format!("the piece cannot be read: {error}")),
    };
    if play.setup != service.setup {
        let why = "trainer and server are of different runs, or of different versions of Agoge";
        return refused(why.into());
    }
    if play.slots == 0 {
        return refused("slots must be at least 1".into());
    }
    if !play.temperature.is_finite() || play.temperature < 0.0 {
        return refused("temperature must be a number of at least 0".into());
    }
    match service.tables.play(play).await {
        Answer::Played(trajectories) => axum::Json(trajectories).into_response(),
        Answer::Stale => (StatusCode::CONFLICT, "this server holds other weights").into_response(),
        Answer::Refused(why) => refused(why),
        Answer::Failed(why) => (StatusCode::SERVICE_UNAVAILABLE, why).into_response(),
    }
}
