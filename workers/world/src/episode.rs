//! A domain's tools in the sandbox: each run is a set of differences over shared data.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use agoge_dialogue::{ToolCall, ToolSpec};
use agoge_sandbox::{Change, Limits, Outcome, Overlay, Program, Sandbox, SandboxError};
use serde_json::{Map, Value};

use crate::backend::Capabilities;
use crate::domain::Domain;
use crate::schema;

/// A domain and its sandbox process. One per thread.
#[derive(Debug)]
pub struct World {
    domain: Arc<Domain>,
    sandbox: Sandbox,
}

/// The errors of opening a world.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// The sandbox did not start.
    #[error("the tools of `{domain}` do not start: {source}")]
    Start {
        /// The domain.
        domain: String,
        /// The sandbox's reason.
        source: SandboxError,
    },
    /// The tools' top level raised an exception or reached a limit.
    #[error("{}: it fails at import: {message}; correct the module's top level", place(file, *line))]
    Import {
        /// The file of the tools.
        file: PathBuf,
        /// The line, where it is known.
        line: Option<u32>,
        /// The exception.
        message: String,
    },
}

fn place(file: &Path, line: Option<u32>) -> String {
    match line {
        Some(line) => format!("{}:{line}", file.display()),
        None => file.display().to_string(),
    }
}

/// One run: the differences from the domain's data, and the calls so far. The default is a run without calls.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Episode {
    /// The differences.
    pub overlay: Overlay,
    /// The calls with their results, in order.
    pub calls: Vec<(ToolCall, ToolResult)>,
}

/// The result of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolResult {
    /// The text that the agent reads.
    pub content: String,
    /// True when the call failed: unknown tool, bad arguments, or an exception.
    pub error: bool,
    /// True when the tool reached a limit of the sandbox. The run is then neither right nor wrong.
    pub killed: bool,
}

impl World {
    /// The abilities of the sandbox: all of them.
    pub const CAPABILITIES: Capabilities = Capabilities::FORK
        .and(Capabilities::DIFF)
        .and(Capabilities::REPLAY)
        .and(Capabilities::DETERMINISTIC);

    /// Starts the sandbox of a domain, and runs the tools' top level once.
    ///
    /// # Errors
    /// [`WorldError`], when the process does not start or the tools fail at import.
    pub fn open(domain: Arc<Domain>, limits: Limits) -> Result<Self, WorldError> {
        let program = Program {
            state: domain.state.clone(),
            tools: domain.tools_source.clone(),
        };
        let mut sandbox = Sandbox::spawn(program, limits).map_err(|source| WorldError::Start {
            domain: domain.name.clone(),
            source,
        })?;
        // A call that does nothing runs the import.
        let (outcome, _) = sandbox.call(&Overlay::default(), &domain.now, "bool", &Map::new());
        let (line, message) = match outcome {
            Outcome::Value(_) => return Ok(Self { domain, sandbox }),
            Outcome::Raised {
                kind,
                message,
                line,
            } => (line, format!("{kind}: {message}")),
            Outcome::Killed(reason) => (None, reason.to_string()),
        };
        Err(WorldError::Import {
            file: domain.dir.join("tools.py"),
            line,
            message,
        })
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

    /// Calls a tool and records the call, its result and its changes in the episode. A call that fails changes nothing.
    pub fn call(&mut self, episode: &mut Episode, call: &ToolCall) -> ToolResult {
        let result = match self.arguments_of(call) {
            Ok(arguments) => {
                let (outcome, after) =
                    self.sandbox
                        .call(&episode.overlay, &self.domain.now, &call.name, &arguments);
                episode.overlay = after;
                ToolResult::of(outcome)
            }
            Err(message) => ToolResult::error(message),
        };
        episode.calls.push((call.clone(), result.clone()));
        result
    }

    fn arguments_of(&self, call: &ToolCall) -> Result<Map<String, Value>, String> {
        let tool: &ToolSpec = self.domain.tool(&call.name).ok_or_else(|| {
            let known: Vec<&str> = self
                .domain
                .tools
                .iter()
                .map(|tool| tool.name.as_str())
                .collect();
            format!(
                "there is no tool `{}`, only {}",
                call.name,
                known.join(", ")
            )
        })?;
        schema::arguments(tool, &call.arguments)
    }
}

impl ToolResult {
    fn of(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Value(Value::String(content)) => Self {
                content,
                error: false,
                killed: false,
            },
            Outcome::Value(value) => Self {
                content: value.to_string(),
                error: false,
                killed: false,
            },
            Outcome::Raised { message, .. } => Self::error(message),
            Outcome::Killed(reason) => Self {
                killed: true,
                ..Self::error(reason)
            },
        }
    }

    /// The result of a call that failed for this reason.
    pub fn error(reason: impl Display) -> Self {
        Self {
            content: format!("error: {reason}"),
            error: true,
            killed: false,
        }
    }
}

impl Episode {
    /// Returns the SHA-256 of the state, which is equal for equal states of one domain.
    #[must_use]
    pub fn fingerprint(&self, _domain: &Domain) -> String {
        self.overlay.fingerprint()
    }

    /// Returns the differences from the domain's data.
    #[must_use]
    pub fn diff(&self, domain: &Domain) -> Vec<Change> {
        self.overlay.diff(&domain.state)
    }
}
