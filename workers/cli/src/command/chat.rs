//! `agoge chat`: you play the user, the trained policy answers; its calls and the verdict of the task are shown.

use std::io::{BufRead, IsTerminal, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use agoge_checker::{Verdict, check};
use agoge_contract::Endpoint;
use agoge_crds::shared::EndpointBinding;
use agoge_dialogue::{Message, Role, ToolCall, ToolSpec};
use agoge_llm::{Client, Request};
use agoge_sandbox::Limits;
use agoge_synthesis::rollout::{Asker, Calls, EndpointAgent};
use agoge_world::{
    Domain, End, Fault, Party, Rules, SandboxBackend, SandboxSession, Session, Speaker, Split,
    StateView, Task, ToolResult, Turn, View, World, play,
};
use async_trait::async_trait;
use clap::Args;

use super::export;
use crate::driver::worker::Programs;
use crate::failure::Failure;
use crate::probe;

/// Talks to a run's trained policy. You play the user of a held-out task.
///
/// Each task says who you are and what you want. Type what you say; the policy's calls, their results and its answers are
/// shown. `/done` ends the dialogue and shows the verdict, `/next` takes another task, `/gold` shows the right calls,
/// `/quit` leaves.
#[derive(Debug, Args)]
pub struct Chat {
    /// The run's folder.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// The stage whose policy is talked to.
    #[arg(long, default_value = "grpo", value_parser = export::policy::STAGES)]
    pub stage: String,
    /// The GRPORun, where the run's folder has several.
    #[arg(long, value_name = "NAME")]
    pub run: Option<String>,
    /// The task to begin with, by id.
    #[arg(long)]
    pub task: Option<String>,
}

/// The rules of a chat: those of every episode behind an endpoint, with turns enough for a person.
fn rules() -> Rules {
    Rules {
        max_turns: 100,
        max_agent_tokens: 96,
        ..Rules::default()
    }
}

/// Runs it.
///
/// # Errors
/// No trained policy, or one that does not start.
pub fn chat(chat: &Chat) -> Result<(), Failure> {
    let found = export::find(&chat.out, None)?;
    let tasks: Vec<Task> = found
        .instances
        .into_iter()
        .filter(|instance| instance.split == Split::Heldout)
        .map(|instance| instance.task)
        .collect();
    let first = match &chat.task {
        Some(id) => tasks
            .iter()
            .position(|task| task.id == *id)
            .ok_or_else(|| {
                let some: Vec<&str> = tasks.iter().take(5).map(|task| task.id.as_str()).collect();
                Failure::Input(format!(
                    "there is no held-out task {id}; there are {} and others",
                    some.join(", ")
                ))
            })?,
        None => 0,
    };
    let model = policy(&chat.out, chat.run.as_deref(), &chat.stage)?;
    let domain = Arc::new(found.domain);
    let world = World::open(domain.clone(), Limits::default())?;
    let mut server = Server::start(
        &model,
        &domain.dir,
        &chat.out.join("logs").join("serve.log"),
    )?;
    let client = server.ready()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Failed(format!("cannot start: {error}")))?;
    let backend = SandboxBackend::new(world);
    for task in tasks.iter().cycle().skip(first) {
        let asker = Asker::new(&client, "chat".to_owned());
        let mut agent = EndpointAgent::new(asker, request(&domain), Calls::Native);
        let mut person = Person::new(task);
        let opened = backend.session(task);
        let mut session = Shown(opened.map_err(|fault| Failure::Failed(fault.to_string()))?);
        let rules = domain.rules(rules());
        let played = runtime.block_on(play(&mut session, &mut agent, &mut person, &rules));
        person.show(&played.messages);
        match (&played.end, person.left) {
            (End::Nonsense(reason), _) => println!("! {reason}"),
            (End::TurnLimit, _) => println!("! it has had {} turns", played.turns),
            (End::TokenLimit, _) => println!("! its turn has no end"),
            (End::Closed | End::User(_), _) => {}
            (end, _) => println!("! {}", end.outside().unwrap_or_default()),
        }
        match person.left {
            Some(Left::Quit) => return Ok(()),
            Some(Left::Next) => {}
            _ if played.end.outside().is_some() => {}
            None | Some(Left::Done) => judge(&backend, task, session.0, &played.messages),
        }
    }
    Err(Failure::Input(
        "the suite has no held-out task to talk about".into(),
    ))
}

/// The folder of a trained policy, written out of the store once for each policy.
fn policy(out: &Path, run: Option<&str>, stage: &str) -> Result<PathBuf, Failure> {
    let trained = export::policy::find(out, run, stage)?;
    let folder = out.join("models").join(trained.digest.short());
    trained.store.get_folder(&trained.files, &folder)?;
    Ok(folder)
}

/// `agoge-worker serve`, for as long as the talk lasts.
struct Server {
    process: Child,
    port: u16,
    log: PathBuf,
}

impl Server {
    fn start(model: &Path, domain: &Path, log: &Path) -> Result<Self, Failure> {
        let programs = Programs::find()?;
        // A port that was free a moment ago: nobody else is likely to take it in between.
        let port = TcpListener::bind(("127.0.0.1", 0))
            .and_then(|listener| listener.local_addr())
            .map_err(|error| Failure::Failed(format!("no free port: {error}")))?
            .port();
        let file = std::fs::File::create(log).map_err(Failure::file("write", log))?;
        let mut command = Command::new(&programs.worker);
        command
            .arg("serve")
            .arg("--model")
            .arg(model)
            .arg("--domain")
            .arg(domain);
        command
            .arg("--port")
            .arg(port.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file);
        let process = command
            .spawn()
            .map_err(Failure::file("start", &programs.worker))?;
        Ok(Self {
            process,
            port,
            log: log.to_owned(),
        })
    }

    /// A client, once it listens.
    fn ready(&mut self) -> Result<Client, Failure> {
        let began = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            if let Ok(Some(status)) = self.process.try_wait() {
                let log = std::fs::read_to_string(&self.log).unwrap_or_default();
                let last = log.lines().last().unwrap_or("it said nothing");
                return Err(Failure::Failed(format!(
                    "the policy's server ended ({status}): {last}"
                )));
            }
            if began.elapsed() > Duration::from_secs(60) {
                return Err(Failure::Failed(format!(
                    "the policy's server does not listen; see {}",
                    self.log.display()
                )));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let endpoint = Endpoint {
            url: format!("http://127.0.0.1:{}", self.port),
            key_variable: None,
        };
        let binding = EndpointBinding {
            concurrency: Some(1),
            ..EndpointBinding::default()
        };
        probe::client(&endpoint, &binding, Duration::from_secs(60)).map_err(Failure::input)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The first request to the policy. Its server has the domain's tools.
fn request(domain: &Domain) -> Request {
    let prompt = if domain.prompt.is_empty() {
        &domain.policy
    } else {
        &domain.prompt
    };
    Request::new(vec![Message::system(prompt)], rules().max_agent_tokens)
}

/// The command by which a person left a dialogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    Done,
    Next,
    Quit,
}

/// The person at the terminal, who plays the user.
struct Person<'a> {
    task: &'a Task,
    /// Messages that are shown already.
    seen: usize,
    left: Option<Left>,
}

impl<'a> Person<'a> {
    fn new(task: &'a Task) -> Self {
        println!("\ntask {} ({}/{})", task.id, task.intent, task.branch);
        println!("you are told: {}", task.user.instruction);
        println!("you might begin: {}", task.user.opening);
        Self {
            task,
            seen: 0,
            left: None,
        }
    }

    /// Shows the agent's words that have not been shown yet. Calls are shown as they run.
    fn show(&mut self, messages: &[Message]) {
        for message in messages.iter().skip(self.seen) {
            if message.role == Role::Assistant && !message.content.is_empty() {
                println!("agent> {}", message.content);
            }
        }
        self.seen = messages.len();
    }

    /// The next line to say, or the command that ends the dialogue.
    fn line(&self) -> Result<String, Left> {
        let mut lines = std::io::stdin().lock().lines();
        loop {
            if std::io::stdin().is_terminal() {
                print!("you> ");
                let _ = std::io::stdout().flush();
            }
            let Some(Ok(line)) = lines.next() else {
                return Err(Left::Quit);
            };
            match line.trim() {
                "" => {}
                "/quit" => return Err(Left::Quit),
                "/next" => return Err(Left::Next),
                "/done" => return Err(Left::Done),
                "/gold" => {
                    for call in &self.task.gold {
                        println!("gold> {}", shown(call));
                    }
                }
                text => return Ok(text.to_owned()),
            }
        }
    }
}

#[async_trait(?Send)]
impl Speaker for Person<'_> {
    async fn turn(&mut self, view: View<'_>) -> Result<Turn, Fault> {
        self.show(view.messages);
        match self.line() {
            Ok(text) => Ok(Turn::Message(Message::user(&text))),
            Err(left) => {
                self.left = Some(left);
                Err(Fault::User("left the dialogue".into()))
            }
        }
    }
}

/// A session whose calls are shown as they run.
struct Shown<'a>(SandboxSession<'a>);

#[async_trait(?Send)]
impl Session for Shown<'_> {
    fn tools(&self, party: Party) -> &[ToolSpec] {
        self.0.tools(party)
    }

    fn history(&self) -> &[Message] {
        self.0.history()
    }

    async fn call(&mut self, party: Party, call: &ToolCall) -> Result<ToolResult, Fault> {
        let result = self.0.call(party, call).await?;
        println!("call> {}\n    -> {}", shown(call), result.content);
        Ok(result)
    }

    async fn state(&mut self) -> Result<Option<StateView>, Fault> {
        self.0.state().await
    }
}

/// Shows the verdict of the task's checkers.
fn judge(backend: &SandboxBackend, task: &Task, session: SandboxSession<'_>, messages: &[Message]) {
    let verdict: Verdict = check(&mut backend.lock(), task, &session.into_episode(), messages);
    let word = match (verdict.pass, verdict.is_about_the_agent()) {
        (true, _) => "pass",
        (false, true) => "fail",
        (false, false) => "none",
    };
    println!("\nverdict: {word}");
    for part in &verdict.parts {
        let mark = if part.pass { "ok  " } else { "FAIL" };
        println!("  {mark} {} {}", part.name, part.evidence);
    }
    if let Some(stopped) = verdict.killed.as_ref().or(verdict.lost.as_ref()) {
        println!("  stopped: {stopped}");
    }
}

fn shown(call: &ToolCall) -> String {
    let arguments: Vec<String> = call
        .arguments
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    format!("{}({})", call.name, arguments.join(", "))
}
