//! The client of one OpenAI-compatible endpoint.
//!
//! 1. A request waits for its place ([`crate::pace`]) and is written in the endpoint's dialect ([`crate::dialect`]).
//! 2. What comes back is classified ([`crate::exchange`]). An answer is charged and kept.
//! 3. A refusal that names a field changes the dialect, and the request is sent again at once.
//! 4. A fault that may pass is waited out ([`crate::retry`]) for as long as the endpoint's patience lasts. It is no attempt of
//!    the caller's: the caller sees an answer later, or an error when the outage lasts.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use parking_lot::RwLock;
use reqwest::header::HeaderValue;
use reqwest::{Response, Url};
use serde_json::Value;

use crate::address::Address;
use crate::answer::{Answer, Usage};
use crate::dialect::{Dialect, Manner};
use crate::error::{Because, Fault, Kind, LlmError, Refusal};
use crate::exchange::{Exchange, Wire, classify};
use crate::meter::{Meter, Price};
use crate::pace::Pace;
use crate::record::{RecordError, Recordings};
use crate::request::Request;
use crate::retry::{self, Now, Waiting};
use crate::trouble::Trouble;

/// The longest answer that is read, in bytes.
const MOST: usize = 16 << 20;

/// Header with the item that asks.
pub const ITEM: &str = "x-agoge-item";
/// Header that says how many answers to this request the item had before.
pub const ORDINAL: &str = "x-agoge-ordinal";
/// Header with the digest of the request in its common form, whatever the endpoint's dialect.
pub const DIGEST: &str = "x-agoge-request";

/// Where a model is and how to ask it.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Base URL. `/v1/chat/completions` is appended to a bare host, `/chat/completions` to a path.
    pub url: String,
    /// Path that replaces the one of the URL.
    pub path: Option<String>,
    /// API key.
    pub key: Option<String>,
    /// The model, where the endpoint serves several.
    pub model: Option<String>,
    /// Requests in flight at most.
    pub concurrency: usize,
    /// The longest time that one answer may take.
    pub timeout: Duration,
    /// The longest outage that is waited out; zero takes the first fault as an error.
    pub patience: Duration,
    /// The part of its dialect that is known.
    pub manner: Manner,
    /// The price of tokens.
    pub price: Price,
}

impl Endpoint {
    /// The longest outage that is waited out, where nothing else is asked for.
    pub const PATIENCE: Duration = Duration::from_secs(300);
    /// Environment variable with the patience of all endpoints that have none of their own, in seconds.
    pub const PATIENCE_VARIABLE: &str = "AGOGE_ENDPOINT_PATIENCE";

    /// Returns the patience that this machine's environment asks for.
    ///
    /// # Errors
    /// When the variable is not a number of seconds.
    pub fn patience_here() -> Result<Duration, String> {
        let Ok(text) = std::env::var(Self::PATIENCE_VARIABLE) else {
            return Ok(Self::PATIENCE);
        };
        let seconds = text.trim().parse::<f64>().ok();
        seconds
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
            .ok_or_else(|| {
                format!(
                    "{}={text} is not a number of seconds",
                    Self::PATIENCE_VARIABLE
                )
            })
    }

    /// An endpoint at this URL: four requests in flight, three minutes an answer, an outage of five minutes.
    #[must_use]
    pub fn new(url: &str) -> Self {
        Self {
            url: url.into(),
            path: None,
            key: None,
            model: None,
            concurrency: 4,
            timeout: Duration::from_secs(180),
            patience: Self::PATIENCE,
            manner: Manner::default(),
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

/// A client. Clones share connections, places, dialect and meter.
#[derive(Clone, Debug)]
pub struct Client {
    endpoint: Arc<Endpoint>,
    address: Arc<Address>,
    http: reqwest::Client,
    pace: Arc<Pace>,
    dialect: Arc<RwLock<Dialect>>,
    meter: Arc<Meter>,
    recordings: Option<Arc<Recordings>>,
    script: Option<Scripted>,
}

/// A question with the names by which its answer is found again.
struct Asked<'a> {
    item: &'a str,
    ordinal: u32,
    digest: &'a str,
}

impl Client {
    /// A client that counts in `meter`. Nothing is asked yet.
    ///
    /// # Errors
    /// When the URL is not one.
    pub fn new(endpoint: Endpoint, meter: Arc<Meter>) -> Result<Self, LlmError> {
        let fail = |why: String| LlmError {
            endpoint: endpoint.url.clone(),
            kind: Kind::Url(why),
        };
        let address = Address::of(&endpoint.url, endpoint.path.as_deref()).map_err(fail)?;
        // Fails when a provider is installed already: then there is one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut http = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(10))
            .timeout(endpoint.timeout)
            .redirect(redirects());
        if matches!(
            address.first.host_str(),
            Some("127.0.0.1" | "localhost" | "[::1]")
        ) {
            http = http.no_proxy();
        }
        let http = http.build().map_err(|e| fail(e.to_string()))?;
        Ok(Self {
            pace: Arc::new(Pace::new(endpoint.concurrency)),
            endpoint: Arc::new(endpoint),
            address: Arc::new(address),
            http,
            dialect: Arc::default(),
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

    /// A client that shares everything with this one and waits out outages of another length.
    #[must_use]
    pub fn with_patience(&self, patience: Duration) -> Self {
        let endpoint = Endpoint {
            patience,
            ..(*self.endpoint).clone()
        };
        Self {
            endpoint: Arc::new(endpoint),
            ..self.clone()
        }
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

    /// Returns the fault that the endpoint has at this moment: it has answered nothing since.
    #[must_use]
    pub fn outage(&self) -> Option<LlmError> {
        let fault = self.pace.fault()?;
        Some(self.fail(Kind::Lasting {
            fault,
            tries: 1,
            lasted_for: Duration::ZERO,
            others: false,
        }))
    }

    /// Lets all items whose names begin like this begin again: recordings answer them as before, and nothing is charged a
    /// second time. Returns false where nothing is recorded: the items would be asked and paid for again.
    ///
    /// # Errors
    /// When the recordings cannot be read.
    pub fn rewind(&self, item: &str) -> Result<bool, LlmError> {
        let Some(tape) = &self.recordings else {
            return Ok(false);
        };
        tape.rewind(item).map_err(|error| self.fail(error.into()))?;
        Ok(true)
    }

    /// Asks on behalf of an item; recordings tell answers apart by it.
    ///
    /// # Errors
    /// [`LlmError`]: the budget is used up, the endpoint refuses the request, or its outage lasts.
    pub async fn ask(&self, item: &str, request: &Request) -> Result<Answer, LlmError> {
        if let Some(what) = self.meter.exhausted() {
            return Err(self.fail(Kind::Budget(what)));
        }
        let digest = request.digest(self.model());
        let Some(tape) = &self.recordings else {
            return self.live(item, request, &digest).await;
        };
        let ordinal = tape.next(&digest, item);
        match tape.find(&digest, item, ordinal) {
            Ok(answer) => {
                if !tape.is_charged(&digest, item, ordinal) {
                    self.meter.charge(&answer.usage, &self.endpoint.price);
                }
                return Ok(answer);
            }
            Err(missing) if tape.replays() => return Err(self.fail(missing.into())),
            Err(_) => {}
        }
        let answer = match self.live(item, request, &digest).await {
            Ok(answer) => answer,
            Err(error) => {
                tape.unanswered(&digest, item, ordinal);
                return Err(error);
            }
        };
        tape.keep(self.model(), &digest, item, ordinal, &answer)
            .map_err(|e| self.fail(e.into()))?;
        Ok(answer)
    }

    async fn live(&self, item: &str, request: &Request, digest: &str) -> Result<Answer, LlmError> {
        let body = request.body(self.model());
        let chars = body["messages"].to_string().chars().count();
        if let Some(script) = &self.script {
            let answer = Answer::of_text((script.0)(item, request), chars);
            self.meter.charge(&answer.usage, &self.endpoint.price);
            return Ok(answer);
        }
        let _place = self.pace.place().await;
        let asked = Asked {
            item,
            ordinal: self.meter.ordinal(digest, item),
            digest,
        };
        let mut waiting = Waiting::default();
        loop {
            self.pace.open().await;
            let dialect = self.dialect.read().clone();
            let sent = dialect.write(&body, &self.endpoint.manner);
            let began = Instant::now();
            let wire = self.send(&dialect, &sent, &asked).await;
            let exchange = classify(&wire, chars, SystemTime::now());
            if self.is_elsewhere(&dialect, &exchange) {
                continue;
            }
            match exchange {
                Exchange::Answered(mut answer) => {
                    if dialect.ignores_stop() {
                        cut_at(&mut answer.text, &request.stop);
                    }
                    self.pace.answered(Instant::now());
                    self.meter.charge(&answer.usage, &self.endpoint.price);
                    return Ok(answer);
                }
                Exchange::Refused { status, trouble } => {
                    self.learn(dialect, status, &trouble, (&sent, &asked))?;
                }
                Exchange::Passing { fault, retry_after } => {
                    let pause = self.after(&mut waiting, &fault, retry_after, began)?;
                    tracing::debug!(endpoint = %self.endpoint.url, %fault, ?pause, "retrying");
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    /// Changes the dialect as a refusal asks for, or returns the refusal as an error.
    fn learn(
        &self,
        used: Dialect,
        status: u16,
        trouble: &Trouble,
        (sent, asked): (&Value, &Asked<'_>),
    ) -> Result<(), LlmError> {
        let replayed = RecordError::of_code(
            trouble.code.split(' ').next().unwrap_or_default(),
            asked.item,
            asked.ordinal,
            &self.endpoint.url,
        );
        if let Some(error) = replayed {
            return Err(self.fail(error.into()));
        }
        if status == 0 {
            return Err(self.fail(Kind::Refused(Refusal {
                status,
                said: trouble.shown(),
                because: Because::Unsent,
            })));
        }
        let mut dialect = self.dialect.write();
        // Another request has learned something since this one was sent.
        if *dialect != used {
            return Ok(());
        }
        let readable = matches!(status, 400 | 422) && !trouble.is_too_long();
        match used.without(trouble, sent).filter(|_| readable) {
            Some((next, change)) => {
                tracing::warn!(endpoint = %self.endpoint.url, said = trouble.shown(), "from now on {change}");
                *dialect = next;
                Ok(())
            }
            None => {
                let field = Dialect::named(trouble, sent);
                let refusal = trouble.refusal(status, field.as_deref());
                Err(self.fail(Kind::Refused(refusal)))
            }
        }
    }

    /// Returns true when there is nothing at the address, and the URL may mean another one that was not tried yet.
    fn is_elsewhere(&self, used: &Dialect, exchange: &Exchange) -> bool {
        let nothing = match exchange {
            Exchange::Refused { status, trouble } => trouble.is_address(*status),
            Exchange::Passing { fault, .. } => matches!(fault, Fault::Page { status: 404, .. }),
            Exchange::Answered(_) => false,
        };
        if !nothing || used.other_address || self.address.other.is_none() {
            return false;
        }
        self.dialect.write().other_address = true;
        true
    }

    /// Notes a fault and returns the pause after it, or the error when it lasts.
    fn after(
        &self,
        waiting: &mut Waiting,
        fault: &Fault,
        retry_after: Option<Duration>,
        began: Instant,
    ) -> Result<Duration, LlmError> {
        let now = Now {
            at: Instant::now(),
            answered: self.pace.answered_at(),
            patience: self.endpoint.patience,
            jitter: retry::jitter(),
        };
        let asked = retry_after.filter(|wait| *wait <= self.endpoint.patience);
        self.pace.failed(fault, began, now.at, asked);
        waiting
            .after(fault, retry_after, &now)
            .map_err(|kind| self.fail(kind))
    }

    /// Sends a request once.
    ///
    /// Item, ordinal and digest go along as headers: an endpoint that replays recordings finds its answers by them.
    async fn send(&self, dialect: &Dialect, body: &Value, asked: &Asked<'_>) -> Wire {
        let chat: &Url = match (&self.address.other, dialect.other_address) {
            (Some(other), true) => other,
            _ => &self.address.first,
        };
        let mut request = self.http.post(chat.clone()).json(body);
        if let Ok(item) = HeaderValue::from_str(asked.item) {
            request = request
                .header(ITEM, item)
                .header(ORDINAL, asked.ordinal)
                .header(DIGEST, asked.digest);
        }
        if let Some(key) = &self.endpoint.key {
            request = request.bearer_auth(key);
            // Deployments that are told apart by a version in the query want it here.
            if chat.query_pairs().any(|(name, _)| name == "api-version") {
                request = request.header("api-key", key);
            }
        }
        match request.send().await {
            Ok(response) => self.read(response).await,
            Err(error) => self.lost(&error, 0),
        }
    }

    /// Reads a response to its end.
    async fn read(&self, mut response: Response) -> Wire {
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => break,
                Err(error) => return self.lost(&error, body.len()),
            }
            if body.len() > MOST {
                return Wire::Broken {
                    bytes: body.len(),
                    why: format!("it is longer than {} MiB", MOST >> 20),
                };
            }
        }
        Wire::Response {
            status,
            headers,
            body,
        }
    }

    fn lost(&self, error: &reqwest::Error, bytes: usize) -> Wire {
        let why = root(error);
        if error.is_builder() {
            Wire::Unsent(why)
        } else if error.is_connect() {
            Wire::Down(why)
        } else if error.is_timeout() {
            Wire::Stalled(self.endpoint.timeout)
        } else {
            Wire::Broken { bytes, why }
        }
    }

    fn fail(&self, kind: Kind) -> LlmError {
        LlmError {
            endpoint: self.endpoint.url.clone(),
            kind,
        }
    }
}

/// Follows the redirects that keep a request as it is. Any other one would turn a question into a look at a page.
fn redirects() -> reqwest::redirect::Policy {
    reqwest::redirect::Policy::custom(|attempt| {
        let same = matches!(attempt.status().as_u16(), 307 | 308);
        match same && attempt.previous().len() < 5 {
            true => attempt.follow(),
            false => attempt.stop(),
        }
    })
}

/// Ends a text at the first of these texts that is in it.
fn cut_at(text: &mut String, stops: &[String]) {
    let places = stops.iter().filter(|stop| !stop.is_empty());
    if let Some(at) = places.filter_map(|stop| text.find(stop.as_str())).min() {
        text.truncate(at);
    }
}

/// The innermost reason of an error: "connection refused" and not "error sending request".
fn root(error: &dyn std::error::Error) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}
