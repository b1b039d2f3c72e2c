//! MCP over streamable HTTP: `/mcp/{session}` has the tools of one session, and the domain's policy as a resource.
//!
//! The server is stateless beyond the session in the path: a client may connect anew for each call. A tool's own error is a
//! result with `isError`; a tool that was stopped or lost is an error of the protocol.

use std::sync::Arc;

use agoge_dialogue::ToolSpec;
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, Implementation,
    ListResourcesResult, ListToolsResult, PaginatedRequestParams, ReadResourceRequestParams,
    ReadResourceResponse, ReadResourceResult, Resource, ResourceContents, ServerCapabilities,
    ServerConfig, Tool,
};
use rmcp::service::RequestContext;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ErrorData, RoleServer, ServerHandler};

use crate::refused::Refused;
use crate::serve::App;
use crate::session::SessionId;

/// The resource that holds the policy.
const POLICY: &str = "agoge://policy";

type Service = StreamableHttpService<Face, NeverSessionManager>;

/// The routes of this face.
pub(crate) fn routes(app: &Arc<App>) -> Router<Arc<App>> {
    let service = service(app.clone());
    let serve = move |State(app): State<Arc<App>>, Path(id): Path<String>, request: Request| {
        let service = service.clone();
        async move { answer(&app, &service, &id, request).await }
    };
    Router::new().route("/mcp/{session}", any(serve))
}

fn service(app: Arc<App>) -> Service {
    let mut config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_max_request_body_bytes(app.hall.limits().body_bytes);
    if app.token.is_some() {
        // A page that rebinds a name to this host has no token to show.
        config = config.disable_allowed_hosts();
    }
    let tools: Arc<[Tool]> = app.tools().iter().map(tool).collect();
    let face = move || {
        Ok(Face {
            app: app.clone(),
            tools: tools.clone(),
        })
    };
    StreamableHttpService::new(face, Arc::default(), config)
}

async fn answer(app: &App, service: &Service, id: &str, mut request: Request) -> Response {
    let id = match known(app, id) {
        Ok(id) => id,
        Err(refused) => return refused.into_response(),
    };
    request.extensions_mut().insert(id);
    // Its future is large, and most of it is never used.
    Box::pin(service.handle(request)).await.map(Body::new)
}

/// The id of a session that there is.
fn known(app: &App, id: &str) -> Result<SessionId, Refused> {
    let id: SessionId = id.parse()?;
    match app.hall.has(id) {
        true => Ok(id),
        false => Err(Refused::NoSession),
    }
}

fn tool(spec: &ToolSpec) -> Tool {
    let schema = spec.parameters.as_object().cloned().unwrap_or_default();
    Tool::new(spec.name.clone(), spec.description.clone(), schema)
}

/// The handler of one request.
#[derive(Clone, Debug)]
struct Face {
    app: Arc<App>,
    tools: Arc<[Tool]>,
}

impl ServerHandler for Face {
    fn get_info(&self) -> ServerConfig {
        let domain = self.app.hall.domain();
        let abilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_resources()
            .build();
        ServerConfig::new(abilities)
            .with_server_info(Implementation::new(
                domain.name.clone(),
                env!("CARGO_PKG_VERSION"),
            ))
            .with_instructions(domain.policy.clone())
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(self.tools.to_vec()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let id = session_of(&context)?;
        let arguments = request.arguments.unwrap_or_default();
        let result = self
            .app
            .act(id, &request.name, arguments)
            .await
            .map_err(error)?;
        let content = vec![ContentBlock::text(result.content)];
        let result = match result.error {
            true => CallToolResult::error(content),
            false => CallToolResult::success(content),
        };
        Ok(result.into())
    }

    async fn list_resources(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let policy = Resource::new(POLICY, "policy")
            .with_description("The policy that the agent follows.")
            .with_mime_type("text/markdown");
        Ok(ListResourcesResult::with_all_items(vec![policy]))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        if request.uri != POLICY {
            let message = format!("there is no resource {}, only {POLICY}", request.uri);
            return Err(ErrorData::resource_not_found(message, None));
        }
        let text = self.app.hall.domain().policy.clone();
        let contents = ResourceContents::text(text, POLICY).with_mime_type("text/markdown");
        Ok(ReadResourceResult::new(vec![contents]).into())
    }
}

/// The session in the path of the HTTP request.
fn session_of(context: &RequestContext<RoleServer>) -> Result<SessionId, ErrorData> {
    let parts = context.extensions.get::<Parts>();
    let id = parts.and_then(|parts| parts.extensions.get::<SessionId>());
    id.copied().ok_or_else(|| error(Refused::NoSession))
}

/// A refused request as an error of JSON-RPC: the client's doing, or the server's.
fn error(refused: Refused) -> ErrorData {
    let message = refused.to_string();
    let data = Some(serde_json::json!({"code": refused.code()}));
    match refused.status().is_server_error() {
        true => ErrorData::internal_error(message, data),
        false => ErrorData::invalid_params(message, data),
    }
}
