//! A domain being played: its tools in the sandbox, each run a set of differences over the shared data.

use std::sync::Arc;

use agoge_dialogue::{ToolCall, ToolSpec};
use agoge_sandbox::{Change, Limits, Outcome, Overlay, Program, Sandbox, SandboxError};
use serde_json::Value;

use crate::domain::Domain;
use crate::schema;

/// A domain and its sandbox process. One per thread.
#[derive(Debug)]
pub struct World {
    domain: Arc<Domain>,
    sandbox: Sandbox,
}

/// A world that does not open.
#[derive(Debug, thiserror::Error)]
#[error("the tools of `{domain}` do not start: {source}")]
pub struct WorldError {
    domain: String,
    source: SandboxError,
}

/// One run: what differs from the domain's data, and the calls so far. A fresh one is the default.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Episode {
    /// What differs.
    pub overlay: Overlay,
    /// The calls with their results, in order.
    pub calls: Vec<(ToolCall, ToolResult)>,
}

/// What a call gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolResult {
    /// What the agent reads.
    pub content: String,
    /// Whether the call failed: unknown tool, bad arguments, or the tool raised.
    pub error: bool,
    /// Whether the tool met a limit of the sandbox. The run is then neither right nor wrong.
    pub killed: bool,
}

impl World {
    /// Starts the sandbox of a domain.
    ///
    /// # Errors
    /// When its process does not start or does not take the tools.
    pub fn open(domain: Arc<Domain>, limits: Limits) -> Result<Self, WorldError> {
        let program = Program { state: domain.state.clone(), tools: domain.tools_source.clone() };
        let sandbox = Sandbox::spawn(program, limits)
            .map_err(|source| WorldError { domain: domain.name.clone(), source })?;
        Ok(Self { domain, sandbox })
    }

    /// The domain.
    #[must_use]
    pub fn domain(&self) -> &Arc<Domain> {
        &self.domain
    }

    /// The sandbox, for checkers.
    pub fn sandbox(&mut self) -> &mut Sandbox {
        &mut self.sandbox
    }

    /// Calls a tool; the episode takes up the call, its result and what it changed. A call that fails changes nothing.
    pub fn call(&mut self, episode: &mut Episode, call: &ToolCall) -> ToolResult {
        let result = match self.prepared(call) {
            Ok(arguments) => {
                let (outcome, after) =
                    self.sandbox.call(&episode.overlay, &self.domain.now, &call.name, &arguments);
                episode.overlay = after;
                told(outcome)
            }
            Err(message) => ToolResult { content: format!("error: {message}"), error: true, killed: false },
        };
        episode.calls.push((call.clone(), result.clone()));
        result
    }

    fn prepared(&self, call: &ToolCall) -> Result<serde_json::Map<String, Value>, String> {
        let tool: &ToolSpec = self.domain.tool(&call.name).ok_or_else(|| {
            let known: Vec<&str> = self.domain.tools.iter().map(|tool| tool.name.as_str()).collect();
            format!("there is no tool `{}`, only {}", call.name, known.join(", "))
        })?;
        schema::arguments(tool, &call.arguments)
    }
}

fn told(outcome: Outcome) -> ToolResult {
    match outcome {
        Outcome::Value(Value::String(content)) => ToolResult { content, error: false, killed: false },
        Outcome::Value(value) => ToolResult { content: value.to_string(), error: false, killed: false },
        Outcome::Raised { message, .. } => {
            ToolResult { content: format!("error: {message}"), error: true, killed: false }
        }
        Outcome::Killed(reason) => {
            ToolResult { content: format!("error: {reason}"), error: true, killed: true }
        }
    }
}

impl Episode {
    /// SHA-256 of the state: equal for equal states of one domain.
    #[must_use]
    pub fn fingerprint(&self, _domain: &Domain) -> String {
        self.overlay.fingerprint()
    }

    /// What differs from the domain's data.
    #[must_use]
    pub fn diff(&self, domain: &Domain) -> Vec<Change> {
        self.overlay.diff(&domain.state)
    }
}
