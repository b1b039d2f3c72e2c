//! OpenEnv: a session for each connection of `/ws`, by the messages `reset`, `step` and `state`; the same over plain HTTP with
//! the session in a cookie.
//!
//! An action is one of `{"type": "list_tools"}`, `{"type": "call_tool", "tool_name", "arguments"}`, `{"type": "say", "text"}` and
//! `{"type": "finish", "said"?}`. The episode is done when the user closes it or the agent finishes; the reward comes then, and
//! is null before. A verdict that is not about the agent is an error message, never a reward.

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::{any, get, post};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::catalog::Choice;
use crate::nemo::{session_of, with_cookie};
use crate::refused::Refused;
use crate::rest::read;
use crate::serve::App;
use crate::session::SessionId;

/// The routes of this face.
pub(crate) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/ws", any(connect))
        .route("/reset", post(http_reset))
        .route("/step", post(http_step))
        .route("/state", get(http_state))
        .route("/schema", get(schema))
        .route("/metadata", get(metadata))
}

/// An action of the agent.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Action {
    ListTools,
    CallTool {
        tool_name: String,
        #[serde(default)]
        arguments: Map<String, Value>,
    },
    Say {
        text: String,
    },
    Finish {
        #[serde(default)]
        said: Option<String>,
    },
}

/// A message of a client.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Asked {
    Reset {
        #[serde(default)]
        data: Choice,
    },
    Step {
        data: Value,
    },
    State,
    Close,
}

/// One client's episode.
struct Client {
    app: Arc<App>,
    session: Option<SessionId>,
    done: bool,
}

impl Client {
    /// Begins a task, in the session that there is or a new one.
    async fn reset(&mut self, choice: &Choice) -> Result<Value, Refused> {
        let hall = &self.app.hall;
        let again = match self.session {
            Some(id) => hall.reset(id, Some(choice)).await,
            None => Err(Refused::NoSession),
        };
        let opened = match again {
            Err(Refused::NoSession) => hall.begin(choice).await?,
            other => other?,
        };
        self.session = Some(opened.session.parse()?);
        self.done = false;
        let domain = hall.domain();
        let observation = json!({
            "opening": opened.opening,
            "metadata": {
                "task": opened.task, "split": opened.split, "opening": opened.opening, "messages": opened.messages,
                "policy": domain.policy, "prompt": domain.prompt,
            },
        });
        Ok(observed(&observation, None, false))
    }

    async fn step(&mut self, action: Value) -> Result<Value, Refused> {
        let action: Action = serde_json::from_value(action).map_err(|error| {
            Refused::Bad(format!(
                "the action cannot be read: {error}; GET /schema describes it"
            ))
        })?;
        if action == Action::ListTools {
            return Ok(observed(&json!({"tools": self.tools()}), None, self.done));
        }
        if self.done {
            return Err(Refused::Closed);
        }
        let id = self.session.ok_or(Refused::NoSession)?;
        match action {
            Action::ListTools => Err(Refused::Closed),
            Action::CallTool {
                tool_name,
                arguments,
            } => {
                let result = self.app.act(id, &tool_name, arguments).await?;
                let failed = json!({"error_type": "execution_error", "message": result.content});
                let error = if result.error { failed } else { Value::Null };
                let observation =
                    json!({"tool_name": tool_name, "result": result.content, "error": error});
                Ok(observed(&observation, None, false))
            }
            Action::Say { text } => {
                let reply = self.app.hall.say(id, text).await?;
                let reward = match reply.done {
                    true => Some(self.verdict(id, Vec::new()).await?),
                    false => None,
                };
                let observation = json!({"reply": reply.reply});
                Ok(observed(&observation, reward, reply.done))
            }
            Action::Finish { said } => {
                let reward = self.verdict(id, said.into_iter().collect()).await?;
                Ok(observed(&json!({}), Some(reward), true))
            }
        }
    }

    async fn verdict(&mut self, id: SessionId, said: Vec<String>) -> Result<f64, Refused> {
        let reward = self.app.hall.verify(id, said).await?.reward;
        self.done = true;
        Ok(reward)
    }

    async fn state(&self) -> Result<Value, Refused> {
        let Some(id) = self.session else {
            return Ok(json!({"episode_id": null, "step_count": 0}));
        };
        let state = self.app.hall.state(id).await?;
        Ok(json!({
            "episode_id": state.task, "step_count": state.steps, "split": state.split, "done": self.done || state.done,
        }))
    }

    fn tools(&self) -> Vec<Value> {
        let tools = self.app.tools().into_iter();
        tools
            .map(|tool| {
                json!({"name": tool.name, "description": tool.description, "input_schema": tool.parameters})
            })
            .collect()
    }

    /// Answers one message; `None` ends the connection.
    async fn answer(&mut self, text: &str) -> Option<Value> {
        let asked: Value = match serde_json::from_str(text) {
            Ok(asked) => asked,
            Err(error) => {
                return Some(failed(
                    "INVALID_JSON",
                    &format!("this is not JSON: {error}"),
                ));
            }
        };
        let kind = asked["type"].as_str().unwrap_or_default();
        if !["reset", "step", "state", "close"].contains(&kind) {
            let message = "the message's type must be reset, step, state or close";
            return Some(failed("UNKNOWN_TYPE", message));
        }
        let asked: Asked = match serde_json::from_value(asked) {
            Ok(asked) => asked,
            Err(error) => return Some(failed("VALIDATION_ERROR", &error.to_string())),
        };
        let (kind, answer) = match asked {
            Asked::Close => return None,
            Asked::Reset { data } => ("observation", self.reset(&data).await),
            Asked::Step { data } => ("observation", self.step(data).await),
            Asked::State => ("state", self.state().await),
        };
        Some(match answer {
            Ok(data) => json!({"type": kind, "data": data}),
            Err(refused) => failed(code(&refused), &refused.to_string()),
        })
    }
}

fn observed(observation: &Value, reward: Option<f64>, done: bool) -> Value {
    json!({"observation": observation, "reward": reward, "done": done})
}

fn failed(code: &str, message: &str) -> Value {
    json!({"type": "error", "data": {"code": code, "message": message}})
}

fn code(refused: &Refused) -> &'static str {
    match refused {
        Refused::Full(_) | Refused::TooFast => "CAPACITY_REACHED",
        Refused::Bad(_) | Refused::NoTask(_) => "VALIDATION_ERROR",
        Refused::NoSession => "SESSION_ERROR",
        _ => "EXECUTION_ERROR",
    }
}

async fn connect(State(app): State<Arc<App>>, upgrade: WebSocketUpgrade) -> Response {
    let most = app.hall.limits().body_bytes;
    upgrade
        .max_message_size(most)
        .max_frame_size(most)
        .on_upgrade(move |socket| talk(app, socket))
}

/// Answers the messages of a connection until it ends, and closes its session.
async fn talk(app: Arc<App>, mut socket: WebSocket) {
    let mut client = Client {
        app: app.clone(),
        session: None,
        done: false,
    };
    while let Some(Ok(message)) = socket.recv().await {
        let text = match &message {
            Message::Text(text) => text.as_str(),
            Message::Close(_) => break,
            Message::Binary(_) | Message::Ping(_) | Message::Pong(_) => continue,
        };
        let answer = match app.count() {
            Ok(()) => Box::pin(client.answer(text)).await,
            Err(refused) => Some(failed(code(&refused), &refused.to_string())),
        };
        let Some(answer) = answer else { break };
        if socket
            .send(Message::Text(answer.to_string().into()))
            .await
            .is_err()
        {
            break;
        }
    }
    if let Some(id) = client.session {
        app.hall.close(id);
    }
}

fn client(app: Arc<App>, headers: &HeaderMap) -> Client {
    Client {
        app,
        session: session_of(headers).ok(),
        done: false,
    }
}

async fn http_reset(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refused> {
    let mut client = client(app, &headers);
    let observed = client.reset(&read(&body)?).await?;
    let id = client.session.ok_or(Refused::NoSession)?;
    Ok(with_cookie(Json(observed), id))
}

#[derive(Deserialize)]
struct Step {
    action: Value,
}

async fn http_step(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Value>, Refused> {
    let step: Step = read(&body)?;
    Ok(Json(client(app, &headers).step(step.action).await?))
}

async fn http_state(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
) -> Result<Json<Value>, Refused> {
    Ok(Json(client(app, &headers).state().await?))
}

async fn metadata(State(app): State<Arc<App>>) -> Json<Value> {
    let domain = app.hall.domain();
    Json(json!({
        "name": domain.name, "description": domain.title, "version": env!("CARGO_PKG_VERSION"), "author": null,
        "readme_content": domain.policy, "documentation_url": null,
    }))
}

/// The JSON schemas of actions, observations and the state.
async fn schema(State(app): State<Arc<App>>) -> Json<Value> {
    let calls: Vec<Value> = app
        .tools()
        .into_iter()
        .map(|tool| {
            json!({
                "type": "object", "description": tool.description, "required": ["type", "tool_name"],
                "properties": {
                    "type": {"const": "call_tool"}, "tool_name": {"const": tool.name}, "arguments": tool.parameters,
                },
            })
        })
        .collect();
    let one = |kind: &str, description: &str, field: Option<(&str, bool)>| {
        let mut properties = Map::from_iter([("type".to_owned(), json!({"const": kind}))]);
        let mut required = vec!["type"];
        if let Some((name, needed)) = field {
            properties.insert(name.to_owned(), json!({"type": "string"}));
            required.extend(needed.then_some(name));
        }
        json!({"type": "object", "description": description, "properties": properties, "required": required})
    };
    let mut kinds = calls;
    kinds.push(one("list_tools", "Lists the tools.", None));
    kinds.push(one("say", "Says a text to the user.", Some(("text", true))));
    kinds.push(one(
        "finish",
        "Ends the episode, with a last text for the user.",
        Some(("said", false)),
    ));
    Json(json!({
        "action": {"title": "AgogeAction", "oneOf": kinds},
        "observation": {"title": "AgogeObservation", "type": "object", "properties": {
            "opening": {"type": "string"}, "tools": {"type": "array"}, "tool_name": {"type": "string"},
            "result": {"type": "string"}, "error": {}, "reply": {"type": "string"}, "metadata": {"type": "object"}}},
        "state": {"title": "AgogeState", "type": "object", "properties": {
            "episode_id": {"type": ["string", "null"]}, "step_count": {"type": "integer"}, "split": {"type": "string"},
            "done": {"type": "boolean"}}},
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_are_read_with_what_clients_add() {
        let read = |value: Value| serde_json::from_value::<Action>(value);
        assert_eq!(
            read(json!({"type": "list_tools", "metadata": {}})).unwrap(),
            Action::ListTools
        );
        let call = json!({"type": "call_tool", "tool_name": "find", "metadata": {}});
        let arguments = Map::new();
        let tool_name = "find".to_owned();
        assert_eq!(
            read(call).unwrap(),
            Action::CallTool {
                tool_name,
                arguments
            }
        );
        assert_eq!(
            read(json!({"type": "finish"})).unwrap(),
            Action::Finish { said: None }
        );
        assert!(
            read(json!({"type": "say"})).is_err() && read(json!({"tool_name": "find"})).is_err()
        );
    }
}
