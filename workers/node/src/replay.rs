//! `agoge-worker replay`: recorded answers behind the OpenAI chat API, for runs without a model.
//!
//! An answer is found by the digest of the request, and by item and ordinal from the headers `x-agoge-request`,
//! `x-agoge-item` and `x-agoge-ordinal`, which our own client sends; without them by the digest of the body and the order
//! of arrival. What was never recorded is 404, with what is missing. Nothing is held between requests but those counts.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use agoge_llm::{DIGEST, ITEM, ORDINAL, Recordings};
use agoge_store::Digest;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use clap::Args;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::stop::Stop;

/// The recordings to replay, and the address.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// The folder of recordings.
    #[arg(long, value_name = "DIR")]
    recordings: PathBuf,
    /// Address to listen on; port 0 takes any free one and prints it.
    #[arg(long, default_value = "127.0.0.1:8000")]
    listen: SocketAddr,
    /// Seconds before each answer, for a run that is to take as long as with a model.
    #[arg(long, value_name = "SECONDS", default_value_t = 0.0, value_parser = seconds)]
    wait: f64,
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.0..=3600.0).contains(&seconds) => Ok(seconds),
        _ => Err("give a number of seconds from 0 to 3600".into()),
    }
}

/// The recordings, and the time before each answer.
#[derive(Clone)]
struct Tape {
    recordings: Arc<Recordings>,
    wait: Duration,
}

/// Serves until asked to stop.
///
/// # Errors
/// When the recordings cannot be read, or the port is taken.
pub fn run(options: &Options, stop: Stop) -> Result<(), Failure> {
    let recordings = Recordings::replay(&options.recordings).map_err(Failure::input)?;
    let tape = Tape {
        recordings: Arc::new(recordings),
        wait: Duration::from_secs_f64(options.wait),
    };
    let routes = Router::new()
        .route("/v1/chat/completions", post(chat))
        .route(
            "/v1/models",
            get(|| async { axum::Json(json!({"object": "list", "data": []})) }),
        )
        .route(
            "/health",
            get(|| async { axum::Json(json!({"status": "ok"})) }),
        )
        .layer(DefaultBodyLimit::max(64 << 20))
        .with_state(tape);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::infra)?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(options.listen)
            .await
            .map_err(|e| Failure::infra(format!("listening on {}: {e}", options.listen)))?;
        let bound = listener.local_addr().map_err(Failure::infra)?;
        println!(
            "replaying {} on http://{bound}/v1",
            options.recordings.display()
        );
        axum::serve(listener, routes)
            .with_graceful_shutdown(async move { stop.requested().await })
            .await
            .map_err(Failure::infra)
    })
}

async fn chat(State(tape): State<Tape>, headers: HeaderMap, body: Bytes) -> Response {
    let request: Value = match serde_json::from_slice(&body) {
        Ok(request) => request,
        Err(error) => return refused(StatusCode::BAD_REQUEST, &error.to_string(), None),
    };
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let ordinal = header(ORDINAL).and_then(|text| text.parse().ok());
    // The digest of a request is over the common form of its body. Our client names it, because it may write another form.
    let named = header(DIGEST).and_then(|text| Digest::parse(text).ok());
    let digest = named.unwrap_or_else(|| Digest::of(request.to_string().as_bytes()));
    tokio::time::sleep(tape.wait).await;
    match tape
        .recordings
        .answer(digest.as_str(), header(ITEM), ordinal)
    {
        Ok(answer) => {
            let model = request["model"].as_str().unwrap_or_default();
            axum::Json(answer.to_response(model)).into_response()
        }
        Err(error) => refused(StatusCode::NOT_FOUND, &error.to_string(), error.code()),
    }
}

fn refused(status: StatusCode, message: &str, code: Option<&str>) -> Response {
    let body =
        json!({"error": {"message": message, "type": "invalid_request_error", "code": code}});
    (status, axum::Json(body)).into_response()
}
