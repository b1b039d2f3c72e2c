//! A connection by the Model Context Protocol.

use std::time::{Duration, Instant};

use agoge_dialogue::ToolSpec;
use rmcp::ServiceExt as _;
use rmcp::model::{CallToolRequestParams, CallToolResult, ContentBlock};
use rmcp::service::{Peer, RoleClient, RunningService, ServiceError};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use serde_json::{Map, Value};
use tokio::process::{ChildStdin, ChildStdout};

use crate::server::Answer;

/// Time between two attempts to reach a server that starts.
const PAUSE: Duration = Duration::from_millis(200);

/// A session with a server. It is closed when it is dropped.
#[derive(Debug)]
pub(crate) struct Mcp {
    service: RunningService<RoleClient, ()>,
}

impl Mcp {
    /// Greets a server that talks over its pipes. Must run on the reactor, as every function here.
    ///
    /// # Errors
    /// The greeting failed.
    pub async fn over_pipes(output: ChildStdout, input: ChildStdin) -> Result<Self, String> {
        let service = Box::pin(().serve((output, input))).await;
        let service = service.map_err(|error| format!("it does not greet by MCP: {error}"))?;
        Ok(Self { service })
    }

    /// Greets a server at an address.
    ///
    /// # Errors
    /// The address cannot be reached, or the greeting failed.
    pub async fn over_http(url: &str, client: reqwest::Client) -> Result<Self, String> {
        let config = StreamableHttpClientTransportConfig::with_uri(url);
        let transport = StreamableHttpClientTransport::with_client(client, config);
        let service = Box::pin(().serve(transport)).await;
        let service = service.map_err(|error| format!("{url} does not greet by MCP: {error}"))?;
        Ok(Self { service })
    }

    /// The end that makes requests; a copy lives as long as the session.
    pub fn peer(&self) -> Peer<RoleClient> {
        self.service.peer().clone()
    }
}

/// Connects to a server that may still be starting.
///
/// # Errors
/// The reason of the last attempt, once the time is over.
pub(crate) async fn connected(
    url: String,
    client: reqwest::Client,
    limit: Duration,
) -> Result<Mcp, String> {
    let begun = Instant::now();
    loop {
        let left = limit.saturating_sub(begun.elapsed());
        let attempt = tokio::time::timeout(left, Mcp::over_http(&url, client.clone()));
        let why = match attempt.await {
            Ok(Ok(session)) => return Ok(session),
            Ok(Err(why)) => why,
            Err(_) => format!("{url} does not answer"),
        };
        if begun.elapsed() >= limit {
            return Err(why);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Lists the tools of a server.
///
/// # Errors
/// It gave no list.
pub(crate) async fn tools(peer: Peer<RoleClient>) -> Result<Vec<ToolSpec>, String> {
    let all = peer.list_all_tools().await;
    let all = all.map_err(|error| format!("it does not list its tools: {error}"))?;
    let spec = |tool: rmcp::model::Tool| ToolSpec {
        name: tool.name.into_owned(),
        description: tool.description.unwrap_or_default().into_owned(),
        parameters: Value::Object(tool.input_schema.as_ref().clone()),
    };
    Ok(all.into_iter().map(spec).collect())
}

/// Calls a tool. An error that the server reports is an answer.
///
/// # Errors
/// The server gave no answer.
pub(crate) async fn call(
    peer: Peer<RoleClient>,
    name: String,
    arguments: Map<String, Value>,
) -> Result<Answer, String> {
    let request = CallToolRequestParams::new(name).with_arguments(arguments);
    match peer.call_tool(request).await {
        Ok(result) => Ok(answer(result)),
        Err(ServiceError::McpError(error)) => Ok(Answer {
            content: error.message.into_owned(),
            error: true,
        }),
        Err(error) => Err(format!("no answer: {error}")),
    }
}

/// Returns the texts of a result, one a line, and its structured content where it has no text. Other content is its JSON.
fn answer(result: CallToolResult) -> Answer {
    let text = |block: ContentBlock| match block {
        ContentBlock::Text(text) => text.text,
        other => serde_json::to_string(&other).unwrap_or_default(),
    };
    let texts: Vec<String> = result.content.into_iter().map(text).collect();
    let content = match (texts.is_empty(), result.structured_content) {
        (true, Some(value)) => value.to_string(),
        _ => texts.join("\n"),
    };
    Answer {
        content,
        error: result.is_error.unwrap_or(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(result: Value) -> Answer {
        answer(serde_json::from_value(result).unwrap())
    }

    #[test]
    fn texts_are_joined_and_structured_content_stands_in_for_them() {
        let texts = json!({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
                           "structuredContent": {"x": 1}});
        assert_eq!(read(texts).content, "a\nb");
        let structured = json!({"content": [], "structuredContent": {"x": 1}, "isError": true});
        let structured = read(structured);
        assert_eq!(
            (structured.content.as_str(), structured.error),
            (r#"{"x":1}"#, true)
        );
    }
}
