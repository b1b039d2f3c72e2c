//! The OpenAI chat API's shapes, read strictly where ignoring a field would change the answer.

use agoge_dialogue::{Message, Renderer, Role, ToolCall, ToolSpec, Vocab};
use agoge_model::{Generation, Tokenizer};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

/// Sampled ids of an answer when the client names no limit.
const MAX_TOKENS: u64 = 256;
const MAX_CHOICES: u64 = 128;

/// A refusal in the API's shape.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    message: String,
    param: Option<&'static str>,
}

impl ApiError {
    pub fn new(status: StatusCode, message: &str, param: Option<&'static str>) -> Self {
        Self {
            status,
            message: message.to_owned(),
            param,
        }
    }

    /// A request at fault, and the field that is.
    pub fn bad(message: impl Into<String>, param: Option<&'static str>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            message: message.into(),
            param,
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let kind = if self.status.is_client_error() {
            "invalid_request_error"
        } else {
            "server_error"
        };
        let body = json!({"error": {"message": self.message, "type": kind, "param": self.param, "code": null}});
        (self.status, axum::Json(body)).into_response()
    }
}

/// A request, read.
#[derive(Debug)]
pub struct ChatRequest {
    messages: Vec<Message>,
    tools: Option<Vec<ToolSpec>>,
    pub choices: usize,
    pub max_tokens: usize,
    pub temperature: f64,
    pub seed: Option<u64>,
    pub logprobs: bool,
}

impl ChatRequest {
    /// Reads a body.
    pub fn read(body: &[u8]) -> Result<Self, ApiError> {
        let value: Value = serde_json::from_slice(body)
            .map_err(|e| ApiError::bad(format!("the body is no JSON: {e}"), None))?;
        if value["stream"].as_bool() == Some(true) {
            return Err(ApiError::bad(
                "streaming is not offered; send stream: false",
                Some("stream"),
            ));
        }
        if value
            .get("stop")
            .is_some_and(|stop| !stop.is_null() && *stop != json!([]))
        {
            return Err(ApiError::bad(
                "stop strings are not offered; the format's own stop token ends a turn",
                Some("stop"),
            ));
        }
        let messages = value["messages"]
            .as_array()
            .filter(|messages| !messages.is_empty())
            .ok_or_else(|| {
                ApiError::bad(
                    "messages must be a list of at least one message",
                    Some("messages"),
                )
            })?;
        let messages = messages
            .iter()
            .enumerate()
            .map(|(n, m)| {
                message(m).map_err(|reason| {
                    ApiError::bad(format!("messages[{n}]: {reason}"), Some("messages"))
                })
            })
            .collect::<Result<Vec<_>, _>>()?;
        let tools = match value.get("tools") {
            None | Some(Value::Null) => None,
            Some(Value::Array(tools)) => Some(tools.iter().map(tool).collect::<Option<Vec<_>>>().ok_or_else(|| {
                ApiError::bad("each of tools must be {type: function, function: {name, description, parameters}}", Some("tools"))
            })?),
            Some(_) => return Err(ApiError::bad("tools must be a list", Some("tools"))),
        };
        let temperature = match value.get("temperature") {
            None | Some(Value::Null) => 1.0,
            Some(given) => given
                .as_f64()
                .filter(|t| (0.0..=100.0).contains(t))
                .ok_or_else(|| {
                    ApiError::bad(
                        "temperature must be a number of at least 0",
                        Some("temperature"),
                    )
                })?,
        };
        let limit = match value.get("max_completion_tokens").filter(|v| !v.is_null()) {
            Some(_) => whole(&value, "max_completion_tokens", MAX_TOKENS)?,
            None => whole(&value, "max_tokens", MAX_TOKENS)?,
        };
        let choices = whole(&value, "n", 1)?;
        if !(1..=MAX_CHOICES).contains(&choices) || limit == 0 {
            return Err(ApiError::bad(
                format!("n must be 1 to {MAX_CHOICES}, max_tokens at least 1"),
                Some("n"),
            ));
        }
        let seed = value["seed"]
            .as_u64()
            .or_else(|| value["seed"].as_i64().map(i64::cast_unsigned));
        Ok(Self {
            messages,
            tools,
            choices: usize::try_from(choices).unwrap_or(1),
            max_tokens: usize::try_from(limit).unwrap_or(usize::MAX),
            temperature,
            seed,
            logprobs: value["logprobs"].as_bool().unwrap_or(false),
        })
    }

    /// The ids before the answer, in the policy's format. With a domain, its prompt stands in for the system message.
    pub fn prompt(
        &self,
        format: &dyn Renderer,
        vocab: &dyn Vocab,
        domain: Option<&(String, Vec<ToolSpec>)>,
    ) -> Vec<u32> {
        let first = self.messages.first().filter(|m| m.role == Role::System);
        let system = domain.map_or_else(
            || first.map_or("", |m| m.content.as_str()),
            |(prompt, _)| prompt,
        );
        let none = Vec::new();
        let tools = self
            .tools
            .as_ref()
            .or_else(|| domain.map(|(_, tools)| tools))
            .unwrap_or(&none);
        let mut ids = format.open(vocab, system, tools);
        let rest = &self.messages[usize::from(first.is_some())..];
        for run in rest.chunk_by(|a, b| a.role == b.role) {
            ids.extend(format.append_all(vocab, run));
        }
        ids.extend(format.prefix(vocab, Role::Assistant));
        ids
    }
}

fn whole(value: &Value, name: &'static str, default: u64) -> Result<u64, ApiError> {
    match value.get(name) {
        None | Some(Value::Null) => Ok(default),
        Some(given) => given
            .as_u64()
            .ok_or_else(|| ApiError::bad(format!("{name} must be a whole number"), Some(name))),
    }
}

fn message(value: &Value) -> Result<Message, String> {
    let role: Role = serde_json::from_value(value["role"].clone()).map_err(|_| {
        format!(
            "its role is {}; system, user, assistant and tool are known",
            value["role"]
        )
    })?;
    let content = match &value["content"] {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts
            .iter()
            .map(|part| {
                part["text"]
                    .as_str()
                    .ok_or("only parts of type text are known")
            })
            .collect::<Result<_, _>>()?,
        _ => return Err("its content is no text".into()),
    };
    let tool_calls = match value.get("tool_calls") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(calls)) => calls.iter().map(call).collect::<Result<_, _>>()?,
        Some(_) => return Err("its tool_calls are no list".into()),
    };
    let tool_call_id = value["tool_call_id"].as_str().map(str::to_owned);
    Ok(Message {
        role,
        content,
        tool_calls,
        tool_call_id,
        reasoning: None,
    })
}

fn call(value: &Value) -> Result<ToolCall, String> {
    let function = &value["function"];
    let name = function["name"]
        .as_str()
        .ok_or("a tool call has no function.name")?;
    let arguments: Map<String, Value> = match &function["arguments"] {
        Value::Null => Map::new(),
        Value::Object(map) => map.clone(),
        Value::String(text) => serde_json::from_str(text)
            .map_err(|e| format!("the arguments of {name} are no JSON object: {e}"))?,
        _ => return Err(format!("the arguments of {name} are no JSON object")),
    };
    Ok(ToolCall {
        id: value["id"].as_str().unwrap_or_default().to_owned(),
        name: name.to_owned(),
        arguments,
    })
}

fn tool(value: &Value) -> Option<ToolSpec> {
    let function = value.get("function")?;
    Some(ToolSpec {
        name: function["name"].as_str()?.to_owned(),
        description: function["description"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
        parameters: function
            .get("parameters")
            .cloned()
            .unwrap_or_else(|| json!({"type": "object", "properties": {}})),
    })
}

/// One answer. Ids that are no message come as their text, with the reason in `parse_error`.
pub fn choice(
    (format, vocab): (&dyn Renderer, &Tokenizer),
    request: u64,
    index: usize,
    generation: &Generation,
    logprobs: bool,
) -> Value {
    let parsed = format.parse(vocab, Role::Assistant, &generation.ids);
    let mut parse_error = Value::Null;
    let message = match parsed {
        Ok(mut message) => {
            for (n, call) in message.tool_calls.iter_mut().enumerate() {
                call.id = format!("call_{request}_{index}_{n}");
            }
            message
        }
        Err(error) => {
            parse_error = json!(error.to_string());
            Message::assistant(&vocab.decode(&generation.ids))
        }
    };
    let finish = match (generation.truncated, message.tool_calls.is_empty()) {
        (true, _) => "length",
        (false, false) => "tool_calls",
        (false, true) => "stop",
    };
    let mut choice = json!({
        "index": index, "message": message.to_openai(), "finish_reason": finish, "token_ids": generation.ids,
        "logprobs": null, "parse_error": parse_error,
    });
    if logprobs {
        let content: Vec<Value> = generation
            .ids
            .iter()
            .zip(&generation.logprobs)
            .map(|(id, logprob)| {
                let token = vocab.decode(&[*id]);
                json!({"token": token, "logprob": logprob, "bytes": token.as_bytes(), "top_logprobs": []})
            })
            .collect();
        choice["logprobs"] = json!({"content": content});
    }
    choice
}
