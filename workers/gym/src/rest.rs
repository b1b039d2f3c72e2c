//! Plain HTTP: what the other faces lack, and all that a client of one's own needs.
//!
//! ```text
//! GET    /tasks?split=trainRl      the tasks' ids
//! POST   /sessions                 {task? | split?, index? | seed?, user?} -> {session, opening, policy, tools, mcp_url, ..}
//! GET    /sessions/{id}            task, dialogue, differences
//! POST   /sessions/{id}/call       {name, arguments, party?} -> {content, error}
//! POST   /sessions/{id}/say        {text} -> {reply, done};  {text, as: "user"} where the client plays the user
//! POST   /sessions/{id}/reset      as POST /sessions, for the same id
//! POST   /sessions/{id}/verify     {said?} -> {reward, parts}
//! DELETE /sessions/{id}
//! ```

use std::sync::Arc;

use agoge_dialogue::ToolSpec;
use agoge_world::{Party, Split};
use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::{get, post};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::catalog::Choice;
use crate::hall::Opened;
use crate::play::{Reply, Reward, StateOf};
use crate::refused::Refused;
use crate::serve::App;
use crate::session::SessionId;

type Answer<T> = Result<Json<T>, Refused>;
type Shared = State<Arc<App>>;

/// The routes of this face.
pub(crate) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/tasks", get(tasks))
        .route("/sessions", post(begin))
        .route("/sessions/{id}", get(state).delete(close))
        .route("/sessions/{id}/call", post(call))
        .route("/sessions/{id}/say", post(say))
        .route("/sessions/{id}/reset", post(reset))
        .route("/sessions/{id}/verify", post(verify))
}

/// Reads the JSON body of a request; an empty one is `{}`.
///
/// # Errors
/// [`Refused::Bad`], which names the place.
pub(crate) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refused> {
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body)
        .map_err(|error| Refused::Bad(format!("the request's body cannot be read: {error}")))
}

/// Tools in the shape of OpenAI's chat API.
fn tools(tools: &[ToolSpec]) -> Vec<Value> {
    tools.iter().map(ToolSpec::to_openai).collect()
}

/// The server and its domain, for people and probes. It needs no token, so it says little.
pub(crate) async fn root() -> Json<Value> {
    Json(json!({"status": "ok", "server": "agoge env", "version": env!("CARGO_PKG_VERSION")}))
}

pub(crate) async fn health() -> Json<Value> {
    Json(json!({"status": "healthy"}))
}

#[derive(Deserialize)]
struct Which {
    split: Option<Split>,
}

async fn tasks(State(app): Shared, Query(which): Query<Which>) -> Json<Value> {
    let entries = app.hall.catalog().list(which.split);
    let tasks: Vec<Value> = entries
        .map(|entry| {
            let task = &entry.task;
            json!({"id": task.id, "split": entry.split, "branch": task.branch, "opening": task.user.opening})
        })
        .collect();
    let splits: Map<String, Value> = app
        .hall
        .catalog()
        .splits()
        .map(|(split, n)| (split.as_str().to_owned(), json!(n)))
        .collect();
    let domain = app.hall.domain();
    Json(json!({
        "domain": domain.name, "digest": domain.digest, "policy": domain.policy, "prompt": domain.prompt,
        "tools": tools(&app.tools()), "splits": splits, "tasks": tasks,
    }))
}

/// A request to begin a session.
#[derive(Deserialize)]
struct Begin {
    #[serde(flatten)]
    choice: Choice,
    /// True for a client that plays the user itself: the answer then has the user's instruction and tools.
    #[serde(default)]
    user: bool,
}

async fn begin(
    State(app): Shared,
    headers: HeaderMap,
    body: Bytes,
) -> Result<(StatusCode, Json<Value>), Refused> {
    let begin: Begin = read(&body)?;
    let opened = app.hall.begin(&begin.choice).await?;
    Ok((
        StatusCode::CREATED,
        described(&app, &headers, &opened, begin.user)?,
    ))
}

async fn reset(
    State(app): Shared,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer<Value> {
    let begin: Begin = read(&body)?;
    let same = begin.choice == Choice::default();
    let choice = (!same).then_some(&begin.choice);
    let opened = app.hall.reset(id.parse()?, choice).await?;
    described(&app, &headers, &opened, begin.user)
}

/// A session with all that an agent needs to begin.
fn described(app: &App, headers: &HeaderMap, opened: &Opened, user: bool) -> Answer<Value> {
    let domain = app.hall.domain();
    let mut answer = serde_json::to_value(opened)
        .map_err(|error| Refused::Stopped(format!("the session cannot be written: {error}")))?;
    answer["policy"] = json!(domain.policy);
    answer["prompt"] = json!(domain.prompt);
    answer["tools"] = json!(tools(&app.tools()));
    answer["mcp_url"] = json!(format!("{}/mcp/{}", base(app, headers), opened.session));
    if user {
        let choice = Choice {
            task: Some(opened.task.clone()),
            ..Choice::default()
        };
        let script = app.hall.catalog().choose(&choice)?;
        let script = &script.task.user;
        answer["user"] = json!({
            "instruction": script.instruction, "persona": script.persona, "tools": tools(domain.tools_of(Party::User)),
        });
    }
    Ok(Json(answer))
}

/// The address under which a client reaches the server.
fn base(app: &App, headers: &HeaderMap) -> String {
    if let Some(url) = &app.public_url {
        return url.trim_end_matches('/').to_owned();
    }
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    format!("http://{}", host.unwrap_or("localhost"))
}

async fn state(State(app): Shared, Path(id): Path<String>) -> Answer<StateOf> {
    Ok(Json(app.hall.state(id.parse()?).await?))
}

async fn close(State(app): Shared, Path(id): Path<String>) -> Result<StatusCode, Refused> {
    let id: SessionId = id.parse()?;
    match app.hall.close(id) {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Refused::NoSession),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Call {
    name: String,
    #[serde(default)]
    arguments: Map<String, Value>,
    #[serde(default)]
    party: Side,
}

/// A side of the dialogue, as requests write it.
#[derive(Clone, Copy, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Side {
    #[default]
    Agent,
    User,
}

async fn call(State(app): Shared, Path(id): Path<String>, body: Bytes) -> Answer<Value> {
    let call: Call = read(&body)?;
    let party = match call.party {
        Side::Agent => Party::Agent,
        Side::User => Party::User,
    };
    let id = id.parse()?;
    let result = match party {
        Party::Agent => app.act(id, &call.name, call.arguments).await?,
        Party::User => app.hall.call(id, party, &call.name, call.arguments).await?,
    };
    Ok(Json(
        json!({"content": result.content, "error": result.error}),
    ))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Say {
    text: String,
    #[serde(default, rename = "as")]
    side: Side,
}

async fn say(State(app): Shared, Path(id): Path<String>, body: Bytes) -> Answer<Reply> {
    let say: Say = read(&body)?;
    let id = id.parse()?;
    if say.side == Side::User {
        app.hall.hear(id, say.text).await?;
        return Ok(Json(Reply {
            reply: String::new(),
            done: false,
        }));
    }
    Ok(Json(app.hall.say(id, say.text).await?))
}

/// A request to judge a session.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Verify {
    /// The agent's texts, where they were not told by `say`.
    said: Vec<String>,
}

async fn verify(State(app): Shared, Path(id): Path<String>, body: Bytes) -> Answer<Reward> {
    let verify: Verify = read(&body)?;
    Ok(Json(app.hall.verify(id.parse()?, verify.said).await?))
}
