//! `agoge chat`: you play the user, the trained policy answers; its calls and the verdict of the task are shown.

use std::io::{BufRead, IsTerminal, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use agoge_checker::{Verdict, check};
use agoge_contract::Endpoint;
use agoge_crds::Manifest;
use agoge_dialogue::{Message, ToolCall};
use agoge_llm::{Client, Request};
use agoge_sandbox::Limits;
use agoge_store::{Digest, Folder, Store};
use agoge_world::{DONE, Domain, Episode, Split, Task, World};
use clap::Args;
use serde_json::Value;

use super::export;
use crate::driver::objects;
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
    #[arg(long, default_value = "grpo", value_parser = ["grpo", "agentSFT", "sftContinued", "grpoUnfiltered"])]
    pub stage: String,
    /// The task to begin with, by id.
    #[arg(long)]
    pub task: Option<String>,
}

/// Calls that a policy may make before it speaks.
const MOST_CALLS: usize = 12;
/// Tokens of one turn.
const TURN: u32 = 96;

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
    let model = policy(&chat.out, &chat.stage)?;
    let domain = Arc::new(found.domain);
    let mut world = World::open(domain.clone(), Limits::default()).map_err(Failure::input)?;
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
    for task in tasks.iter().cycle().skip(first) {
        let answer = |messages: &[Message]| -> Result<Message, String> {
            let request = Request::new(messages.to_vec(), TURN);
            let answer = runtime
                .block_on(client.ask("chat", &request))
                .map_err(|error| error.to_string())?;
            answer.message().map_err(|error| error.to_string())
        };
        if !Dialogue::new(task, &domain).play(&mut world, answer)? {
            return Ok(());
        }
    }
    Err(Failure::Input(
        "the suite has no held-out task to talk about".into(),
    ))
}

/// The folder of a trained policy, written out of the store once for each policy.
fn policy(out: &Path, stage: &str) -> Result<PathBuf, Failure> {
    let runs = objects::stored(out)?
        .into_iter()
        .filter_map(|object| match object.manifest {
            Manifest::GRPORun(run) => run.status,
            _ => None,
        });
    let digest = runs
        .into_iter()
        .find_map(|status| status.stages.get(stage)?.digest.clone());
    let Some(digest) = digest else {
        return Err(Failure::Input(format!(
            "{} has no trained policy yet: its stage {stage} is not done",
            out.display()
        )));
    };
    let store = Store::open(out.join("store"))?;
    let record: Value = store.get_json(&Digest::parse(&digest).map_err(Failure::input)?)?;
    let files = record.get("model").cloned().unwrap_or_default();
    let files: Folder = serde_json::from_value(files)
        .map_err(|_| Failure::Input(format!("the record of the stage {stage} names no model")))?;
    let folder = out.join("models").join(
        digest
            .trim_start_matches("sha256:")
            .get(..12)
            .unwrap_or(stage),
    );
    store.get_folder(&files, &folder)?;
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
        probe::client(&endpoint, None, Duration::from_secs(60), 1).map_err(Failure::input)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// One task's dialogue.
struct Dialogue<'a> {
    task: &'a Task,
    messages: Vec<Message>,
    episode: Episode,
}

impl<'a> Dialogue<'a> {
    fn new(task: &'a Task, domain: &Domain) -> Self {
        let prompt = if domain.prompt.is_empty() {
            &domain.policy
        } else {
            &domain.prompt
        };
        Self {
            task,
            messages: vec![Message::system(prompt)],
            episode: Episode::default(),
        }
    }

    /// Whether another task follows.
    fn play(
        mut self,
        world: &mut World,
        mut answer: impl FnMut(&[Message]) -> Result<Message, String>,
    ) -> Result<bool, Failure> {
        let task = self.task;
        println!("\ntask {} ({}/{})", task.id, task.intent, task.branch);
        println!("you are told: {}", task.user.instruction);
        println!("you might begin: {}", task.user.opening);
        let mut lines = std::io::stdin().lock().lines();
        loop {
            if std::io::stdin().is_terminal() {
                print!("you> ");
                std::io::stdout()
                    .flush()
                    .map_err(|error| Failure::Failed(error.to_string()))?;
            }
            let Some(Ok(line)) = lines.next() else {
                return Ok(false);
            };
            match line.trim() {
                "" => continue,
                "/quit" => return Ok(false),
                "/next" => return Ok(true),
                "/gold" => {
                    for call in &task.gold {
                        println!("gold> {}", shown(call));
                    }
                    continue;
                }
                "/done" => {
                    self.judge(world);
                    return Ok(true);
                }
                said => {
                    self.messages.push(Message::user(said));
                    if said.contains(DONE) {
                        self.judge(world);
                        return Ok(true);
                    }
                    self.agent(world, &mut answer);
                }
            }
        }
    }

    /// The agent's calls, until it speaks.
    fn agent(
        &mut self,
        world: &mut World,
        answer: &mut impl FnMut(&[Message]) -> Result<Message, String>,
    ) {
        for _ in 0..MOST_CALLS {
            let message = match answer(&self.messages) {
                Ok(message) => message,
                Err(error) => {
                    println!("! {error}");
                    return;
                }
            };
            self.messages.push(message.clone());
            if message.tool_calls.is_empty() {
                println!("agent> {}", message.content);
                return;
            }
            for call in &message.tool_calls {
                let result = world.call(&mut self.episode, call);
                println!("call> {}\n    -> {}", shown(call), result.content);
                self.messages
                    .push(Message::tool_result(&call.id, &result.content));
            }
        }
        println!("! it called {MOST_CALLS} times without a word");
    }

    fn judge(&self, world: &mut World) {
        let spoken = self.messages.get(1..).unwrap_or_default();
        let verdict: Verdict = check(world, self.task, &self.episode, spoken);
        println!("\nverdict: {}", if verdict.pass { "pass" } else { "fail" });
        for part in &verdict.parts {
            let mark = if part.pass { "ok  " } else { "FAIL" };
            println!("  {mark} {} {}", part.name, part.evidence);
        }
        if let Some(killed) = &verdict.killed {
            println!("  killed: {killed}");
        }
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
