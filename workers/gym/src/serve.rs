//! The server: every face under one router, behind the token, the rate and the size of a request.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use agoge_dialogue::ToolSpec;
use agoge_world::{Party, ToolResult};
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::access::{Token, is_local};
use crate::hall::Hall;
use crate::limits::Rate;
use crate::refused::Refused;
use crate::session::SessionId;
use crate::{mcp, nemo, openenv, rest};

/// Requests that are under way get this long once the server is asked to stop.
const GRACE: Duration = Duration::from_secs(5);
/// Idle sessions are looked for this often.
const SWEEP: Duration = Duration::from_secs(5);

/// The tool by which an agent speaks to the user.
pub const SAY: &str = "say_to_user";

fn say_tool() -> ToolSpec {
    ToolSpec {
        name: SAY.into(),
        description: "Says a text to the user and returns the user's answer. An answer with ### closes the dialogue."
            .into(),
        parameters: json!({
            "type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"],
            "additionalProperties": false,
        }),
    }
}

/// The state that all requests share.
#[derive(Debug)]
pub struct App {
    /// The sessions.
    pub hall: Hall,
    /// The token that requests must show; `None` lets everybody in.
    pub token: Option<Token>,
    /// The address under which clients reach the server, such as `https://env.example.org`; `None` takes that of the request.
    pub public_url: Option<String>,
    /// True to offer agents the tool [`SAY`], by which those speak to the user whose stack has no turns of a user.
    pub say_tool: bool,
    rate: Rate,
}

impl App {
    /// Returns the state of a server.
    #[must_use]
    pub fn new(hall: Hall, token: Option<Token>) -> Self {
        let rate = Rate::new(hall.limits().rate, Instant::now());
        Self {
            hall,
            token,
            public_url: None,
            say_tool: false,
            rate,
        }
    }

    /// The tools that an agent is offered.
    #[must_use]
    pub fn tools(&self) -> Vec<ToolSpec> {
        let mut tools = self.hall.domain().tools_of(Party::Agent).to_vec();
        tools.extend(self.says().then(say_tool));
        tools
    }

    /// Runs a call of an agent, that of [`SAY`] included.
    ///
    /// # Errors
    /// [`Refused`]; the tool's own errors are results.
    pub async fn act(
        &self,
        id: SessionId,
        name: &str,
        arguments: Map<String, Value>,
    ) -> Result<ToolResult, Refused> {
        if name != SAY || !self.says() {
            return self.hall.call(id, Party::Agent, name, arguments).await;
        }
        let Some(text) = arguments.get("text").and_then(Value::as_str) else {
            return Ok(ToolResult::error("`text` must be a text"));
        };
        let said = self.hall.say(id, text.to_owned()).await?;
        Ok(ToolResult {
            content: said.reply,
            ..ToolResult::default()
        })
    }

    /// Returns true when agents have [`SAY`]. A domain's own tool of that name goes before.
    fn says(&self) -> bool {
        self.say_tool && self.hall.domain().party(SAY).is_none()
    }

    /// Counts a request.
    ///
    /// # Errors
    /// [`Refused::TooFast`]
    pub fn count(&self) -> Result<(), Refused> {
        match self.rate.take(Instant::now()) {
            true => Ok(()),
            false => Err(Refused::TooFast),
        }
    }
}

/// Returns the routes of all faces.
pub fn router(app: Arc<App>) -> Router {
    let guarded = Router::new()
        .merge(rest::routes())
        .merge(openenv::routes())
        .merge(nemo::routes())
        .merge(mcp::routes(&app))
        .layer(DefaultBodyLimit::max(app.hall.limits().body_bytes))
        .layer(middleware::from_fn_with_state(app.clone(), guard));
    Router::new()
        .route("/", get(rest::root))
        .route("/health", get(rest::health))
        .merge(guarded)
        .with_state(app)
}

/// Lets a request through that shows the token and comes within the rate.
async fn guard(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let admitted = app
        .token
        .as_ref()
        .is_none_or(|token| token.admits(request.headers()));
    if !admitted {
        return Refused::Unauthorized.into_response();
    }
    if app.token.is_none() && !is_local(request.headers()) {
        return Refused::Foreign.into_response();
    }
    match app.count() {
        Ok(()) => next.run(request).await,
        Err(refused) => refused.into_response(),
    }
}

/// Serves until `stop` is ready, and closes idle sessions meanwhile.
///
/// # Errors
/// The listener fails.
pub async fn serve(
    listener: TcpListener,
    app: Arc<App>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let address: SocketAddr = listener.local_addr()?;
    tracing::info!(%address, domain = app.hall.domain().name, "the environment is served");
    let sweeper = tokio::spawn(sweep(app.clone()));
    let (stopping, stopped) = oneshot::channel();
    let asked = async move {
        stop.await;
        let _ = stopping.send(());
    };
    let served = axum::serve(listener, router(app)).with_graceful_shutdown(asked);
    let too_long = async move {
        if stopped.await.is_err() {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(GRACE).await;
    };
    let ended = tokio::select! {
        ended = served.into_future() => ended,
        () = too_long => Ok(()),
    };
    sweeper.abort();
    ended
}

async fn sweep(app: Arc<App>) {
    let mut ticks = tokio::time::interval(SWEEP);
    loop {
        ticks.tick().await;
        let closed = app.hall.sweep(Instant::now());
        if closed > 0 {
            tracing::debug!(closed, held = app.hall.held(), "idle sessions are closed");
        }
    }
}
