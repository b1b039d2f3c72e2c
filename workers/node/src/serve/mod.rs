//! `agoge-worker serve`: a trained policy behind the OpenAI chat API, with log-probabilities and token ids.
//!
//! Covered: messages, tools, `n`, `temperature`, `seed`, `max_tokens`, `logprobs`; ids of prompt and answer are always
//! given (`prompt_token_ids`, `token_ids`, named as vLLM names them). Not covered, and refused with a reason: streaming
//! and stop strings (a turn ends with the format's own stop token). Requests that wait together are decoded together; one
//! that comes meanwhile waits for the batch to end.

mod api;
mod decode;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use agoge_dialogue::{Renderer, ToolSpec, renderer};
use agoge_model::{Decoder, ModelConfig, Tokenizer};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use clap::Args;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::stop::Stop;
use api::{ApiError, ChatRequest};
use decode::{Batcher, Job};

/// The options of the server.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// The policy's folder: config.json, model.safetensors, tokenizer.json.
    #[arg(long)]
    model: PathBuf,
    /// Port; 0 takes any free one and prints it.
    #[arg(long, default_value_t = 8000)]
    port: u16,
    /// Address to listen on.
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    host: IpAddr,
    /// The domain it was trained on: its prompt then stands in for every system message, and its tools for absent ones.
    #[arg(long)]
    domain: Option<PathBuf>,
    /// The message format: compact, chatml or qwen25. Without it, the first that the tokenizer has the tokens for.
    #[arg(long)]
    format: Option<String>,
    /// Answers decoded at a time.
    #[arg(long, default_value_t = 32)]
    slots: usize,
}

/// Serves until asked to stop.
///
/// # Errors
/// The model's folder or the domain's cannot be used, or the port is taken.
pub fn run(options: &Options, stop: Stop) -> Result<(), Failure> {
    let (service, batcher) = Service::load(options)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(Failure::infra)?;
    let address = SocketAddr::new(options.host, options.port);
    let ended = runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(address).await.map_err(|e| {
            Failure::Infra(format!(
                "listening on {address}: {e}; name another --port, or 0 for a free one"
            ))
        })?;
        let bound = listener.local_addr().map_err(Failure::infra)?;
        println!("serving {} on http://{bound}/v1", service.name);
        axum::serve(listener, routes(Arc::new(service)))
            .with_graceful_shutdown(async move { stop.requested().await })
            .await
            .map_err(Failure::infra)
    });
    // The service, and with it the batcher's queue, is gone: the thread ends.
    batcher.join();
    ended
}

/// The state that all handlers share.
struct Service {
    name: String,
    vocab: Arc<Tokenizer>,
    format: Box<dyn Renderer>,
    domain: Option<(String, Vec<ToolSpec>)>,
    max_len: usize,
    started: u64,
    asked: AtomicU64,
    queue: std::sync::mpsc::Sender<Job>,
}

impl Service {
    fn load(options: &Options) -> Result<(Self, Batcher), Failure> {
        let decoder = Decoder::load(&options.model).map_err(Failure::input)?;
        let vocab = Tokenizer::load(&options.model).map_err(Failure::input)?;
        vocab.check(decoder.config()).map_err(Failure::input)?;
        let format = format_of(options.format.as_deref(), &vocab, decoder.config())?;
        let domain = match &options.domain {
            Some(dir) => agoge_servers::load(dir)
                .map(|d| Some((d.prompt, d.tools)))
                .map_err(Failure::input)?,
            None => None,
        };
        let max_len = decoder.config().max_position_embeddings;
        let stop = format.stop(&vocab);
        let (queue, batcher) =
            Batcher::start(decoder, options.slots.max(1), max_len, stop).map_err(Failure::infra)?;
        let name = options
            .model
            .file_name()
            .map_or_else(|| "policy".into(), |n| n.to_string_lossy().into_owned());
        let vocab = Arc::new(vocab);
        let service = Self {
            name,
            vocab,
            format,
            domain,
            max_len,
            started: now(),
            asked: AtomicU64::new(0),
            queue,
        };
        Ok((service, batcher))
    }
}

/// The format asked for, or the first whose special tokens the tokenizer has.
fn format_of(
    asked: Option<&str>,
    vocab: &Tokenizer,
    config: &ModelConfig,
) -> Result<Box<dyn Renderer>, Failure> {
    if let Some(name) = asked {
        let format = renderer(name).ok_or_else(|| {
            Failure::Input(format!(
                "--format {name} is not known; compact, chatml and qwen25 are"
            ))
        })?;
        format.check(vocab).map_err(Failure::Input)?;
        return Ok(format);
    }
    let family = if config.model_type == "qwen2" {
        ["compact", "qwen25"]
    } else {
        ["compact", "chatml"]
    };
    let mut known = family.into_iter().filter_map(renderer);
    known.find(|format| format.check(vocab).is_ok()).ok_or_else(|| {
        Failure::Input("the tokenizer has the special tokens of no known format; it needs those of compact, chatml or qwen25".into())
    })
}

fn routes(service: Arc<Service>) -> Router {
    Router::new()
        .route("/v1/chat/completions", post(chat))
        .route("/v1/models", get(models))
        .route(
            "/health",
            get(|| async { axum::Json(json!({"status": "ok"})) }),
        )
        .fallback(|| async {
            ApiError::new(
                StatusCode::NOT_FOUND,
                "there is no such path; see /v1/models",
                None,
            )
        })
        .with_state(service)
}

async fn models(State(service): State<Arc<Service>>) -> axum::Json<Value> {
    let model = json!({"id": service.name, "object": "model", "created": service.started, "owned_by": "agoge",
        "max_model_len": service.max_len});
    axum::Json(json!({"object": "list", "data": [model]}))
}

async fn chat(State(service): State<Arc<Service>>, body: Bytes) -> Response {
    match answer(&service, &body).await {
        Ok(value) => axum::Json(value).into_response(),
        Err(error) => error.into_response(),
    }
}

async fn answer(service: &Service, body: &[u8]) -> Result<Value, ApiError> {
    let request = ChatRequest::read(body)?;
    let prompt = request.prompt(
        service.format.as_ref(),
        service.vocab.as_ref(),
        service.domain.as_ref(),
    );
    let room = service.max_len.saturating_sub(prompt.len());
    if room == 0 {
        let message = format!(
            "the prompt has {} tokens, the policy's length is {}",
            prompt.len(),
            service.max_len
        );
        return Err(ApiError::bad(message, Some("messages")));
    }
    let number = service.asked.fetch_add(1, Ordering::Relaxed);
    let (reply, done) = tokio::sync::oneshot::channel();
    let job = Job {
        prompt: prompt.clone(),
        choices: request.choices,
        max_new: request.max_tokens.min(room),
        temperature: request.temperature,
        seed: request.seed.unwrap_or_else(random_seed),
        reply,
    };
    let stopped = || {
        ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "the decoder has stopped; start the server again",
            None,
        )
    };
    service.queue.send(job).map_err(|_| stopped())?;
    let generations = done.await.map_err(|_| stopped())?;
    let generations = generations
        .map_err(|reason| ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, &reason, None))?;
    let format = (service.format.as_ref(), service.vocab.as_ref());
    let choices: Vec<Value> = generations
        .iter()
        .enumerate()
        .map(|(n, g)| api::choice(format, number, n, g, request.logprobs))
        .collect();
    let sampled: usize = generations.iter().map(|g| g.ids.len()).sum();
    Ok(json!({
        "id": format!("chatcmpl-{number}"), "object": "chat.completion", "created": now(), "model": service.name,
        "choices": choices, "prompt_token_ids": prompt,
        "usage": {"prompt_tokens": prompt.len(), "completion_tokens": sampled, "total_tokens": prompt.len() + sampled},
    }))
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |d| d.as_secs())
}

/// The standard library's hash keys are random in each process and differ from call to call.
fn random_seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0)
}

#[cfg(test)]
mod tests;
