//! One server: a connection, its process where it was started here, and the folder of its state.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use agoge_dialogue::ToolSpec;
use agoge_world::{Domain, Place, Protocol, ServerSpec, ServerState};
use parking_lot::Mutex;
use serde_json::{Map, Value};
use tempfile::TempDir;

use crate::launch::{Process, Variables, launch, prepared};
use crate::mcp::{self, Mcp};
use crate::openapi::{self, Service};
use crate::reactor::Reactor;
use crate::site::Site;

/// Time beyond that of a start in which its last attempt ends.
const GRACE: Duration = Duration::from_secs(5);

/// The answer to a call, as the server gave it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    pub content: String,
    pub error: bool,
}

impl Answer {
    /// The part of a JSON answer that this pointer names; the whole text where there is no such part.
    fn part(self, pointer: Option<&str>) -> Value {
        let part = pointer.and_then(|pointer| {
            let whole: Value = serde_json::from_str(&self.content).ok()?;
            whole.pointer(pointer).cloned()
        });
        part.unwrap_or(Value::String(self.content))
    }
}

/// The parts that all servers of a domain share.
#[derive(Debug)]
pub(crate) struct Plant {
    pub reactor: Reactor,
    pub domain: Domain,
    pub spec: ServerSpec,
    pub site: Site,
    /// The arguments of `unshare` by which commands lose the network; `None` where they keep it.
    pub isolation: Option<&'static [&'static str]>,
}

#[derive(Debug)]
enum Connection {
    Mcp(Mcp),
    OpenApi(Arc<Service>),
}

#[derive(Debug)]
enum Folder {
    /// Of this server alone; it is removed with it.
    Own(TempDir),
    /// Of servers that somebody else starts.
    Given(PathBuf),
}

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    connection: Connection,
    process: Option<Arc<Mutex<Process>>>,
    folder: Folder,
    /// The value of the argument that names the session.
    key: String,
    tools: Vec<ToolSpec>,
}

impl Plant {
    /// The number of servers that may run at once: one where nothing keeps the states of several apart.
    pub fn size(&self) -> usize {
        let apart = match (&self.site.place, &self.spec.state) {
            (Place::Command(_), _) | (_, ServerState::None) => true,
            (Place::Url(_), ServerState::Replay) => false,
            (Place::Url(_), ServerState::Seen(seen)) => seen.key.is_some() && seen.files.is_empty(),
        };
        if apart { self.spec.pool } else { 1 }
    }

    /// Starts a server, or connects to the one that runs. `prepare` fills its folder before it starts.
    ///
    /// # Errors
    /// The reason, with the last messages of the process.
    pub fn start(
        &self,
        number: usize,
        prepare: impl FnOnce(&Path) -> Result<(), String>,
    ) -> Result<Server, String> {
        let folder = match &self.site.state {
            Some(folder) => Folder::Given(folder.clone()),
            None => Folder::Own(
                TempDir::with_prefix("agoge-server-")
                    .map_err(|error| format!("making a folder for its state: {error}"))?,
            ),
        };
        prepare(folder.path())?;
        let (connection, process) = match &self.site.place {
            Place::Url(url) => (self.connect(url)?, None),
            Place::Command(command) => {
                let (connection, process) = self.launched(command, folder.path())?;
                (connection, Some(process))
            }
        };
        let key = match process.is_none() && self.size() > 1 {
            true => format!("agoge-{}-{number}", std::process::id()),
            false => "agoge".to_owned(),
        };
        let mut server = Server {
            connection,
            process,
            folder,
            key,
            tools: Vec::new(),
        };
        server.tools = server.listed(self)?;
        Ok(server)
    }

    fn connect(&self, url: &str) -> Result<Connection, String> {
        match &self.spec.protocol {
            Protocol::OpenApi { document } => {
                let service = Service::read(&self.domain.dir.join(document), url, client()?)?;
                let service = Arc::new(service);
                let up = openapi::listening(service.clone());
                self.reactor
                    .wait(self.spec.start, up)
                    .map_err(|reason| format!("nothing listens at {url}: {reason}"))?;
                Ok(Connection::OpenApi(service))
            }
            Protocol::Mcp => {
                let session = mcp::connected(url.to_owned(), client()?, self.spec.start);
                let limit = self.spec.start.saturating_add(GRACE);
                Ok(Connection::Mcp(self.reactor.wait(limit, session)??))
            }
        }
    }

    fn launched(
        &self,
        command: &[String],
        state: &Path,
    ) -> Result<(Connection, Arc<Mutex<Process>>), String> {
        let http = matches!(self.spec.protocol, Protocol::OpenApi { .. });
        let port = http.then(free_port).transpose()?;
        let variables = Variables {
            state,
            domain: &self.domain,
            port,
        };
        // A service is reached over the loopback, which a network of its own does not have.
        let isolation = self.isolation.filter(|_| !http);
        let prepared = prepared(command, &self.spec, &variables, isolation)?;
        let process = self
            .reactor
            .wait(self.spec.start, async move { launch(prepared) })??;
        let process = Arc::new(Mutex::new(process));
        let connection = match port {
            Some(port) => self.reach(&process, port),
            None => self.greet(&process),
        };
        match connection {
            Ok(connection) => Ok((connection, process)),
            Err(reason) => Err(process.lock().explain(&reason)),
        }
    }

    fn greet(&self, process: &Mutex<Process>) -> Result<Connection, String> {
        let (output, input) = process.lock().pipes().ok_or("it has no pipes")?;
        let greeting = Mcp::over_pipes(output, input);
        Ok(Connection::Mcp(
            self.reactor.wait(self.spec.start, greeting)??,
        ))
    }

    fn reach(&self, process: &Mutex<Process>, port: u16) -> Result<Connection, String> {
        let connection = self.connect(&format!("http://127.0.0.1:{port}"))?;
        // Another process may have taken the port.
        match process.lock().ended() {
            true => Err("it ended".into()),
            false => Ok(connection),
        }
    }
}

/// A client that does not leave the machine's own network for a proxy, and follows no redirect.
fn client() -> Result<reqwest::Client, String> {
    // Another part of the program may have chosen one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(|error| format!("making an HTTP client: {error}"))
}

/// A port that is free now.
fn free_port() -> Result<u16, String> {
    std::net::TcpListener::bind(("127.0.0.1", 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|error| format!("finding a free port: {error}"))
}

impl Folder {
    fn path(&self) -> &Path {
        match self {
            Self::Own(folder) => folder.path(),
            Self::Given(folder) => folder,
        }
    }
}

impl Server {
    /// The folder of its state.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its tools, as it describes them.
    pub fn tools(&self) -> &[ToolSpec] {
        &self.tools
    }

    fn listed(&self, plant: &Plant) -> Result<Vec<ToolSpec>, String> {
        match &self.connection {
            Connection::Mcp(session) => plant
                .reactor
                .wait(plant.spec.start, mcp::tools(session.peer()))
                .and_then(|tools| tools)
                .map_err(|reason| self.explain(&reason)),
            Connection::OpenApi(service) => Ok(service.tools()),
        }
    }

    /// Calls a tool and returns what the agent reads of its result, and true when it failed.
    ///
    /// # Errors
    /// It gave no answer.
    pub fn call(
        &self,
        plant: &Plant,
        name: &str,
        arguments: &Map<String, Value>,
    ) -> Result<(Value, bool), String> {
        let answer = self.ask(plant, name, arguments)?;
        let error = answer.error;
        Ok((answer.part(plant.spec.result.as_deref()), error))
    }

    /// Calls a tool with those hidden arguments added that it takes.
    ///
    /// # Errors
    /// It gave no answer.
    pub fn ask(
        &self,
        plant: &Plant,
        name: &str,
        arguments: &Map<String, Value>,
    ) -> Result<Answer, String> {
        let arguments = self.completed(&plant.spec, name, arguments);
        let (limit, name) = (plant.spec.timeout, name.to_owned());
        let answered = match &self.connection {
            Connection::Mcp(session) => {
                let asked = mcp::call(session.peer(), name, arguments);
                plant.reactor.wait(limit, asked)
            }
            Connection::OpenApi(service) => {
                let asked = openapi::call(service.clone(), name, arguments);
                plant.reactor.wait(limit, asked)
            }
        };
        answered
            .and_then(|answer| answer)
            .map_err(|reason| self.explain(&reason))
    }

    fn completed(
        &self,
        spec: &ServerSpec,
        name: &str,
        arguments: &Map<String, Value>,
    ) -> Map<String, Value> {
        let tool = self.tools.iter().find(|tool| tool.name == name);
        let takes = |argument: &str| {
            tool.is_none_or(|tool| tool.parameters["properties"].get(argument).is_some())
        };
        let mut all = arguments.clone();
        for (argument, value) in &spec.hide {
            if !value.is_null() && takes(argument) {
                all.insert(argument.clone(), value.clone());
            }
        }
        let key = spec.seen().and_then(|seen| seen.key.as_deref());
        if let Some(key) = key.filter(|key| takes(key)) {
            all.insert(key.to_owned(), Value::String(self.key.clone()));
        }
        all
    }

    fn explain(&self, reason: &str) -> String {
        match &self.process {
            Some(process) => process.lock().explain(reason),
            None => reason.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_agent_reads_the_part_of_a_result_that_is_named() {
        let read = |content: &str, pointer| {
            let answer = Answer {
                content: content.to_owned(),
                error: false,
            };
            answer.part(pointer)
        };
        let whole = r#"{"content": "two rooms", "parsed": {"n": 2}}"#;
        assert_eq!(read(whole, Some("/content")), json!("two rooms"));
        assert_eq!(read(whole, Some("/parsed")), json!({"n": 2}));
        for (text, pointer) in [
            (whole, Some("/none")),
            ("plain", Some("/content")),
            (whole, None),
        ] {
            assert_eq!(read(text, pointer), json!(text));
        }
    }
}
