//! Asks every endpoint that manifests name for a few tokens, so that one that is down, stalls or is no chat API is told
//! before an hour of work, with the field that names it. The probe asks as the run will: with the same fields, and with
//! what the model's binding adds to them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use agoge_contract::Endpoint;
use agoge_crds::Problem;
use agoge_crds::shared::EndpointBinding;
use agoge_dialogue::{Message, ToolSpec};
use agoge_llm::{Client, Fault, Kind, LlmError, Meter, Request};
use agoge_synthesis::binding;

use crate::manifest::{Source, problem};
use crate::resolve::named;

/// The longest outage that a probe waits out.
const PATIENCE: Duration = Duration::from_secs(2);
/// Generated tokens of its answer.
const TOKENS: u32 = 16;

/// Endpoints that do not answer within `timeout` as a chat API does; each URL and model is asked once.
#[must_use]
pub fn endpoints(
    asked: &[(&Source, &BTreeMap<String, Endpoint>)],
    timeout: Duration,
) -> Vec<Problem> {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    else {
        return vec![];
    };
    let mut answers: BTreeMap<_, Result<(), String>> = BTreeMap::new();
    let mut problems = vec![];
    for (source, resolved) in asked {
        for (field, binding) in named(&source.manifest) {
            let Some(endpoint) = resolved.get(&binding.endpoint) else {
                continue;
            };
            let (model, path) = (binding.model.clone(), binding.path.clone());
            let key = (endpoint.url.clone(), model, path);
            let answer = answers.entry(key).or_insert_with(|| {
                let one = ask(endpoint, &binding, timeout);
                runtime.block_on(one).map_err(|error| error.to_string())
            });
            if let Err(why) = answer {
                let message = format!("{}: {why}", binding.endpoint);
                let remedy = format!(
                    "or name another address with --endpoint {}=URL",
                    binding.endpoint
                );
                problems.push(problem(&source.file, &field, &message, &remedy));
            }
        }
    }
    problems
}

async fn ask(
    endpoint: &Endpoint,
    binding: &EndpointBinding,
    timeout: Duration,
) -> Result<(), LlmError> {
    let temperature = binding.temperature.unwrap_or(0.0);
    answers(&client(endpoint, binding, timeout)?, temperature, &[]).await
}

/// A client of a resolved endpoint that waits out no outage to speak of.
///
/// # Errors
/// A URL that is none.
pub fn client(
    endpoint: &Endpoint,
    binding: &EndpointBinding,
    timeout: Duration,
) -> Result<Client, LlmError> {
    let mut to = binding::endpoint(&endpoint.url, binding, PATIENCE);
    to.patience = PATIENCE;
    to.key = endpoint
        .key_variable
        .as_ref()
        .and_then(|variable| std::env::var(variable).ok());
    to.timeout = timeout;
    Client::new(to, Arc::new(Meter::default()))
}

/// Checks that an endpoint answers as a chat API does, by a request for a few tokens that has every field of a run's
/// requests, and these tools.
///
/// # Errors
/// When it does not; the message says what it does instead.
pub async fn answers(
    client: &Client,
    temperature: f64,
    tools: &[ToolSpec],
) -> Result<(), LlmError> {
    let request = Request {
        tools: tools.to_vec(),
        temperature,
        seed: Some(0),
        stop: vec!["Result of".to_owned()],
        ..Request::new(vec![Message::user("Say yes.")], TOKENS)
    };
    match client.ask("probe", &request).await {
        Err(error) if !is_there(&error) => Err(error),
        _ => Ok(()),
    }
}

/// Returns true when the error of a probe shows an endpoint that a run can ask: a busy one, for which a run waits, and one that
/// replays recordings, which has no answer to a probe.
fn is_there(error: &LlmError) -> bool {
    matches!(
        error.kind,
        Kind::Record(_)
            | Kind::Lasting {
                fault: Fault::Busy { .. },
                ..
            }
    )
}

/// The HTTP status with which a URL answers.
///
/// # Errors
/// The endpoint's behaviour instead of an answer.
pub fn get(url: &str, timeout: Duration) -> Result<u16, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    runtime.block_on(async {
        // reqwest is built without a TLS provider of its own.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().timeout(timeout).build();
        let client = client.map_err(|error| error.to_string())?;
        let answer = client
            .get(url)
            .send()
            .await
            .map_err(|error| error.to_string())?;
        Ok(answer.status().as_u16())
    })
}
