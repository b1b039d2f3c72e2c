//! An API server in memory, for tests: objects by path, resourceVersions, preconditions, and a log of requests.
//!
//! It knows no schema and no defaults, and watches nothing. Lists are not answered.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::{Method, Request, Response, StatusCode};
use kube::Client;
use kube::client::Body;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tower_service::Service;

/// The server. Clones share its state.
#[derive(Clone, Debug, Default)]
pub struct FakeApi(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// Objects by path.
    objects: BTreeMap<String, Value>,
    /// The last resourceVersion.
    version: u64,
    /// Requests so far, as `METHOD /path`.
    log: Vec<String>,
    /// Objects with a status that was merged: applying another one does not remove its conditions.
    merged: BTreeSet<String>,
    /// Refusals to come: the end of a log line, and the status.
    refusals: Vec<(String, u16, &'static str)>,
}

impl FakeApi {
    /// Returns a client of this server. It needs a runtime.
    pub fn client(&self) -> Client {
        Client::new(self.clone(), "default")
    }

    /// Puts an object there, and returns it with its resourceVersion.
    pub fn put(&self, path: &str, mut object: Value) -> Value {
        let mut state = self.0.lock();
        let version = state.next_version();
        object["metadata"]["resourceVersion"] = json!(version);
        state.objects.insert(path.to_owned(), object.clone());
        object
    }

    /// Returns the object at a path.
    pub fn get(&self, path: &str) -> Option<Value> {
        self.0.lock().objects.get(path).cloned()
    }

    /// Refuses the next request whose log line ends like this.
    pub fn refuse(&self, request: &str, code: u16, reason: &'static str) {
        let refusal = (request.to_owned(), code, reason);
        self.0.lock().refusals.push(refusal);
    }

    /// Returns the requests since the last call, as method and the last parts of the path.
    pub fn take_log(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().log)
    }

    /// Returns the writes since the last call.
    pub fn take_writes(&self) -> Vec<String> {
        let log = self.take_log();
        log.into_iter()
            .filter(|line| !line.starts_with("GET "))
            .collect()
    }
}

impl Service<Request<Body>> for FakeApi {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let api = self.clone();
        async move {
            let (parts, body) = request.into_parts();
            let bytes = body.collect_bytes().await.unwrap_or_default();
            let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
            let merge = parts
                .headers
                .get("content-type")
                .is_some_and(|kind| kind == "application/merge-patch+json");
            let answer = api
                .0
                .lock()
                .answer(&parts.method, parts.uri.path(), body, merge);
            let (code, body) = answer.unwrap_or_else(|(code, reason)| {
                let status = json!({
                    "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                    "code": code, "reason": reason, "message": reason,
                });
                (code, status)
            });
            let mut response = Response::new(Body::from(body.to_string().into_bytes()));
            *response.status_mut() =
                StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            Ok(response)
        }
        .boxed()
    }
}

type Answer = Result<(u16, Value), (u16, &'static str)>;

impl State {
    fn next_version(&mut self) -> String {
        self.version += 1;
        self.version.to_string()
    }

    fn answer(&mut self, method: &Method, path: &str, body: Value, merge: bool) -> Answer {
        let line = format!("{method} {path}");
        let refusal = self
            .refusals
            .iter()
            .position(|(request, ..)| line.ends_with(request));
        self.log.push(short(method, path));
        if let Some(position) = refusal {
            let (_, code, reason) = self.refusals.remove(position);
            return Err((code, reason));
        }
        match *method {
            Method::GET => self.object(path).map(|object| (200, object)),
            Method::POST => self.create(path, body),
            Method::PATCH => self.patch(path, body, merge),
            Method::DELETE => self.delete(path, &body),
            _ => Err((405, "MethodNotAllowed")),
        }
    }

    fn object(&self, path: &str) -> Result<Value, (u16, &'static str)> {
        self.objects.get(path).cloned().ok_or((404, "NotFound"))
    }

    fn create(&mut self, collection: &str, mut object: Value) -> Answer {
        let version = self.next_version();
        let name = object["metadata"]["name"]
            .as_str()
            .map_or_else(|| format!("generated-{version}"), str::to_owned);
        let path = format!("{collection}/{name}");
        if self.objects.contains_key(&path) {
            return Err((409, "AlreadyExists"));
        }
        object["metadata"]["name"] = json!(name);
        object["metadata"]["uid"] = json!(format!("uid-{version}"));
        object["metadata"]["resourceVersion"] = json!(version);
        self.objects.insert(path, object.clone());
        Ok((201, object))
    }

    fn patch(&mut self, path: &str, body: Value, merge: bool) -> Answer {
        let status_of = path.strip_suffix("/status");
        let path = status_of.unwrap_or(path);
        let mut object = match (self.object(path), status_of) {
            (Ok(object), _) => object,
            (Err(missing), Some(_)) => return Err(missing),
            (Err(_), None) => body.clone(),
        };
        let expected = &body["metadata"]["resourceVersion"];
        if !expected.is_null() && *expected != object["metadata"]["resourceVersion"] {
            return Err((409, "Conflict"));
        }
        match (status_of, merge) {
            (Some(_), false) => {
                let mut status = body["status"].clone();
                if self.merged.contains(path) {
                    keep_conditions(&object["status"]["conditions"], &mut status["conditions"]);
                }
                object["status"] = status;
            }
            (Some(_), true) => {
                self.merged.insert(path.to_owned());
                let fields = body["status"].as_object().cloned().unwrap_or_default();
                for (field, value) in fields {
                    object["status"][field] = value;
                }
            }
            (None, _) => object = body,
        }
        object["metadata"]["resourceVersion"] = json!(self.next_version());
        self.objects.insert(path.to_owned(), object.clone());
        Ok((200, object))
    }

    fn delete(&mut self, path: &str, body: &Value) -> Answer {
        let object = self.object(path)?;
        let expected = &body["preconditions"]["uid"];
        if !expected.is_null() && *expected != object["metadata"]["uid"] {
            return Err((409, "Conflict"));
        }
        self.objects.remove(path);
        let done =
            json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success" });
        Ok((200, done))
    }
}

/// Adds the old conditions of other types to the new ones.
fn keep_conditions(old: &Value, new: &mut Value) {
    let types: Vec<Value> = new
        .as_array()
        .into_iter()
        .flatten()
        .map(|condition| condition["type"].clone())
        .collect();
    let kept = old.as_array().into_iter().flatten();
    let kept: Vec<Value> = kept
        .filter(|condition| !types.contains(&condition["type"]))
        .cloned()
        .collect();
    match new.as_array_mut() {
        Some(new) => new.extend(kept),
        None => *new = Value::Array(kept),
    }
}

/// Shortens a request to its method and the path behind the namespace.
fn short(method: &Method, path: &str) -> String {
    let rest = path
        .split_once("/namespaces/")
        .and_then(|(_, rest)| rest.split_once('/'))
        .map_or(path, |(_, rest)| rest);
    format!("{method} {rest}")
}
