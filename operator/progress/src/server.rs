//! The server: `POST /v1/progress` over TLS.

use crate::board::{Board, Report};
use crate::ca::{CaError, Serving};
use crate::review::{Review, ReviewError};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_LENGTH, RETRY_AFTER};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, header::HeaderValue};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

/// The largest body, in bytes.
pub const MAX_BODY: usize = 64 << 10;
const MAX_TOKEN: usize = 16 << 10;
const CONNECTIONS: usize = 1024;
/// How long a handshake, a head or a body may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a connection may last in all.
const CONNECTION_FOR: Duration = Duration::from_secs(10 * 60);

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// 204: the report is on the board.
    Accepted,
    /// 400: the body is no report.
    Malformed,
    /// 401: no token, or one that proves no Pod.
    Unauthenticated,
    /// 403: not the Pod's own child and shard, or the Pod is gone.
    Forbidden,
    /// 404: not a path or method of this server.
    NotFound,
    /// 408: the body did not come in time.
    Slow,
    /// 413: the body is larger than [`MAX_BODY`].
    TooLarge,
    /// 429: too soon after the last one, or too much at once.
    TooMany,
    /// 503: the token could not be judged.
    Unavailable,
}

impl Outcome {
    /// Every one, with the name it has in metrics.
    pub const ALL: [(Self, &'static str); 9] = [
        (Self::Accepted, "accepted"),
        (Self::Malformed, "malformed"),
        (Self::Unauthenticated, "unauthenticated"),
        (Self::Forbidden, "forbidden"),
        (Self::NotFound, "not_found"),
        (Self::Slow, "slow"),
        (Self::TooLarge, "too_large"),
        (Self::TooMany, "too_many"),
        (Self::Unavailable, "unavailable"),
    ];

    fn status(self) -> StatusCode {
        match self {
            Self::Accepted => StatusCode::NO_CONTENT,
            Self::Malformed => StatusCode::BAD_REQUEST,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Slow => StatusCode::REQUEST_TIMEOUT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooMany => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// How many requests had which outcome. Clones share the counts.
#[derive(Clone, Debug, Default)]
pub struct Counters(Arc<[AtomicU64; Outcome::ALL.len()]>);

impl Counters {
    /// The names and counts, in a fixed order.
    pub fn snapshot(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        Outcome::ALL
            .iter()
            .zip(self.0.iter())
            .map(|((_, name), count)| (*name, count.load(Ordering::Relaxed)))
    }

    fn count(&self, outcome: Outcome) {
        self.0[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }
}

/// The server's parts.
pub struct Server {
    /// Its certificate.
    pub serving: Arc<Serving>,
    /// Judges tokens; a [`crate::Cached`] one.
    pub review: Arc<dyn Review>,
    /// Where reports go.
    pub board: Board,
    /// Counts outcomes.
    pub counters: Counters,
}

impl Server {
    /// Serves until `shutdown` resolves; connections under way then end at once.
    ///
    /// # Errors
    /// [`CaError::Use`] when TLS cannot be set up.
    pub async fn serve(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), CaError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::<Serving>::clone(&self.serving));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let server = Arc::new(self);
        let mut connections = tokio::task::JoinSet::new();
        tokio::select! {
            () = server.accept(&listener, &acceptor, &mut connections) => {}
            () = server.serving.keep_fresh() => {}
            () = shutdown => {}
        }
        connections.shutdown().await;
        Ok(())
    }

    async fn accept(
        self: &Arc<Self>,
        listener: &TcpListener,
        acceptor: &TlsAcceptor,
        connections: &mut tokio::task::JoinSet<()>,
    ) {
        let free = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            while connections.try_join_next().is_some() {}
            // When all are taken, callers wait in the kernel's queue.
            let Ok(place) = Arc::clone(&free).acquire_owned().await else {
                return;
            };
            match listener.accept().await {
                Ok((stream, _)) => {
                    let (server, acceptor) = (Arc::clone(self), acceptor.clone());
                    connections.spawn(async move {
                        let _ = timeout(CONNECTION_FOR, server.connection(stream, acceptor)).await;
                        drop(place);
                    });
                }
                // Out of file descriptors, say: what others hold may be free soon.
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    async fn connection(self: Arc<Self>, stream: TcpStream, acceptor: TlsAcceptor) {
        let stream = match timeout(PATIENCE, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return tracing::debug!(%error, "a TLS handshake failed"),
            Err(_) => return tracing::debug!("a TLS handshake took too long"),
        };
        let service = service_fn(move |request| {
            let server = Arc::clone(&self);
            async move { Ok::<_, Infallible>(server.answer(request).await) }
        });
        let served = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(PATIENCE)
            .max_buf_size(MAX_BODY)
            .serve_connection(TokioIo::new(stream), service);
        if let Err(error) = served.await {
            tracing::debug!(%error, "a connection ended");
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Empty<Bytes>> {
        let outcome = self.handle(request).await;
        self.counters.count(outcome);
        let mut response = Response::new(Empty::new());
        *response.status_mut() = outcome.status();
        if matches!(outcome, Outcome::TooMany | Outcome::Unavailable) {
            response
                .headers_mut()
                .insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }

    async fn handle(&self, request: Request<Incoming>) -> Outcome {
        if request.uri().path() != "/v1/progress" || request.method() != Method::POST {
            return Outcome::NotFound;
        }
        let Some(token) = bearer(&request) else {
            return Outcome::Unauthenticated;
        };
        let said = request
            .headers()
            .get(CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse().ok());
        if said.is_some_and(|length: u64| length > MAX_BODY as u64) {
            return Outcome::TooLarge;
        }
        // Before the body is read: a stranger's is not.
        let who = match self.review.review(&token).await {
            Ok(Some(who)) => who,
            Ok(None) => return Outcome::Unauthenticated,
            Err(ReviewError::Busy) => return Outcome::TooMany,
            Err(error) => {
                tracing::warn!(%error, "a token could not be reviewed");
                return Outcome::Unavailable;
            }
        };
        let body = match timeout(
            PATIENCE,
            Limited::new(request.into_body(), MAX_BODY).collect(),
        )
        .await
        {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(error)) if error.is::<LengthLimitError>() => return Outcome::TooLarge,
            Ok(Err(_)) => return Outcome::Malformed,
            Err(_) => return Outcome::Slow,
        };
        match serde_json::from_slice::<Report>(&body) {
            Ok(report) => self.board.submit(&who, report, body.len()),
            Err(_) => Outcome::Malformed,
        }
    }
}

fn bearer(request: &Request<Incoming>) -> Option<String> {
    let value = request.headers().get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let good =
        scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() && token.len() <= MAX_TOKEN;
    good.then(|| token.trim().to_owned())
}
