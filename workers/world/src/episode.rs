//! A domain's tools in the sandbox: each run is a set of differences over shared data.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use agoge_dialogue::{ToolCall, ToolSpec};
use agoge_sandbox::{Change, Limits, Outcome, Overlay, Program, Sandbox, SandboxError, Spent};
use serde_json::{Map, Value};

use crate::backend::{Capabilities, Party};
use crate::domain::{Domain, Results};
use crate::folder::ERROR_TEXT;
use crate::python_json;
use crate::schema;

/// The function that runs after every call, where a domain has it.
pub(crate) const SYNC: &str = "_sync";

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
    /// The domain has tools on servers, and nothing was attached to it that reaches them.
    #[error("the tools of `{0}` live on servers, and this program reads it without starting them")]
    Unserved(String),
    /// The sandbox gave no result.
    #[error(transparent)]
    Lost(#[from] Lost),
}

/// A run that the sandbox never let finish: its process was ended from outside or kept waiting, each time it was tried.
/// Nothing is known about the run, and another attempt may help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the sandbox gave no result: {0}")]
pub struct Lost(pub String);

impl WorldError {
    /// Returns true when another attempt would end the same way: the tools fail at import, or there is no sandbox to start.
    #[must_use]
    pub fn is_final(&self) -> bool {
        use std::io::ErrorKind::{NotFound, PermissionDenied};
        match self {
            Self::Import { .. } | Self::Unserved(_) => true,
            Self::Start {
                source: SandboxError::Start { source, .. },
                ..
            } => matches!(source.kind(), NotFound | PermissionDenied),
            Self::Start { .. } | Self::Lost(_) => false,
        }
    }
}

fn place(file: &Path, line: Option<u32>) -> String {
    match line {
        Some(line) => format!("{}:{line}", file.display()),
        None => file.display().to_string(),
    }
}

/// One run: the differences from the domain's data, and the calls so far. The default is a run without calls of a task
/// that begins with the domain's data; [`World::begin`] is the beginning of any task.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Episode {
    /// The differences from the domain's data before the first word.
    pub start: Overlay,
    /// The differences from the domain's data.
    pub overlay: Overlay,
    /// The calls of both parties with their results, in order; the arguments as the tool read them.
    /// [`Domain::party`] tells whose a call is.
    pub calls: Vec<(ToolCall, ToolResult)>,
    /// The calls that servers answered, those before the first word included: a server's state is what they lead to.
    pub served: Vec<ToolCall>,
}

/// The result of a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolResult {
    /// The text that the agent reads.
    pub content: String,
    /// True when the call failed: unknown tool, bad arguments, or an exception.
    pub error: bool,
    /// The reason when the tool declined the call by returning an error, see [`Declines`](crate::Declines).
    pub declined: Option<String>,
    /// True when the tool was stopped: it reached a limit of the sandbox, or is lost. The run is then neither right nor wrong.
    pub killed: bool,
    /// True when the sandbox gave no result: nothing is known about the call.
    pub lost: bool,
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
        if domain.servers.is_some() && domain.foreign.is_none() {
            return Err(WorldError::Unserved(domain.name.clone()));
        }
        let program = Program {
            state: domain.state.clone(),
            tools: domain.tools_source.clone(),
            schema: (domain.format > 1).then(|| domain.schema.clone()),
        };
        let mut sandbox = Sandbox::spawn(program, limits).map_err(|source| WorldError::Start {
            domain: domain.name.clone(),
            source,
        })?;
        // A call that does nothing runs the import.
        let (outcome, _) =
            sandbox.call(&Overlay::default(), &domain.now, "bool", &Map::new(), None);
        let (line, message) = match outcome {
            Outcome::Value(_) => return Ok(Self { domain, sandbox }),
            Outcome::Raised {
                kind,
                message,
                line,
            } => (line, format!("{kind}: {message}")),
            Outcome::Killed(reason) => (None, reason.to_string()),
            Outcome::Lost(reason) => return Err(Lost(reason).into()),
        };
        let (file, line) = domain.place(line);
        Err(WorldError::Import {
            file,
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

    /// Returns the cost of the sandbox's runs so far.
    #[must_use]
    pub fn spent(&self) -> Spent {
        self.sandbox.spent()
    }

    /// Calls a tool of either party and records the call, its result and its changes in the episode. A call that fails
    /// changes nothing.
    pub fn call(&mut self, episode: &mut Episode, call: &ToolCall) -> ToolResult {
        let mut read = call.clone();
        let result = match self.arguments_of(call) {
            Ok(arguments) => {
                let outcome = self.function(episode, &call.name, &arguments);
                read.arguments = arguments;
                ToolResult::of(outcome, &self.domain)
            }
            Err(message) => ToolResult::failed(&self.domain.error_text, message),
        };
        episode.calls.push((read, result.clone()));
        result
    }

    /// Runs any function of the tools, private ones included, without recording it as a call. A function that raises
    /// changes nothing. See [`Domain::function`] for its name.
    pub fn run(
        &mut self,
        episode: &mut Episode,
        name: &str,
        arguments: &Map<String, Value>,
    ) -> Outcome {
        let domain = self.domain.clone();
        let Some(function) = domain.function(name) else {
            return Outcome::Raised {
                kind: "NameError".into(),
                message: format!("there is no function `{name}`"),
                line: None,
            };
        };
        let read = domain
            .tool(function)
            .map(|tool| schema::arguments(tool, arguments));
        match read {
            None => self.function(episode, function, arguments),
            Some(Ok(read)) => self.function(episode, function, &read),
            Some(Err(message)) => Outcome::Raised {
                kind: "TypeError".into(),
                message,
                line: None,
            },
        }
    }

    /// Runs a function and, in the same round trip, the domain's `_sync`.
    fn function(
        &mut self,
        episode: &mut Episode,
        name: &str,
        arguments: &Map<String, Value>,
    ) -> Outcome {
        if let Some(foreign) = self.domain.foreign.clone() {
            return match foreign.has(name) {
                true => self.served(&*foreign, episode, name, arguments),
                false => self.beside(&*foreign, episode, name, arguments),
            };
        }
        let (outcome, after) = self.in_sandbox(episode, name, arguments);
        episode.overlay = after;
        outcome
    }

    /// Runs a function in the sandbox and returns the differences after it.
    pub(crate) fn in_sandbox(
        &mut self,
        episode: &Episode,
        name: &str,
        arguments: &Map<String, Value>,
    ) -> (Outcome, Overlay) {
        let synced = self.domain.sync && name != SYNC;
        self.sandbox.call(
            &episode.overlay,
            &self.domain.now,
            name,
            arguments,
            synced.then_some(SYNC),
        )
    }

    /// The arguments of a call in the types of its tool, or the problem, in words that the agent reads.
    fn arguments_of(&self, call: &ToolCall) -> Result<Map<String, Value>, String> {
        let tool: &ToolSpec = self
            .domain
            .tool(&call.name)
            .ok_or_else(|| unknown(&self.domain, Party::Agent, &call.name))?;
        schema::arguments(tool, &call.arguments)
    }
}

impl ToolResult {
    /// Returns true when the tool did what was asked: it neither failed nor declined.
    #[must_use]
    pub fn worked(&self) -> bool {
        !self.error && self.declined.is_none()
    }

    /// Checks that the sandbox gave a result.
    ///
    /// # Errors
    /// [`Lost`]: nothing is known about the call.
    pub fn known(&self) -> Result<(), Lost> {
        match self.lost {
            true => Err(Lost(self.content.clone())),
            false => Ok(()),
        }
    }

    fn of(outcome: Outcome, domain: &Domain) -> Self {
        let returned = |content: String| Self {
            declined: domain.declines.reason(&content),
            content,
            ..Self::default()
        };
        match outcome {
            Outcome::Value(Value::String(content)) => returned(content),
            Outcome::Value(value) => returned(match domain.results {
                Results::Text => value.to_string(),
                Results::Json => python_json::text(&value),
            }),
            Outcome::Raised { message, .. } => Self::failed(&domain.error_text, message),
            Outcome::Killed(reason) => Self {
                killed: true,
                ..Self::failed(&domain.error_text, reason)
            },
            Outcome::Lost(content) => Self {
                content,
                error: true,
                killed: true,
                lost: true,
                declined: None,
            },
        }
    }

    /// The result of a call that failed for this reason, as [`Domain::error_text`] words it by default.
    pub fn error(reason: impl Display) -> Self {
        Self::failed(ERROR_TEXT, reason)
    }

    /// The result of a call that failed for this reason. `{}` of the wording stands for the reason.
    pub fn failed(wording: &str, reason: impl Display) -> Self {
        Self {
            content: wording.replacen("{}", &reason.to_string(), 1),
            error: true,
            ..Self::default()
        }
    }
}

/// Returns the message about a tool that a party does not have.
pub(crate) fn unknown(domain: &Domain, party: Party, name: &str) -> String {
    let tools = domain.tools_of(party).iter();
    let known: Vec<&str> = tools.map(|tool| tool.name.as_str()).collect();
    format!("there is no tool `{name}`, only {}", known.join(", "))
}

impl Episode {
    /// Returns the SHA-256 of the state, which is equal for equal states of one domain. The order of lists that the schema
    /// declares as unordered does not count.
    #[must_use]
    pub fn fingerprint(&self, domain: &Domain) -> String {
        let unordered = &domain.unordered;
        if unordered.is_empty() {
            return self.overlay.fingerprint();
        }
        let sort = |collection: &str, id: &str, record: &mut Value| {
            unordered.sort(collection, id, record);
        };
        self.overlay.rewritten(&domain.state, &sort).fingerprint()
    }

    /// Returns the [`Episode::fingerprint`] that the state has when the order of a list counts only where the schema
    /// declares that it does.
    #[must_use]
    pub fn orderless_fingerprint(&self, domain: &Domain) -> String {
        let sort = |collection: &str, id: &str, record: &mut Value| {
            domain.unordered.sort_undeclared(collection, id, record);
        };
        self.overlay.rewritten(&domain.state, &sort).fingerprint()
    }

    /// Returns the differences from the state before the first word.
    #[must_use]
    pub fn diff(&self, domain: &Domain) -> Vec<Change> {
        let mut changes = match self.start.is_empty() {
            true => self.overlay.diff(&domain.state),
            false => self.overlay.diff_from(&self.start, &domain.state),
        };
        if !domain.unordered.is_empty() {
            changes.retain(|change| {
                !domain
                    .unordered
                    .alike(change, &change.before, &change.after)
            });
        }
        changes
    }
}
