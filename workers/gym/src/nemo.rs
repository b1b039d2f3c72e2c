//! A resources server as NeMo Gym's agents use it: `/seed_session`, `/{tool}`, `/verify`, the session in a cookie.
//!
//! The row that an agent seeds a session with names its task: `task_id`, or `split` and `index`. A tool's answer is the text
//! that the agent reads. The texts that the agent said are taken from the response that it hands to `/verify`; its calls are
//! those that the session has run. A verdict that is not about the agent is an error of the request, which fails the
//! rollout.
//!
//! A tool whose name is one of the server's own paths, such as `reset`, is found under `/nemo/{tool}`; so are the others.

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::catalog::Choice;
use crate::refused::Refused;
use crate::rest::read;
use crate::serve::App;
use crate::session::SessionId;

/// The cookie that holds the session's id.
pub const COOKIE: &str = "agoge_session";

/// The routes of this face, at the root, where agents look for them, and under `/nemo`.
pub(crate) fn routes() -> Router<Arc<App>> {
    let face = || {
        Router::new()
            .route("/seed_session", post(seed))
            .route("/verify", post(verify))
            .route("/aggregate_metrics", post(aggregate))
            .route("/{tool}", post(tool))
    };
    Router::new().merge(face()).nest("/nemo", face())
}

async fn seed(State(app): State<Arc<App>>, body: Bytes) -> Result<Response, Refused> {
    let row: Map<String, Value> = read(&body)?;
    let opened = app.hall.begin(&choice(&row)?).await?;
    let id: SessionId = opened.session.parse()?;
    // Agents that speak MCP by themselves find their tools there.
    let mcp = json!({
        "server_name": app.hall.domain().name, "url_path": format!("/mcp/{id}"), "transport": "http", "headers": {},
    });
    Ok(with_cookie(Json(json!({"mcp": mcp})), id))
}

/// The task that a row names.
fn choice(row: &Map<String, Value>) -> Result<Choice, Refused> {
    let wrong = |error| Refused::Bad(format!("the row's task cannot be read: {error}"));
    let named = |name: &str| row.get(name).filter(|value| !value.is_null());
    let mut choice = Map::new();
    if let Some(task) = named("task_id").or_else(|| named("task")) {
        choice.insert("task".into(), task.clone());
    }
    for name in ["split", "index", "seed"] {
        choice.extend(named(name).map(|value| (name.to_owned(), value.clone())));
    }
    if choice.is_empty() {
        let message = "the row names no task; give it `task_id`, or `split` and `index`";
        return Err(Refused::Bad(message.into()));
    }
    serde_json::from_value(Value::Object(choice)).map_err(wrong)
}

async fn tool(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refused> {
    let id = session_of(&headers)?;
    let result = app.act(id, &name, read(&body)?).await?;
    Ok(with_cookie(result.content, id))
}

async fn verify(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refused> {
    let id = session_of(&headers)?;
    let mut row: Map<String, Value> = read(&body)?;
    let said = texts(row.get("response").unwrap_or(&Value::Null));
    let reward = app.hall.verify(id, said).await?;
    row.insert("reward".into(), json!(reward.reward));
    row.insert("parts".into(), json!(reward.parts));
    Ok(with_cookie(Json(row), id))
}

/// The texts of the agent in a response of the Responses API.
fn texts(response: &Value) -> Vec<String> {
    let items = response["output"].as_array().into_iter().flatten();
    let said = items.filter(|item| item["type"] == "message" && item["role"] == "assistant");
    said.filter_map(|item| match &item["content"] {
        Value::String(text) => Some(text.clone()),
        Value::Array(parts) => {
            let texts = parts.iter().filter_map(|part| part["text"].as_str());
            Some(texts.collect::<Vec<_>>().join(""))
        }
        _ => None,
    })
    .filter(|text| !text.trim().is_empty())
    .collect()
}

#[derive(Deserialize)]
struct Verified {
    verify_responses: Vec<Rewarded>,
}

#[derive(Deserialize)]
struct Rewarded {
    reward: f64,
}

/// The mean reward of verified rollouts.
async fn aggregate(body: Bytes) -> Result<Json<Value>, Refused> {
    let verified: Verified = read(&body)?;
    let rewards = verified.verify_responses;
    let sum: f64 = rewards.iter().map(|one| one.reward).sum();
    let mean = match rewards.len() {
        0 => json!({}),
        n => json!({"mean/reward": sum / n as f64}),
    };
    Ok(Json(
        json!({"group_level_metrics": [], "agent_metrics": mean, "key_metrics": mean}),
    ))
}

/// The session in a request's cookie.
pub(crate) fn session_of(headers: &HeaderMap) -> Result<SessionId, Refused> {
    let cookies = headers.get_all(header::COOKIE).iter();
    let pairs = cookies
        .filter_map(|cookie| cookie.to_str().ok())
        .flat_map(|cookie| cookie.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    let mut own = pairs.filter(|(name, _)| *name == COOKIE);
    let (_, id) = own.next().ok_or(Refused::NoSession)?;
    id.trim_matches('"').parse()
}

/// An answer that keeps the session in the client's cookies. Every answer has it: some clients keep the last one's alone.
pub(crate) fn with_cookie(answer: impl IntoResponse, id: SessionId) -> Response {
    let mut response = answer.into_response();
    let cookie = format!("{COOKIE}={id}; Path=/; HttpOnly; SameSite=Lax");
    if let Ok(cookie) = HeaderValue::try_from(cookie) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_names_its_task_by_id_or_by_number() {
        let row = |value: Value| choice(value.as_object().unwrap());
        let named = row(json!({"task_id": "a", "responses_create_params": {}})).unwrap();
        assert_eq!(named.task.as_deref(), Some("a"));
        let numbered = row(json!({"split": "heldout", "index": 3, "task_id": null})).unwrap();
        assert_eq!((numbered.task, numbered.index), (None, Some(3)));
        for wrong in [json!({}), json!({"task_id": 7}), json!({"index": -1})] {
            assert!(matches!(row(wrong), Err(Refused::Bad(_))));
        }
    }

    #[test]
    fn the_texts_of_a_response_are_the_agents_own() {
        let response = json!({"output": [
            {"type": "reasoning", "summary": []},
            {"type": "function_call", "name": "find", "arguments": "{}", "call_id": "1"},
            {"type": "function_call_output", "call_id": "1", "output": "here"},
            {"type": "message", "role": "assistant", "content": [
                {"type": "output_text", "text": "It is "}, {"type": "output_text", "text": "12."}]},
            {"type": "message", "role": "user", "content": "thanks"},
            {"type": "message", "role": "assistant", "content": "Bye."},
        ]});
        assert_eq!(texts(&response), ["It is 12.", "Bye."]);
        assert!(texts(&Value::Null).is_empty());
    }

    #[test]
    fn the_session_is_read_from_among_other_cookies() {
        let id = SessionId::draw().unwrap();
        let headers =
            |cookie: String| HeaderMap::from_iter([(header::COOKIE, cookie.parse().unwrap())]);
        assert_eq!(session_of(&headers(format!("a=b; {COOKIE}={id}"))), Ok(id));
        assert_eq!(
            session_of(&headers(format!("{COOKIE}=7"))),
            Err(Refused::NoSession)
        );
        assert_eq!(session_of(&HeaderMap::new()), Err(Refused::NoSession));
    }
}
