//! `agoge env`: a domain and its suite as an environment of other stacks.

use std::io::BufRead;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use agoge_artifacts::Instance;
use agoge_gym::{
    App, Catalog, Hall, PackageOptions, ServerLimits, Token, needs_token, serve, verifiers_package,
};
use agoge_sandbox::Limits;
use agoge_world::{Domain, Split, Task, World};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use super::domain::inside;
use super::export;
use crate::failure::Failure;

/// The variable that holds the token.
const TOKEN: &str = "AGOGE_ENV_TOKEN";

/// Serves a domain to RL stacks, or writes what they need of it.
#[derive(Debug, Subcommand)]
pub enum EnvCommand {
    /// Serves a domain's tasks to other stacks: over MCP, as a NeMo Gym resources server, as OpenEnv, and over plain HTTP.
    ///
    /// A session is one task with a state and a dialogue of its own; resets are free. Tools and checkers run in the sandbox.
    /// A checker that is stopped is an error, never a reward. docs/env.md shows each stack's client. Ends at SIGINT or
    /// SIGTERM.
    Serve(Box<Serve>),
    /// Prints the tasks that `env serve` would serve, gold included, one JSON object a line. `--tasks` reads them back.
    Tasks(Tasks),
    /// Writes a Python package for verifiers whose tools and reward come from `env serve`.
    Package(Package),
}

/// The domain and its tasks.
#[derive(Debug, Args)]
pub struct Source {
    /// The domain's folder, or a folder that has it as domain/. Its tasks are those of tasks.jsonl, and some that are drawn
    /// from its templates for each split.
    #[arg(required_unless_present = "out")]
    pub domain: Option<PathBuf>,
    /// The folder of a run: its qualified suite is taken.
    #[arg(long, value_name = "DIR", conflicts_with = "domain")]
    pub out: Option<PathBuf>,
    /// The CheckerSuite, where the run has several.
    #[arg(long, value_name = "NAME", requires = "out")]
    pub suite: Option<String>,
    /// Take the tasks from this file instead: a JSON object a line, {"task": .., "split": ..} or a task.
    #[arg(long, value_name = "FILE", requires = "domain")]
    pub tasks: Option<PathBuf>,
    /// Tasks at most that are drawn from the templates for each split.
    #[arg(long, value_name = "TASKS", default_value_t = 200)]
    pub per_split: usize,
    /// Seed of the tasks that are drawn.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
}

/// The options of the server.
#[derive(Debug, Args)]
pub struct Serve {
    #[command(flatten)]
    pub source: Source,
    /// The address to listen on; port 0 takes any free one and prints it. Beyond this machine a token is needed.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8700")]
    pub listen: SocketAddr,
    /// A file that holds the token. [default: the variable AGOGE_ENV_TOKEN]
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// The address under which clients reach the server, where a proxy stands before it.
    #[arg(long, value_name = "URL")]
    pub public_url: Option<String>,
    /// Offer agents the tool `say_to_user`, for stacks that have no turns of a user.
    #[arg(long)]
    pub say_tool: bool,
    /// Sandbox processes, shared by all sessions. [default: the number of cores]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub worlds: Option<u16>,
    /// Sessions at a time.
    #[arg(long, default_value_t = ServerLimits::default().sessions)]
    pub sessions: usize,
    /// Seconds after which a session that is not used is closed.
    #[arg(long, value_name = "SECONDS", default_value_t = ServerLimits::default().idle.as_secs())]
    pub idle: u64,
    /// Tool calls and texts of one session.
    #[arg(long, default_value_t = ServerLimits::default().calls)]
    pub calls: u32,
    /// KiB of one request.
    #[arg(long, value_name = "KIB", default_value_t = ServerLimits::default().body_bytes >> 10,
        value_parser = body_kib)]
    pub body_kib: usize,
    /// Requests in a second, of all clients together; 0 for any number.
    #[arg(long, default_value_t = ServerLimits::default().rate)]
    pub rate: u32,
}

/// The options of the list of tasks.
#[derive(Debug, Args)]
pub struct Tasks {
    #[command(flatten)]
    pub source: Source,
    /// Only this split: trainSft, trainRl, heldout or unseen.
    #[arg(long, value_parser = split)]
    pub split: Option<Split>,
}

/// The options of the package.
#[derive(Debug, Args)]
pub struct Package {
    /// The domain's folder, or a folder that has it as domain/.
    pub domain: PathBuf,
    /// The folder to write. It must not exist yet, or be empty.
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
    /// The address of the server.
    #[arg(long, default_value = "http://127.0.0.1:8700")]
    pub url: String,
    /// The split that is played unless another is named.
    #[arg(long, default_value = "trainRl", value_parser = split)]
    pub split: Split,
}

fn split(text: &str) -> Result<Split, String> {
    serde_json::from_value(json!(text))
        .map_err(|_| "name one of trainSft, trainRl, heldout, unseen".to_owned())
}

fn body_kib(text: &str) -> Result<usize, String> {
    let kib = text
        .parse::<usize>()
        .ok()
        .filter(|kib| (1..=1 << 20).contains(kib));
    kib.ok_or_else(|| format!("write a number from 1 to {}", 1 << 20))
}

/// Runs it.
///
/// # Errors
/// A domain or suite that cannot be read, an address that is taken, or a token that is missing.
pub fn env(command: &EnvCommand) -> Result<(), Failure> {
    match command {
        EnvCommand::Serve(options) => served(options),
        EnvCommand::Tasks(options) => listed(options),
        EnvCommand::Package(options) => packed(options),
    }
}

/// Serves until a signal comes.
fn served(options: &Serve) -> Result<(), Failure> {
    let token = token(options)?;
    if token.is_none() && needs_token(&options.listen) {
        return Err(Failure::Input(format!(
            "a server on {} can be reached from elsewhere, so it needs a token; set {TOKEN}, or name a file with --token-file",
            options.listen
        )));
    }
    let (domain, tasks) = options.source.read()?;
    let catalog = Catalog::new(tasks).map_err(Failure::input)?;
    let splits: Vec<String> = catalog
        .splits()
        .map(|(split, n)| format!("{n} {}", split.as_str()))
        .collect();
    let cores = available_parallelism().map_or(1, usize::from);
    let worlds = options.worlds.map_or(cores, usize::from);
    let limits = limits(options);
    let name = domain.name.clone();
    let hall = Hall::open(domain, catalog, worlds, &Limits::default(), limits)?;
    let mut app = App::new(hall, token);
    app.public_url.clone_from(&options.public_url);
    app.say_tool = options.say_tool;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores.min(4))
        .enable_all()
        .build()
        .map_err(|error| Failure::Failed(format!("cannot start: {error}")))?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(options.listen)
            .await
            .and_then(|listener| Ok((listener.local_addr()?, listener)));
        let (bound, listener) = listener.map_err(|error| {
            Failure::Input(format!(
                "cannot listen on {}: {error}; name another --listen, such as 127.0.0.1:0 for any free port",
                options.listen
            ))
        })?;
        let stop = stop()?;
        println!("serving {name} on http://{bound} ({}; {worlds} worlds)", splits.join(", "));
        serve(listener, Arc::new(app), stop)
            .await
            .map_err(|error| Failure::Infra(format!("the server ended: {error}")))
    })
}

/// A future that is ready when the process is asked to end.
fn stop() -> Result<impl Future<Output = ()> + Send + 'static, Failure> {
    let listen = |kind| {
        signal(kind).map_err(|error| Failure::Failed(format!("cannot listen for signals: {error}")))
    };
    let (mut interrupted, mut ended) = (
        listen(SignalKind::interrupt())?,
        listen(SignalKind::terminate())?,
    );
    Ok(async move {
        tokio::select! {
            _ = interrupted.recv() => {}
            _ = ended.recv() => {}
        }
    })
}

fn limits(options: &Serve) -> ServerLimits {
    ServerLimits {
        sessions: options.sessions.max(1),
        idle: Duration::from_secs(options.idle.max(1)),
        calls: options.calls,
        body_bytes: options.body_kib << 10,
        rate: options.rate,
        ..ServerLimits::default()
    }
}

fn token(options: &Serve) -> Result<Option<Token>, Failure> {
    let text = match &options.token_file {
        Some(file) => Some(std::fs::read_to_string(file).map_err(Failure::file("read", file))?),
        None => std::env::var(TOKEN)
            .ok()
            .filter(|text| !text.trim().is_empty()),
    };
    text.map(|text| Token::new(&text).map_err(Failure::Input))
        .transpose()
}

fn listed(options: &Tasks) -> Result<(), Failure> {
    let (_, tasks) = options.source.read()?;
    let wanted = |one: &Split| options.split.is_none_or(|split| split == *one);
    for (split, task) in tasks.iter().filter(|(split, _)| wanted(split)) {
        println!("{}", json!({"split": split, "task": task}));
    }
    Ok(())
}

fn packed(options: &Package) -> Result<(), Failure> {
    export::check_empty(&options.dir)?;
    let domain = agoge_servers::load(&inside(&options.domain)).map_err(Failure::input)?;
    let package = PackageOptions {
        url: options.url.clone(),
        split: options.split,
        ..PackageOptions::of(&domain)
    };
    let id = verifiers_package(&options.dir, &package).map_err(Failure::input)?;
    println!(
        "wrote {}; next: pip install {0} && vf-eval {id}",
        options.dir.display()
    );
    Ok(())
}

/// A domain, and its tasks with their splits.
type Read = (Arc<Domain>, Vec<(Split, Task)>);

impl Source {
    /// Returns the domain, and the tasks with their splits.
    ///
    /// # Errors
    /// A domain, suite or file that cannot be read.
    pub fn read(&self) -> Result<Read, Failure> {
        let Some(folder) = &self.domain else {
            let out = self.out.as_deref().unwrap_or_else(|| Path::new("."));
            let found = export::find(out, self.suite.as_deref())?;
            let tasks = found.instances.into_iter();
            let tasks = tasks.map(|instance| (instance.split, instance.task));
            return Ok((Arc::new(found.domain), tasks.collect()));
        };
        let domain = Arc::new(agoge_servers::load(&inside(folder)).map_err(Failure::input)?);
        if let Some(file) = &self.tasks {
            return Ok((domain, of_file(file)?));
        }
        let mut world = World::open(domain.clone(), Limits::default())?;
        let tasks = Catalog::tasks_of(&mut world, self.per_split, self.seed);
        Ok((domain, tasks.map_err(Failure::input)?))
    }
}

/// Reads a file of tasks. One without a split is a task of reinforcement learning.
fn of_file(file: &Path) -> Result<Vec<(Split, Task)>, Failure> {
    let opened = std::fs::File::open(file).map_err(Failure::file("read", file))?;
    let mut tasks = Vec::new();
    for (number, line) in (1..).zip(std::io::BufReader::new(opened).lines()) {
        let line = line.map_err(Failure::file("read", file))?;
        if line.trim().is_empty() {
            continue;
        }
        let read = of_line(&line).map_err(|error| {
            Failure::Input(format!(
                "{}:{number}: {error}; write a task, or {{\"task\": .., \"split\": ..}}, on each line",
                file.display()
            ))
        })?;
        tasks.push(read);
    }
    Ok(tasks)
}

fn of_line(line: &str) -> Result<(Split, Task), serde_json::Error> {
    let value: Value = serde_json::from_str(line)?;
    if value.get("task").is_some() {
        let instance: Instance = serde_json::from_value(value)?;
        return Ok((instance.split, instance.task));
    }
    let task: Task = serde_json::from_value(value)?;
    Ok((task.split.unwrap_or(Split::TrainRl), task))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_tasks_names_the_line_that_cannot_be_read() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("tasks.jsonl");
        let task = |id: &str| json!({"id": id, "user": {}, "gold": []});
        let whole = json!({"split": "heldout", "task": task("a")});
        std::fs::write(&file, format!("{whole}\n\n{}\n", task("b"))).unwrap();
        let read = of_file(&file).unwrap();
        let ids: Vec<_> = read
            .iter()
            .map(|(split, task)| (*split, task.id.as_str()))
            .collect();
        assert_eq!(ids, [(Split::Heldout, "a"), (Split::TrainRl, "b")]);
        std::fs::write(&file, format!("{whole}\n{{\"id\": 7}}\n")).unwrap();
        let refused = of_file(&file).unwrap_err().to_string();
        assert!(refused.contains("tasks.jsonl:2:"), "{refused}");
    }
}
