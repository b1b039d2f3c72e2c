//! `agoge-worker rollout`: plays what a trainer asks, over HTTP, until it is asked to stop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use agoge_contract::{TrainStage, TrainWork};
use agoge_store::Digest;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};

use super::game;
use super::tables::{Answer, Set, Tables, Threads};
use super::wire::{Health, Play};
use crate::failure::Failure;
use crate::job::Job;
use crate::train::{Stage, grpo};

/// Bytes of a piece at most.
const PIECE: usize = 16 << 20;
/// Bytes of a weights file beside the weights at most.
const HEADER: usize = 1 << 20;
/// How often progress is told.
const TELL: Duration = Duration::from_millis(500);

/// What every handler shares.
struct Service {
    tables: Tables,
    game: String,
}

/// Serves until it is asked to stop.
///
/// # Errors
/// When what the assignment names cannot be used, or the port is taken; [`Failure::Stopped`] in the end.
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
    let set = Set {
        policy,
        user: stage.user(job)?,
        tasks: stage.suite.practice(),
        worlds: stage.worlds()?,
        bounds: grpo::bounds(spec),
        seed: stage.arguments.seed,
        slots: grpo::slots(spec),
    };
    let (tables, threads) =
        Tables::start(set, job.threads(), job.stop.clone()).map_err(Failure::infra)?;
    let game = game(&stage, spec);
    let service = Arc::new(Service { tables, game });
    job.progress.stage("rollouts", "episodes", 0);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(Failure::infra)?;
    let served = runtime.block_on(serve(job, listen, service, weights, &threads));
    // The service, and with it the queue, is gone: threads end when they have played what they have in hand.
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
    tracing::info!(%bound, "playing for whoever asks");
    let stop = job.stop.clone();
    let asked = async move {
        while !stop.asked() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let told = service.clone();
    let tell = async {
        let mut played = 0;
        loop {
            tokio::time::sleep(TELL).await;
            let episodes = told.tables.episodes();
            if episodes != played {
                played = episodes;
                job.progress.at(played);
            }
            if threads.broken() {
                break Failure::Infra("a table has ended by a panic; see the log".into());
            }
        }
    };
    let serve = axum::serve(listener, routes(service, weights)).with_graceful_shutdown(asked);
    tokio::select! {
        served = async { serve.await } => served.map_err(Failure::infra),
        failure = tell => Err(failure),
    }
}

fn routes(service: Arc<Service>, weights: usize) -> Router {
    Router::new()
        .route(
            "/weights/{digest}",
            put(take_over).layer(DefaultBodyLimit::max(weights)),
        )
        .route("/play", post(play).layer(DefaultBodyLimit::max(PIECE)))
        .route("/healthz", get(health))
        .with_state(service)
}

async fn health(State(service): State<Arc<Service>>) -> axum::Json<Health> {
    axum::Json(Health {
        weights: service.tables.held(),
        episodes: service.tables.episodes(),
    })
}

async fn take_over(
    State(service): State<Arc<Service>>,
    Path(digest): Path<String>,
    body: Bytes,
) -> Response {
    let taken = tokio::task::spawn_blocking(move || {
        if Digest::of(&body).to_string() != digest {
            return Err("the weights are not those of the digest".into());
        }
        service.tables.take_over(&digest, &body)
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
        Err(error) => return refused(format!("the piece does not read: {error}")),
    };
    if play.game != service.game {
        let why = "trainer and server are of different runs, or of different versions of Agoge";
        return refused(why.into());
    }
    if !play.temperature.is_finite() || play.temperature < 0.0 {
        return refused("temperature must be a number of at least 0".into());
    }
    match service.tables.play(play).await {
        Answer::Played(trajectories) => axum::Json(trajectories).into_response(),
        Answer::Stale => (StatusCode::CONFLICT, "it holds other weights").into_response(),
        Answer::Refused(why) => refused(why),
        Answer::Failed(why) => (StatusCode::SERVICE_UNAVAILABLE, why).into_response(),
    }
}
