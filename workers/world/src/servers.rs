//! The servers that hold tools of a domain: `tools:` of `domain.yaml`, and what a [`World`](crate::World) asks of them.
//!
//! The folder only says where the tools live and how their state is seen. Starting servers is another crate's job: it
//! attaches a [`Foreign`] to the domain, and the world then sends each call to the sandbox or to it, by the tool's name.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::time::Duration;

use agoge_dialogue::ToolCall;
use agoge_sandbox::Overlay;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::backend::Capabilities;
use crate::episode::Lost;

mod read;

use read::Raw;

/// The folder of a domain with the initial files of the servers' state.
const INITIAL: &str = "server";

/// The servers that hold tools of a domain.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "Raw")]
pub struct ServerSpec {
    /// The protocol.
    pub protocol: Protocol,
    /// The place of the servers.
    pub place: Place,
    /// The way to see and to reset the state.
    pub state: ServerState,
    /// Variables of the servers' environment. `$STATE`, `$DOMAIN`, `$NOW` and `$PORT` are replaced in values.
    pub env: BTreeMap<String, String>,
    /// Arguments that the agent does not see, with the value that is sent; null sends none.
    pub hide: Map<String, Value>,
    /// Tools that the agent does not get.
    pub omit: Vec<String>,
    /// The part of a JSON result that the agent reads, as a JSON pointer such as `/content`; a result without it stays whole.
    pub result: Option<String>,
    /// The time of one call.
    pub timeout: Duration,
    /// The time of a start.
    pub start: Duration,
    /// Number of servers that run at once.
    pub pool: usize,
}

/// The protocol of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// The Model Context Protocol: over stdio for a command, over streamable HTTP for an address.
    Mcp,
    /// An HTTP service.
    OpenApi {
        /// The description of the service, a file of the domain's folder.
        document: String,
    },
}

/// The place of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A program that is started, with its arguments. `$STATE`, `$DOMAIN`, `$NOW` and `$PORT` are replaced.
    Command(Vec<String>),
    /// The address of one that runs already.
    Url(String),
}

/// The way to see and to reset a server's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerState {
    /// The tools keep no state.
    None,
    /// Nobody sees the state: a reset is a restart, and only results and messages are checked.
    Replay,
    /// The state is seen.
    Seen(SeenState),
}

/// A state that is seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct SeenState {
    /// The files in which the state lies, in `$STATE`: `app.db`, `data/*.json`. Those of these names in the folder
    /// [`ServerSpec::initial`] are the initial ones.
    pub files: Vec<String>,
    /// The argument that names the session, which is filled in and hidden from the agent.
    pub key: Option<String>,
    /// The tool that brings back the initial state.
    pub reset: Option<String>,
    /// The tool that returns the state as JSON.
    pub export: Option<String>,
    /// The part of the JSON that is the state, as a JSON pointer such as `/db`.
    pub part: Option<String>,
    /// True when the server must be restarted to see files that were put back.
    pub restart: bool,
}

impl SeenState {
    /// Returns the names of the state's files in a folder, in order.
    #[must_use]
    pub fn found(&self, folder: &Path) -> Vec<String> {
        let mut all: Vec<String> = self
            .files
            .iter()
            .flat_map(|file| found(folder, file))
            .collect();
        all.sort();
        all.dedup();
        all
    }
}

/// Returns the names of the files that a pattern names; a `*` in the file's name stands for any text.
fn found(folder: &Path, pattern: &str) -> Vec<String> {
    let (inner, pattern) = match pattern.rsplit_once('/') {
        Some((inner, name)) => (format!("{inner}/"), name),
        None => (String::new(), pattern),
    };
    let Some((before, after)) = pattern.split_once('*') else {
        let name = format!("{inner}{pattern}");
        return Vec::from_iter(folder.join(&name).is_file().then_some(name));
    };
    let Ok(entries) = std::fs::read_dir(folder.join(&inner)) else {
        return Vec::new();
    };
    let names = entries.filter_map(|entry| {
        let entry = entry.ok()?;
        let name = entry.file_name().into_string().ok()?;
        let matching = name.len() >= before.len() + after.len()
            && name.starts_with(before)
            && name.ends_with(after)
            && entry.path().is_file();
        matching.then(|| format!("{inner}{name}"))
    });
    names.collect()
}

impl ServerSpec {
    /// Returns the folder of a domain with the initial files of the servers' state.
    #[must_use]
    pub fn initial(folder: &Path) -> PathBuf {
        folder.join(INITIAL)
    }

    /// Returns the files of the domain's folder that servers read, in order: their initial state, the description of the
    /// service, and the programs that the command names in `$DOMAIN`.
    #[must_use]
    pub(crate) fn files(&self, folder: &Path) -> Vec<String> {
        let seen = self.seen().map(|seen| seen.found(&Self::initial(folder)));
        let initial = seen.into_iter().flatten();
        let mut all: Vec<String> = initial.map(|name| format!("{INITIAL}/{name}")).collect();
        if let Protocol::OpenApi { document } = &self.protocol {
            all.push(document.clone());
        }
        if let Place::Command(words) = &self.place {
            let named = words
                .iter()
                .filter_map(|word| word.strip_prefix("$DOMAIN/"));
            let there = named.filter(|name| folder.join(name).is_file());
            all.extend(there.map(str::to_owned));
        }
        all.sort();
        all.dedup();
        all
    }

    /// The tools that only the program calls: those that reset and export the state.
    pub fn own_tools(&self) -> impl Iterator<Item = &str> {
        let seen = self.seen();
        let named = seen.map(|seen| [seen.reset.as_deref(), seen.export.as_deref()]);
        named.into_iter().flatten().flatten()
    }

    /// The state, where it is seen.
    #[must_use]
    pub fn seen(&self) -> Option<&SeenState> {
        match &self.state {
            ServerState::Seen(seen) => Some(seen),
            ServerState::None | ServerState::Replay => None,
        }
    }

    /// The abilities that the kind of state gives.
    #[must_use]
    pub fn capabilities(&self) -> Capabilities {
        let replayed = Capabilities::FORK
            .and(Capabilities::REPLAY)
            .and(Capabilities::DETERMINISTIC);
        match self.state {
            ServerState::None | ServerState::Seen(_) => replayed.and(Capabilities::DIFF),
            ServerState::Replay => replayed,
        }
    }
}

/// The answer of a server to a call.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Served {
    /// The value that the agent reads, most often a text.
    pub content: Value,
    /// True when the server says that the call failed.
    pub error: bool,
    /// The differences of the server's collections from [`Domain::state`](crate::Domain::state) after the call.
    pub overlay: Overlay,
}

/// Tools outside of the sandbox. One value serves all worlds of a process.
pub trait Foreign: Debug + Send + Sync {
    /// The abilities of the servers.
    fn capabilities(&self) -> Capabilities;

    /// Returns true when this is one of their tools.
    fn has(&self, tool: &str) -> bool;

    /// Returns true when this collection is part of their state.
    fn owns(&self, collection: &str) -> bool;

    /// Brings a server to the state after the calls of `before`, from the initial one, and runs a call. Blocks.
    ///
    /// # Errors
    /// [`Lost`], when no server gave a result.
    fn call(&self, before: &[ToolCall], call: &ToolCall) -> Result<Served, Lost>;
}
