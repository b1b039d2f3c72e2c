//! Rollout servers beside a trainer, as processes: one is killed in the middle and started again, the other then stays away,
//! and the trainer ends with the record of a trainer that played itself, bit for bit.
#![allow(clippy::unwrap_used)]

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use agoge_tests::{Desk, binary, read, said};
use serde_json::{Value, json};

const STEPS: usize = 12;
/// Of a worker that was asked to stop.
const STOPPED: i32 = 130;

/// A small deterministic run that asks for rollout servers.
fn desk() -> Desk {
    let mut desk = Desk::new();
    let patch = format!(
        "kind: SynthesisJob\nmetadata: {{name: desk}}\nspec: {{deterministic: true}}\n---\n\
         kind: GRPORun\nmetadata: {{name: desk}}\nspec:\n  deterministic: true\n  \
         topology: {{mode: disaggregated, rollouts: 2}}\n  stages:\n    agentSFT: {{maxEpochs: 4}}\n    \
         grpo: {{steps: {STEPS}, wallClock: null, groupSize: 4, groupsPerStep: 4}}\n    \
         evaluation: {{tasks: 8, samples: 1, arms: [empty, grpo]}}\n"
    );
    let file = desk.dir.path().join("patch.yaml");
    std::fs::write(&file, patch).unwrap();
    let file = file.display().to_string();
    desk.flags.extend(["--patch".to_owned(), file]);
    desk
}

/// Forgets that GRPO is done: its record is made again.
fn forget(store: &Path) {
    let mut folders = vec![store.to_owned()];
    let mut forgotten = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|x| x == "json")
                && read(&path)["inputs"]["stage"] == "grpo"
            {
                std::fs::remove_file(path).unwrap();
                forgotten += 1;
            }
        }
    }
    assert_eq!(forgotten, 1, "records of GRPO");
}

/// The workers of one stage.
struct Stage {
    dir: PathBuf,
    assignment: Value,
    ports: [u16; 2],
}

impl Stage {
    /// The stage that the laptop's driver ran by itself.
    fn of(desk: &Desk) -> Self {
        let assignment = read(&desk.out().join("work/desk-grpo/assignment.json"));
        assert!(assignment["spec"].get("rollouts").is_none());
        let free = || TcpListener::bind("127.0.0.1:0").unwrap();
        let listeners = [free(), free()];
        Self {
            dir: desk.dir.path().to_owned(),
            assignment,
            ports: listeners.map(|listener| listener.local_addr().unwrap().port()),
        }
    }

    fn worker(&self, name: &str, role: &str, assignment: &Value) -> Command {
        let file = self.dir.join(format!("{name}.json"));
        std::fs::write(&file, assignment.to_string()).unwrap();
        let mut command = Command::new(binary("agoge-worker"));
        command.arg(role).arg("--assignment").arg(file);
        command.stderr(Stdio::piped()).env("AGOGE_LOG", "warn");
        command
    }

    fn server(&self, n: usize) -> Child {
        let name = format!("server-{n}");
        let mut assignment = self.assignment.clone();
        assignment["spec"]["role"] = json!("rollout");
        assignment["work"] = json!(self.dir.join(&name));
        assignment["threads"] = json!(1);
        let mut command = self.worker(&name, "rollout", &assignment);
        command.arg("--listen");
        command.arg(format!("127.0.0.1:{}", self.ports[n]));
        command.spawn().unwrap()
    }

    fn trainer(&self, name: &str, patience: &str) -> Child {
        let hosts = self.ports.map(|port| format!("127.0.0.1:{port}"));
        let mut assignment = self.assignment.clone();
        assignment["spec"]["rollouts"] = json!({ "hosts": hosts, "servers": 2 });
        assignment["work"] = json!(self.dir.join(name));
        let mut command = self.worker(name, "train", &assignment);
        command.env("AGOGE_ROLLOUT_PATIENCE", patience);
        command.spawn().unwrap()
    }

    /// Waits until the trainer has made so many steps.
    fn steps(&self, steps: usize, trainer: &mut Child) {
        let trace = self.dir.join("trainer/metrics.jsonl");
        let made = || {
            std::fs::read_to_string(&trace)
                .unwrap_or_default()
                .lines()
                .count()
        };
        let began = Instant::now();
        while made() < steps {
            assert!(
                began.elapsed() < Duration::from_secs(120),
                "no step {steps}"
            );
            assert!(trainer.try_wait().unwrap().is_none(), "the trainer ended");
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(made() < STEPS, "it was over before anything happened to it");
    }
}

/// Asks it to stop; what it said.
fn stop(server: Child) -> Output {
    let pid = server.id().to_string();
    let asked = Command::new("kill").args(["-TERM", &pid]).status();
    assert!(asked.unwrap().success());
    server.wait_with_output().unwrap()
}

/// A message that is neither a piece of its run nor weights of its policy changes nothing in a server.
fn refuses(port: u16) {
    let (status, health) = ask(port, "GET /healthz", "");
    assert_eq!(status, 200);
    let held = health["weights"].as_str().unwrap().to_owned();
    let game = json!({"setup": "another", "weights": held, "step": 1, "temperature": 1.0, "slots": 1, "seats": []});
    for (what, body) in [
        ("POST /play", "no piece"),
        ("POST /play", &game.to_string()),
        ("PUT /weights/sha256:0", "no weights"),
    ] {
        assert_eq!(ask(port, what, body).0, 422, "{what}");
    }
    let long = "0".repeat(17 << 20);
    for what in ["POST /play", "PUT /weights/sha256:0"] {
        // The connection may be gone before all is sent, and the answer with it.
        let (status, _) = ask(port, what, &long);
        assert!(matches!(status, 413 | 0), "{what}: {status}");
    }
    let (_, health) = ask(port, "GET /healthz", "");
    assert_eq!(health["weights"], held);
}

/// Status and body of an answer; 0 where none came.
fn ask(port: u16, what: &str, body: &str) -> (u16, Value) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let patience = Some(Duration::from_secs(20));
    stream.set_read_timeout(patience).unwrap();
    let length = body.len();
    let head = format!("host: x\r\nconnection: close\r\ncontent-length: {length}");
    let mut answer = String::new();
    let _ = write!(stream, "{what} HTTP/1.1\r\n{head}\r\n\r\n{body}");
    let _ = stream.read_to_string(&mut answer);
    let status = answer.split(' ').nth(1).and_then(|s| s.parse().ok());
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let body = serde_json::from_str(body).unwrap_or_default();
    (status.unwrap_or_default(), body)
}

#[test]
fn servers_that_are_killed_and_replaced_change_nothing_of_what_the_trainer_makes() {
    let desk = desk();
    let output = desk.up();
    let told = said(&output);
    assert!(output.status.success(), "{told}");
    assert!(told.contains("plays its own rollouts"), "{told}");
    let digest = desk.status("grporun-desk")["stages"]["grpo"]["digest"].clone();
    let store = desk.out().join("store");
    forget(&store);

    let stage = Stage::of(&desk);
    let mut first = stage.server(0);
    let mut second = stage.server(1);
    let mut trainer = stage.trainer("trainer", "60");
    stage.steps(2, &mut trainer);
    first.kill().unwrap();
    first.wait().unwrap();
    // The other plays on.
    stage.steps(4, &mut trainer);
    let again = stage.server(0);
    second.kill().unwrap();
    second.wait().unwrap();
    // All that is left to play is the one that was started again.
    let output = trainer.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let told = said(&output);
    assert!(told.contains("a rollout server is skipped"), "{told}");
    let result = read(&stage.dir.join("trainer/result.json"));
    assert_eq!(result["step"], STEPS);
    assert_eq!(result["digest"], digest, "trace and weights, bit for bit");

    refuses(stage.ports[0]);
    let stopped = stop(again);
    assert_eq!(stopped.status.code(), Some(STOPPED), "{}", said(&stopped));
    let played = &read(&stage.dir.join("server-0/progress.json"))["done"];
    assert!(played.as_u64().unwrap() > 0, "{played}");

    forget(&store);
    let output = stage.trainer("lonely", "1").wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    let told = said(&output);
    assert!(
        told.contains("no rollout server has played for 1 s"),
        "{told}"
    );
}
