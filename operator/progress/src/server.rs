//! The server: `POST /v1/progress` over TLS.

use crate::board::{Board, Report};
use crate::ca::{CaError, Serving};
use crate::outcome::{Counters, Outcome};
use crate::review::{Review, ReviewError};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_LENGTH, RETRY_AFTER};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, header::HeaderValue};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

/// The largest body, in bytes.
pub const MAX_BODY: usize = 64 << 10;
/// The longest token, in bytes.
const MAX_TOKEN: usize = 16 << 10;
/// The most connections at a time.
const MAX_CONNECTIONS: usize = 1024;
/// The time in which a handshake, a head or a body must arrive.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The longest duration of a connection.
const MAX_CONNECTION_TIME: Duration = Duration::from_secs(10 * 60);

/// The server's parts.
pub struct Server {
    /// Its certificate.
    pub serving: Arc<Serving>,
    /// Reviews tokens; it should be [`crate::Cached`].
    pub review: Arc<dyn Review>,
    /// Keeps the reports.
    pub board: Board,
    /// Counts the outcomes.
    pub counters: Counters,
}

impl Server {
    /// Serves until `shutdown` resolves, which ends all connections at once.
    ///
    /// # Errors
    /// [`CaError::Use`] if TLS cannot be set up.
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
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        loop {
            while connections.try_join_next().is_some() {}
            // While all are taken, clients wait in the kernel's queue.
            let Ok(place) = Arc::clone(&places).acquire_owned().await else {
                return;
            };
            match listener.accept().await {
                Ok((stream, _)) => {
                    let (server, acceptor) = (Arc::clone(self), acceptor.clone());
                    connections.spawn(async move {
                        let _ =
                            timeout(MAX_CONNECTION_TIME, server.connection(stream, acceptor)).await;
                        drop(place);
                    });
                }
                // Out of file descriptors, for example: some may be free soon.
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    async fn connection(self: Arc<Self>, stream: TcpStream, acceptor: TlsAcceptor) {
        let stream = match timeout(TIMEOUT, acceptor.accept(stream)).await {
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
            .header_read_timeout(TIMEOUT)
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
        let announced = request
            .headers()
            .get(CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse().ok());
        if announced.is_some_and(|length: u64| length > MAX_BODY as u64) {
            return Outcome::TooLarge;
        }
        // The body is read only if the token is good.
        let identity = match self.review.review(&token).await {
            Ok(Some(identity)) => identity,
            Ok(None) => return Outcome::Unauthenticated,
            Err(ReviewError::Busy) => return Outcome::TooMany,
            Err(error) => {
                tracing::warn!(%error, "a token could not be reviewed");
                return Outcome::Unavailable;
            }
        };
        let body = match timeout(
            TIMEOUT,
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
            Ok(report) => self.board.submit(&identity, report, body.len()),
            Err(_) => Outcome::Malformed,
        }
    }
}

/// Returns the bearer token of a request.
fn bearer(request: &Request<Incoming>) -> Option<String> {
    let value = request.headers().get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let valid =
        scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() && token.len() <= MAX_TOKEN;
    valid.then(|| token.trim().to_owned())
}
