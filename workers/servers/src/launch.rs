//! A server's process: its command, environment and isolation, and its end with all its children.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use agoge_world::{Domain, ServerSpec};
use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// Bytes of its last messages that are kept for errors.
const TAIL: usize = 4096;
/// Looks at a process that gave no answer, and the time between two.
const LOOKS: usize = 10;
const LOOK: Duration = Duration::from_millis(20);
/// Ways to start a program without network, the best first: in the first one, children cannot outlive it.
const ISOLATIONS: [&[&str]; 2] = [
    &[
        "--user",
        "--map-current-user",
        "--net",
        "--pid",
        "--fork",
        "--kill-child",
        "--",
    ],
    &["-r", "-n", "--"],
];

/// Returns the arguments of `unshare` that take the network away from a program on this machine; `None` where none work.
#[must_use]
pub fn isolation() -> Option<&'static [&'static str]> {
    ISOLATIONS.into_iter().find(|arguments| {
        std::process::Command::new("unshare")
            .args(*arguments)
            .arg("true")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    })
}

/// The values of `$STATE`, `$DOMAIN`, `$NOW` and `$PORT`.
#[derive(Debug)]
pub(crate) struct Variables<'a> {
    pub state: &'a Path,
    pub domain: &'a Domain,
    pub port: Option<u16>,
}

impl Variables<'_> {
    /// Replaces the variables in a text.
    pub fn fill(&self, text: &str) -> String {
        let folder = self.domain.dir.canonicalize();
        let folder = folder.as_deref().unwrap_or(&self.domain.dir);
        let port = self.port.map(|port| port.to_string()).unwrap_or_default();
        text.replace("$STATE", &self.state.to_string_lossy())
            .replace("$DOMAIN", &folder.to_string_lossy())
            .replace("$NOW", &self.domain.now)
            .replace("$PORT", &port)
    }
}

/// A running process. Dropped, it is killed with its children.
#[derive(Debug)]
pub(crate) struct Process {
    group: Option<Pid>,
    child: Child,
    tail: Arc<Mutex<Vec<u8>>>,
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(group) = self.group {
            // It may have ended by itself.
            let _ = kill_process_group(group, Signal::KILL);
        }
        for _ in 0..LOOKS {
            if self.ended() {
                break;
            }
            std::thread::sleep(LOOK);
        }
    }
}

/// Returns a server's command, with its variables filled in, its environment and its isolation.
///
/// # Errors
/// The command is empty.
pub(crate) fn prepared(
    command: &[String],
    spec: &ServerSpec,
    variables: &Variables<'_>,
    isolation: Option<&[&str]>,
) -> Result<Command, String> {
    let mut words = command.iter().map(|word| variables.fill(word));
    let program = words.next().ok_or("the command is empty")?;
    let mut process = match isolation {
        Some(arguments) => {
            let mut process = Command::new("unshare");
            process.args(arguments).arg(&program);
            process
        }
        None => Command::new(&program),
    };
    // Nobody reads what a service prints.
    let pipe = || match variables.port {
        Some(_) => Stdio::null(),
        None => Stdio::piped(),
    };
    process
        .args(words)
        .env_clear()
        .envs(environment(spec, variables))
        .current_dir(variables.state)
        .stdin(pipe())
        .stdout(pipe())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    Ok(process)
}

/// Starts a server. Must run on the reactor.
///
/// # Errors
/// The program, and the system's reason.
pub(crate) fn launch(mut command: Command) -> Result<Process, String> {
    let program = command
        .as_std()
        .get_program()
        .to_string_lossy()
        .into_owned();
    let mut child = command.spawn().map_err(|error| {
        format!("`{program}` does not start: {error}; install it, or correct the command")
    })?;
    let group = child.id().and_then(|id| i32::try_from(id).ok());
    let tail = Arc::new(Mutex::new(Vec::new()));
    if let Some(mut stderr) = child.stderr.take() {
        let tail = tail.clone();
        tokio::spawn(async move {
            let mut part = [0; 1024];
            while let Ok(read @ 1..) = stderr.read(&mut part).await {
                let mut tail = tail.lock();
                tail.extend_from_slice(&part[..read]);
                let over = tail.len().saturating_sub(TAIL);
                tail.drain(..over);
            }
        });
    }
    Ok(Process {
        group: group.and_then(Pid::from_raw),
        child,
        tail,
    })
}

/// The environment: the search path, and what makes programs repeat themselves. The domain's own variables come last.
fn environment(spec: &ServerSpec, variables: &Variables<'_>) -> Vec<(String, String)> {
    let state = variables.state.to_string_lossy().into_owned();
    let mut all: Vec<(String, String)> = vec![
        ("HOME".into(), state.clone()),
        ("TMPDIR".into(), state),
        ("LANG".into(), "C.UTF-8".into()),
        ("TZ".into(), "UTC".into()),
        ("PYTHONHASHSEED".into(), "0".into()),
        ("PYTHONUNBUFFERED".into(), "1".into()),
        ("AGOGE_NOW".into(), variables.domain.now.clone()),
    ];
    all.extend(std::env::var("PATH").map(|path| ("PATH".to_owned(), path)));
    let own = spec.env.iter();
    all.extend(own.map(|(name, value)| (name.clone(), variables.fill(value))));
    all
}

impl Process {
    /// Takes the pipes of a server that talks over them.
    pub fn pipes(&mut self) -> Option<(ChildStdout, ChildStdin)> {
        self.child.stdout.take().zip(self.child.stdin.take())
    }

    /// Returns true when it runs no more.
    pub fn ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }

    /// Returns an error with the process's end and its last messages. Waits a moment for both.
    pub fn explain(&mut self, reason: &str) -> String {
        let mut end = String::new();
        for _ in 0..LOOKS {
            if let Ok(Some(status)) = self.child.try_wait() {
                end = format!("; it ended with {status}");
                // Its last messages are still being read.
                std::thread::sleep(LOOK);
                break;
            }
            std::thread::sleep(LOOK);
        }
        let tail = self.tail.lock();
        match String::from_utf8_lossy(&tail).trim() {
            "" => format!("{reason}{end}"),
            said => format!("{reason}{end}; its last messages: {said}"),
        }
    }
}
