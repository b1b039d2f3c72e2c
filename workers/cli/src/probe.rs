//! Asks every endpoint that manifests name for one token, so that one that is down, stalls or is no chat API is told before
//! an hour of work, with the field that names it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use agoge_contract::Endpoint;
use agoge_crds::Problem;
use agoge_dialogue::Message;
use agoge_llm::{Client, LlmError, Meter, Request};

use crate::manifest::{Source, problem};
use crate::resolve::named;

/// Endpoints that do not answer within `patience` as a chat API does; each URL and model is asked once.
#[must_use]
pub fn endpoints(
    asked: &[(&Source, &BTreeMap<String, Endpoint>)],
    patience: Duration,
) -> Vec<Problem> {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    else {
        return vec![];
    };
    let mut answers: BTreeMap<(String, Option<String>), Result<(), String>> = BTreeMap::new();
    let mut problems = vec![];
    for (source, resolved) in asked {
        for (field, binding) in named(&source.manifest) {
            let Some(endpoint) = resolved.get(&binding.endpoint) else {
                continue;
            };
            let key = (endpoint.url.clone(), binding.model.clone());
            let answer = answers.entry(key).or_insert_with(|| {
                let one = ask(endpoint, binding.model.clone(), patience);
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
    model: Option<String>,
    patience: Duration,
) -> Result<(), LlmError> {
    answers(&client(endpoint, model, patience, 1)?).await
}

/// A client of a resolved endpoint that gives up after a second try.
///
/// # Errors
/// A URL that is none.
pub fn client(
    endpoint: &Endpoint,
    model: Option<String>,
    timeout: Duration,
    concurrency: u32,
) -> Result<Client, LlmError> {
    let mut to = agoge_llm::Endpoint::new(&endpoint.url);
    to.key = endpoint
        .key_variable
        .as_ref()
        .and_then(|variable| std::env::var(variable).ok());
    to.model = model;
    to.timeout = timeout;
    to.tries = 2;
    to.concurrency = concurrency as usize;
    Client::new(to, Arc::new(Meter::default()))
}

/// Checks that an endpoint answers as a chat API does, by a request for one token.
///
/// # Errors
/// When it does not; the message says what it does instead.
pub async fn answers(client: &Client) -> Result<(), LlmError> {
    client
        .ask("probe", &Request::new(vec![Message::user("Say yes.")], 1))
        .await
        .map(drop)
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
