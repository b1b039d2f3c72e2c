//! The client of one OpenAI-compatible endpoint.
//!
//! Requests in flight are bounded; one that waits for a retry keeps its place, so that a busy endpoint gets fewer
//! requests. A request is retried only when the endpoint cannot have begun to work on it: no connection, or status 429 or
//! 503 (after `Retry-After`, if given). After any other failure the caller decides, and the error says that tokens may
//! have been paid for.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use reqwest::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use reqwest::{Response, Url};
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::answer::{Answer, Usage};
use crate::error::{Kind, LlmError};
use crate::meter::{Meter, Price};
use crate::record::{RecordError, Recordings};
use crate::request::Request;
use crate::retry;

/// The longest answer that is read, in bytes.
const MOST: usize = 16 << 20;

/// Header with the item that asks.
pub const ITEM: &str = "x-agoge-item";
/// Header that says how many answers to this request the item had before.
pub const ORDINAL: &str = "x-agoge-ordinal";

/// Where a model is and how to ask it.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Base URL. `/v1/chat/completions` is appended; a `/v1` at its end is not doubled.
    pub url: String,
    /// API key.
    pub key: Option<String>,
    /// The model, where the endpoint serves several.
    pub model: Option<String>,
    /// Requests in flight at most.
    pub concurrency: usize,
    /// The longest time that one answer may take.
    pub timeout: Duration,
    /// The number of times a request is tried where that is safe.
    pub tries: u32,
    /// The price of tokens.
    pub price: Price,
}

impl Endpoint {
    /// An endpoint at this URL: four requests in flight, three minutes an answer.
    #[must_use]
    pub fn new(url: &str) -> Self {
        Self {
            url: url.into(),
            key: None,
            model: None,
            concurrency: 4,
            timeout: Duration::from_secs(180),
            tries: retry::TRIES,
            price: Price::default(),
        }
    }
}

/// A model that is a function of item and request, for tests and demonstrations.
type Script = dyn Fn(&str, &Request) -> String + Send + Sync;

#[derive(Clone)]
struct Scripted(Arc<Script>);

impl std::fmt::Debug for Scripted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Scripted")
    }
}

/// A client. Clones share connections, places and meter.
#[derive(Clone, Debug)]
pub struct Client {
    endpoint: Arc<Endpoint>,
    chat: Url,
    http: reqwest::Client,
    places: Arc<Semaphore>,
    meter: Arc<Meter>,
    recordings: Option<Arc<Recordings>>,
    script: Option<Scripted>,
}

impl Client {
    /// A client that counts in `meter`. Nothing is asked yet.
    ///
    /// # Errors
    /// When the URL is not one.
    pub fn new(endpoint: Endpoint, meter: Arc<Meter>) -> Result<Self, LlmError> {
        let fail = |kind| LlmError {
            endpoint: endpoint.url.clone(),
            kind,
        };
        let base = endpoint.url.trim_end_matches('/');
        let base = base.strip_suffix("/v1").unwrap_or(base);
        let chat = Url::parse(&format!("{base}/v1/chat/completions"))
            .map_err(|e| fail(Kind::Url(e.to_string())))?;
        if !matches!(chat.scheme(), "http" | "https") {
            return Err(fail(Kind::Url(format!("{}: is not http", chat.scheme()))));
        }
        // Fails when a provider is installed already: then there is one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut http = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(10))
            .timeout(endpoint.timeout);
        if matches!(chat.host_str(), Some("127.0.0.1" | "localhost" | "[::1]")) {
            http = http.no_proxy();
        }
        let http = http.build().map_err(|e| fail(Kind::Url(e.to_string())))?;
        Ok(Self {
            places: Arc::new(Semaphore::new(endpoint.concurrency.max(1))),
            endpoint: Arc::new(endpoint),
            chat,
            http,
            meter,
            recordings: None,
            script: None,
        })
    }

    /// A client whose model is a function: it answers at once, and its tokens are a quarter of the characters.
    ///
    /// # Errors
    /// None in practice; the signature is [`Client::new`]'s.
    pub fn scripted(
        meter: Arc<Meter>,
        script: impl Fn(&str, &Request) -> String + Send + Sync + 'static,
    ) -> Result<Self, LlmError> {
        let endpoint = Endpoint {
            model: Some("scripted".into()),
            ..Endpoint::new("http://scripted.invalid")
        };
        let mut client = Self::new(endpoint, meter)?;
        client.script = Some(Scripted(Arc::new(script)));
        Ok(client)
    }

    /// Keeps answers in recordings, or takes them from there.
    #[must_use]
    pub fn with_recordings(mut self, recordings: Arc<Recordings>) -> Self {
        self.recordings = Some(recordings);
        self
    }

    /// Returns the meter that counts its tokens.
    #[must_use]
    pub fn meter(&self) -> &Arc<Meter> {
        &self.meter
    }

    /// Returns the cost of an exchange with it, in dollars.
    #[must_use]
    pub fn cost(&self, usage: &Usage) -> f64 {
        self.endpoint.price.of(usage)
    }

    /// The model's name, as it is asked for.
    #[must_use]
    pub fn model(&self) -> &str {
        self.endpoint.model.as_deref().unwrap_or("default")
    }

    /// Requests in flight at most.
    #[must_use]
    pub fn concurrency(&self) -> usize {
        self.endpoint.concurrency.max(1)
    }

    /// Returns true when answers come from recordings.
    #[must_use]
    pub fn replays(&self) -> bool {
        self.recordings.as_ref().is_some_and(|r| r.replays())
    }

    /// Asks on behalf of an item; recordings tell answers apart by it.
    ///
    /// # Errors
    /// [`LlmError`]: the budget is used up, or there is no answer.
    pub async fn ask(&self, item: &str, request: &Request) -> Result<Answer, LlmError> {
        if let Some(what) = self.meter.exhausted() {
            return Err(self.fail(Kind::Budget(what)));
        }
        let Some(tape) = &self.recordings else {
            return self.live(item, request).await;
        };
        let digest = request.digest(self.model());
        let ordinal = tape.next(&digest, item);
        match tape.find(&digest, item, ordinal) {
            Ok(answer) => {
                self.meter.charge(&answer.usage, &self.endpoint.price);
                return Ok(answer);
            }
            Err(missing) if tape.replays() => return Err(self.fail(missing.into())),
            Err(_) => {}
        }
        let answer = self.live(item, request).await?;
        tape.keep(self.model(), &digest, item, ordinal, &answer)
            .map_err(|e| self.fail(e.into()))?;
        Ok(answer)
    }

    async fn live(&self, item: &str, request: &Request) -> Result<Answer, LlmError> {
        let body = request.body(self.model());
        let chars = body["messages"].to_string().chars().count();
        if let Some(script) = &self.script {
            let answer = Answer::of_text((script.0)(item, request), chars);
            self.meter.charge(&answer.usage, &self.endpoint.price);
            return Ok(answer);
        }
        // A semaphore that is never closed always gives a place.
        let _place = self.places.acquire().await;
        let ordinal = self.meter.ordinal(&request.digest(self.model()), item);
        let response = self.send(&body, item, ordinal).await?;
        let answer = self.read(response, chars, (item, ordinal)).await?;
        self.meter.charge(&answer.usage, &self.endpoint.price);
        Ok(answer)
    }

    /// Sends the request until the endpoint answers with something other than "later".
    ///
    /// Item and ordinal go along as headers: an endpoint that replays recordings finds its answers by them.
    async fn send(&self, body: &Value, item: &str, ordinal: u32) -> Result<Response, LlmError> {
        let most = self.endpoint.tries.max(1);
        for tries in 1.. {
            let mut request = self.http.post(self.chat.clone()).json(body);
            if let Ok(item) = HeaderValue::from_str(item) {
                request = request.header(ITEM, item).header(ORDINAL, ordinal);
            }
            if let Some(key) = &self.endpoint.key {
                request = request.bearer_auth(key);
            }
            let pause = match request.send().await {
                Ok(response) if !retry::is_safe(response.status().as_u16()) => return Ok(response),
                Ok(response) if tries >= most => {
                    let status = response.status().as_u16();
                    let said = beginning(&response.text().await.unwrap_or_default());
                    return Err(self.fail(Kind::Busy {
                        status,
                        tries,
                        said,
                    }));
                }
                Ok(response) => {
                    let after = response
                        .headers()
                        .get(RETRY_AFTER)
                        .and_then(|v| v.to_str().ok());
                    retry::wait(tries, after, SystemTime::now())
                }
                Err(error) if error.is_connect() => {
                    let why = root(&error);
                    if tries >= most {
                        return Err(self.fail(Kind::Down { why, tries }));
                    }
                    retry::wait(tries, None, SystemTime::now())
                }
                Err(error) if error.is_timeout() => {
                    return Err(self.fail(Kind::Stalled(self.endpoint.timeout)));
                }
                Err(error) => {
                    return Err(self.fail(Kind::Cut {
                        bytes: 0,
                        why: root(&error),
                    }));
                }
            };
            tracing::debug!(endpoint = %self.endpoint.url, tries, ?pause, "retrying");
            tokio::time::sleep(pause).await;
        }
        unreachable!("the loop returns at its last try")
    }

    async fn read(
        &self,
        mut response: Response,
        prompt_chars: usize,
        (item, ordinal): (&str, u32),
    ) -> Result<Answer, LlmError> {
        let status = response.status().as_u16();
        let html = response
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|v| v.to_str().ok())
            .is_some_and(|kind| kind.starts_with("text/html"));
        let mut bytes = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
                Ok(None) => break,
                Err(error) if error.is_timeout() => {
                    return Err(self.fail(Kind::Stalled(self.endpoint.timeout)));
                }
                Err(error) => {
                    let why = root(&error);
                    return Err(self.fail(Kind::Cut {
                        bytes: bytes.len(),
                        why,
                    }));
                }
            }
            if bytes.len() > MOST {
                let why = format!("it is longer than {} MiB", MOST >> 20);
                return Err(self.fail(Kind::Nonsense {
                    why,
                    shown: beginning(&String::from_utf8_lossy(&bytes)),
                }));
            }
        }
        let text = String::from_utf8_lossy(&bytes);
        let shown = beginning(&text);
        if html || text.trim_start().starts_with('<') {
            return Err(self.fail(Kind::Html { status, shown }));
        }
        if matches!(status, 401 | 403) {
            return Err(self.fail(Kind::Key { status }));
        }
        let value: Result<Value, _> = serde_json::from_str(&text);
        if !(200..300).contains(&status) {
            let code = value.as_ref().ok().and_then(|v| v.pointer("/error/code"));
            if let Some(error) = code
                .and_then(Value::as_str)
                .and_then(|code| RecordError::of_code(code, item, ordinal, &self.endpoint.url))
            {
                return Err(self.fail(error.into()));
            }
            let said = value.ok().and_then(|v| {
                v.pointer("/error/message")
                    .and_then(Value::as_str)
                    .map(str::to_owned)
            });
            return Err(self.fail(Kind::Status {
                status,
                said: said.unwrap_or(shown),
            }));
        }
        let value = value.map_err(|_| {
            let why = "it is not JSON".to_owned();
            self.fail(Kind::Nonsense {
                why,
                shown: shown.clone(),
            })
        })?;
        Answer::from_response(&value, prompt_chars)
            .map_err(|why| self.fail(Kind::Nonsense { why, shown }))
    }

    fn fail(&self, kind: Kind) -> LlmError {
        LlmError {
            endpoint: self.endpoint.url.clone(),
            kind,
        }
    }
}

fn beginning(text: &str) -> String {
    text.trim().chars().take(120).collect()
}

/// The innermost reason of an error: "connection refused" and not "error sending request".
fn root(error: &dyn std::error::Error) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}
