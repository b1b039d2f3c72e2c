//! A connection to an HTTP service that an OpenAPI document describes: each operation is a tool.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use agoge_dialogue::ToolSpec;
use reqwest::{Client, Method, Url};
use serde_json::{Map, Value, json};

use crate::server::Answer;
use crate::tools::resolved;

/// The deepest nesting that references of a document are followed to.
const DEPTH: usize = 16;
/// The argument that is a whole body, where the body is no object.
const BODY: &str = "body";
/// Time between two attempts to reach a service that starts.
const PAUSE: Duration = Duration::from_millis(50);
/// The most bytes of an answer.
const MOST: usize = 16 << 20;

/// A service and its operations.
#[derive(Debug)]
pub(crate) struct Service {
    base: Url,
    client: Client,
    operations: Vec<Operation>,
}

#[derive(Debug)]
struct Operation {
    tool: ToolSpec,
    method: Method,
    path: String,
    /// The names of the arguments that stand in the query.
    query: Vec<String>,
    body: Body,
}

#[derive(Debug, PartialEq, Eq)]
enum Body {
    None,
    /// The arguments of these names are its members.
    Members(Vec<String>),
    /// The argument [`BODY`] is the body.
    Whole,
}

impl Service {
    /// Reads a document.
    ///
    /// # Errors
    /// The file, and the reason why it describes no service.
    pub fn read(file: &Path, url: &str, client: Client) -> Result<Self, String> {
        let at = |why: String| format!("{}: {why}", file.display());
        let text = std::fs::read_to_string(file).map_err(|error| at(error.to_string()))?;
        let document: Value =
            serde_json::from_str(&text).map_err(|error| at(format!("it is not JSON: {error}")))?;
        let base = Url::parse(url).map_err(|error| format!("{url} is no address: {error}"))?;
        if base.cannot_be_a_base() {
            return Err(format!("{url} is no address of a service"));
        }
        let operations = operations(&document).map_err(at)?;
        Ok(Self {
            base,
            client,
            operations,
        })
    }

    /// The operations, as tools.
    pub fn tools(&self) -> Vec<ToolSpec> {
        let all = self.operations.iter();
        all.map(|operation| operation.tool.clone()).collect()
    }

    fn operation(&self, name: &str) -> Option<&Operation> {
        let mut all = self.operations.iter();
        all.find(|operation| operation.tool.name == name)
    }

    fn request(
        &self,
        operation: &Operation,
        arguments: &Map<String, Value>,
    ) -> Option<reqwest::RequestBuilder> {
        let url = operation.url(&self.base, arguments)?;
        let request = self.client.request(operation.method.clone(), url);
        Some(match &operation.body {
            Body::None => request,
            Body::Whole => request.json(arguments.get(BODY).unwrap_or(&Value::Null)),
            Body::Members(names) => {
                let given = arguments.iter().filter(|(name, _)| names.contains(name));
                let members = given.map(|(name, value)| (name.clone(), value.clone()));
                request.json(&Value::Object(members.collect()))
            }
        })
    }
}

impl Operation {
    /// The address with the arguments of path and query in it.
    fn url(&self, base: &Url, arguments: &Map<String, Value>) -> Option<Url> {
        let mut url = base.clone();
        {
            let mut segments = url.path_segments_mut().ok()?;
            segments.pop_if_empty();
            for part in self.path.split('/').filter(|part| !part.is_empty()) {
                let part = filled(part, arguments);
                if matches!(part.as_str(), "" | "." | "..") {
                    return None;
                }
                segments.push(&part);
            }
        }
        let given = self.query.iter();
        let given: Vec<(&String, &Value)> = given
            .filter_map(|name| Some((name, arguments.get(name)?)))
            .filter(|(_, value)| !value.is_null())
            .collect();
        if !given.is_empty() {
            let mut pairs = url.query_pairs_mut();
            for (name, value) in given {
                match value {
                    Value::Array(items) => {
                        for item in items {
                            pairs.append_pair(name, &plain(item));
                        }
                    }
                    value => {
                        pairs.append_pair(name, &plain(value));
                    }
                }
            }
        }
        Some(url)
    }
}

/// Replaces each `{name}` of a part of a path.
fn filled(part: &str, arguments: &Map<String, Value>) -> String {
    let mut text = part.to_owned();
    for (name, value) in arguments {
        text = text.replace(&format!("{{{name}}}"), &plain(value));
    }
    text
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn operations(document: &Value) -> Result<Vec<Operation>, String> {
    let paths = document["paths"].as_object();
    let paths = paths.ok_or("it has no `paths`; give it the operations of the service")?;
    let mut all: Vec<Operation> = Vec::new();
    for (path, item) in paths {
        let item = resolved(document, item, DEPTH);
        let shared = item["parameters"].as_array().cloned().unwrap_or_default();
        for (method, described) in item.as_object().into_iter().flatten() {
            let method = match method.as_str() {
                "get" => Method::GET,
                "post" => Method::POST,
                "put" => Method::PUT,
                "patch" => Method::PATCH,
                "delete" => Method::DELETE,
                _ => continue,
            };
            let operation = operation(path, method, &shared, described)?;
            let name = &operation.tool.name;
            if all.iter().any(|other| other.tool.name == *name) {
                return Err(format!(
                    "two operations are named `{name}`; give each its own operationId"
                ));
            }
            all.push(operation);
        }
    }
    match all.is_empty() {
        true => Err("it has no operation".into()),
        false => Ok(all),
    }
}

fn operation(
    path: &str,
    method: Method,
    shared: &[Value],
    described: &Value,
) -> Result<Operation, String> {
    let name = match described["operationId"].as_str() {
        Some(name) => name.to_owned(),
        None => named_by(&method, path),
    };
    let (mut properties, mut required) = (Map::new(), Vec::new());
    let mut query = Vec::new();
    let own = described["parameters"].as_array().into_iter().flatten();
    for parameter in shared.iter().chain(own) {
        let argument = parameter["name"].as_str();
        let argument = argument.ok_or_else(|| format!("{path}: a parameter has no name"))?;
        let place = parameter["in"].as_str().unwrap_or_default();
        match place {
            "query" if !query.iter().any(|name| name == argument) => {
                query.push(argument.to_owned())
            }
            "query" | "path" => {}
            // Headers and cookies are for programs.
            _ => continue,
        }
        let mut schema = match &parameter["schema"] {
            Value::Null => json!({"type": "string"}),
            schema => schema.clone(),
        };
        if let (Some(schema), Some(text)) =
            (schema.as_object_mut(), parameter["description"].as_str())
        {
            schema.entry("description").or_insert_with(|| json!(text));
        }
        properties.insert(argument.to_owned(), schema);
        if parameter["required"] == json!(true) && !required.contains(&json!(argument)) {
            required.push(json!(argument));
        }
    }
    let body = body(path, described, &mut properties, &mut required)?;
    let text = |field: &str| described[field].as_str().unwrap_or_default();
    let description = [text("summary"), text("description")];
    let description: Vec<&str> = description
        .into_iter()
        .filter(|text| !text.is_empty())
        .collect();
    Ok(Operation {
        tool: ToolSpec {
            name,
            description: description.join("\n"),
            parameters: json!({"type": "object", "properties": properties, "required": required}),
        },
        method,
        path: path.to_owned(),
        query,
        body,
    })
}

/// Adds the members of a JSON body to the arguments.
fn body(
    path: &str,
    described: &Value,
    properties: &mut Map<String, Value>,
    required: &mut Vec<Value>,
) -> Result<Body, String> {
    let described = &described["requestBody"];
    let schema = &described["content"]["application/json"]["schema"];
    if described.is_null() {
        return Ok(Body::None);
    }
    if schema.is_null() {
        return Err(format!(
            "{path}: its body is not application/json; only JSON bodies are supported"
        ));
    }
    let Some(members) = schema["properties"].as_object() else {
        properties.insert(BODY.to_owned(), schema.clone());
        if described["required"] == json!(true) {
            required.push(json!(BODY));
        }
        return Ok(Body::Whole);
    };
    for (name, schema) in members {
        if properties.insert(name.clone(), schema.clone()).is_some() {
            return Err(format!(
                "{path}: `{name}` is a parameter and a member of the body; rename one"
            ));
        }
    }
    required.extend(schema["required"].as_array().into_iter().flatten().cloned());
    Ok(Body::Members(members.keys().cloned().collect()))
}

/// A name for an operation without one: `get_rooms_id` for `GET /rooms/{id}`.
fn named_by(method: &Method, path: &str) -> String {
    let words = path.split(|letter: char| !letter.is_ascii_alphanumeric());
    let words = words.filter(|word| !word.is_empty());
    let method = method.as_str().to_ascii_lowercase();
    let all: Vec<&str> = std::iter::once(method.as_str()).chain(words).collect();
    all.join("_")
}

/// Calls an operation. An answer of 4xx is an error that the agent reads.
///
/// # Errors
/// The service gave no answer, or it failed: 5xx.
pub(crate) async fn call(
    service: Arc<Service>,
    name: String,
    arguments: Map<String, Value>,
) -> Result<Answer, String> {
    let operation = service
        .operation(&name)
        .ok_or_else(|| format!("there is no operation `{name}`"))?;
    let Some(request) = service.request(operation, &arguments) else {
        return Ok(Answer {
            content: "an argument cannot stand in an address".into(),
            error: true,
        });
    };
    let fail = |error: reqwest::Error| format!("no answer: {}", error.without_url());
    let mut response = request.send().await.map_err(fail)?;
    let status = response.status();
    let mut content = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(fail)? {
        content.extend_from_slice(&chunk);
        if content.len() > MOST {
            return Err(format!("its answer is larger than {} MiB", MOST >> 20));
        }
    }
    let content = String::from_utf8_lossy(&content).into_owned();
    match status.is_server_error() || status.is_redirection() {
        true => Err(format!("the service answered {status}: {content}")),
        false => Ok(Answer {
            content,
            error: status.is_client_error(),
        }),
    }
}

/// Waits until something listens at the address of a service.
pub(crate) async fn listening(service: Arc<Service>) {
    let host = service.base.host_str().unwrap_or("localhost").to_owned();
    let port = service.base.port_or_known_default().unwrap_or(80);
    while tokio::net::TcpStream::connect((host.as_str(), port))
        .await
        .is_err()
    {
        tokio::time::sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document() -> Value {
        json!({
            "paths": {
                "/rooms/{id}": {
                    "parameters": [{"name": "id", "in": "path", "required": true, "schema": {"type": "string"}}],
                    "get": {"summary": "Shows a room.", "parameters": [
                        {"name": "fields", "in": "query", "description": "Which ones.",
                         "schema": {"type": "array", "items": {"type": "string"}}},
                        {"name": "X-Trace", "in": "header", "schema": {"type": "string"}}]},
                    "patch": {"operationId": "book", "requestBody": {"content": {"application/json":
                        {"schema": {"$ref": "#/components/schemas/Booking"}}}}}
                }
            },
            "components": {"schemas": {"Booking": {"type": "object", "required": ["guest"],
                "properties": {"guest": {"type": "string"}, "nights": {"type": "integer"}}}}}
        })
    }

    #[test]
    fn operations_become_tools_with_the_arguments_of_path_query_and_body() {
        let all = operations(&document()).unwrap();
        let names: Vec<&str> = all.iter().map(|one| one.tool.name.as_str()).collect();
        assert_eq!(names, ["get_rooms_id", "book"]);
        assert_eq!(all[0].tool.parameters["required"], json!(["id"]));
        assert_eq!(
            all[0].tool.parameters["properties"]["fields"]["description"],
            "Which ones."
        );
        assert!(
            all[0].tool.parameters["properties"]
                .get("X-Trace")
                .is_none()
        );
        assert_eq!(all[1].tool.parameters["required"], json!(["id", "guest"]));
        assert_eq!(
            all[1].body,
            Body::Members(vec!["guest".into(), "nights".into()])
        );
    }

    #[test]
    fn arguments_cannot_leave_their_place_in_the_address() {
        let all = operations(&document()).unwrap();
        let base = Url::parse("http://127.0.0.1:80/v1/").unwrap();
        let arguments = json!({"id": "../a b?x=1", "fields": ["free", "a&b"]});
        let url = all[0].url(&base, arguments.as_object().unwrap()).unwrap();
        assert_eq!(
            url.as_str(),
            "http://127.0.0.1/v1/rooms/..%2Fa%20b%3Fx=1?fields=free&fields=a%26b"
        );
    }

    #[test]
    fn two_operations_of_one_name_are_refused() {
        let mut twice = document();
        twice["paths"]["/other"] = json!({"post": {"operationId": "book"}});
        assert!(operations(&twice).unwrap_err().contains("`book`"));
    }
}
