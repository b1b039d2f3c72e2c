//! The client's end: one process, asked one thing at a time, watched by the clock, replaced when it dies.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::{Map, Value};

use crate::protocol::{Reply, Request, read, write};
use crate::{KillReason, Limits, Outcome, Overlay, State};

/// The time after its own limit at which a run is killed from outside; the check inside comes first where it can.
const GRACE: Duration = Duration::from_millis(500);
const START: Duration = Duration::from_secs(30);

/// The data and tools that a sandbox is started with.
#[derive(Clone, Debug)]
pub struct Program {
    /// The domain's data.
    pub state: State,
    /// The source of its tools.
    pub tools: String,
}

/// The episode that a checker reads.
#[derive(Clone, Copy, Debug)]
pub struct CheckInput<'a> {
    /// The state at the start.
    pub initial: &'a Overlay,
    /// The state at the end.
    pub last: &'a Overlay,
    /// The calls made, a list of `{name, arguments, result, error}`.
    pub calls: &'a Value,
    /// The dialogue, a list of messages.
    pub messages: &'a Value,
    /// The episode's clock.
    pub now: &'a str,
}

/// The reason why a sandbox could not be started. A run's own end is an [`Outcome`].
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The binary did not start.
    #[error("starting the sandbox {path}: {source}; build it, or name it in AGOGE_SANDBOX")]
    Start {
        /// The binary.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// It started and did not become ready.
    #[error("the sandbox did not become ready: {0}")]
    NotReady(String),
}

/// One sandbox process. Blocking; `Send`; one a thread.
#[derive(Debug)]
pub struct Sandbox {
    program: Program,
    limits: Limits,
    process: Option<Process>,
}

#[derive(Debug)]
struct Process {
    child: Child,
    input: ChildStdin,
    output: ChildStdout,
}

impl Sandbox {
    /// Starts a process, gives it the data and waits until it is confined.
    ///
    /// # Errors
    /// [`SandboxError`].
    pub fn spawn(program: Program, limits: Limits) -> Result<Self, SandboxError> {
        let mut sandbox = Self {
            program,
            limits,
            process: None,
        };
        sandbox.process = Some(sandbox.start()?);
        Ok(sandbox)
    }

    /// The limits of every run.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Calls a tool in an episode. The overlay that comes back is the episode after it: unchanged unless it returned.
    pub fn call(
        &mut self,
        overlay: &Overlay,
        now: &str,
        function: &str,
        arguments: &Map<String, Value>,
    ) -> (Outcome, Overlay) {
        let request = Request::Call {
            overlay: overlay.clone(),
            now: now.to_owned(),
            function: function.to_owned(),
            arguments: arguments.clone(),
        };
        let (outcome, after) = self.ask(&request);
        (outcome, after.unwrap_or_else(|| overlay.clone()))
    }

    /// Runs `function` of a checker's source over an episode.
    pub fn check(&mut self, source: &str, function: &str, input: CheckInput<'_>) -> Outcome {
        let request = Request::Check {
            source: source.to_owned(),
            function: function.to_owned(),
            initial: input.initial.clone(),
            last: input.last.clone(),
            calls: input.calls.clone(),
            messages: input.messages.clone(),
            now: input.now.to_owned(),
        };
        self.ask(&request).0
    }

    /// One run. A process may be killed from outside (a node short of memory, a person): a run touches nothing but what
    /// it answers, so one whose process died is played once more, and only one that dies again did it itself.
    fn ask(&mut self, request: &Request) -> (Outcome, Option<Overlay>) {
        match self.attempt(request) {
            (Outcome::Killed(KillReason::Crash), _) => self.attempt(request),
            ended => ended,
        }
    }

    fn attempt(&mut self, request: &Request) -> (Outcome, Option<Overlay>) {
        let crashed = (Outcome::Killed(KillReason::Crash), None);
        let mut process = match self.process.take() {
            Some(process) => process,
            None => match self.start() {
                Ok(process) => process,
                Err(_) => return crashed,
            },
        };
        if write(&mut process.input, request).is_err() {
            return crashed;
        }
        match process.reply(self.limits.wall + GRACE) {
            Ok(Reply::Done { outcome, overlay }) => {
                self.process = Some(process);
                (outcome, overlay)
            }
            Ok(_) => crashed,
            Err(Silence::TimedOut) => (Outcome::Killed(KillReason::Time), None),
            Err(Silence::Died) => (Outcome::Killed(process.post_mortem()), None),
        }
    }

    fn start(&self) -> Result<Process, SandboxError> {
        let path = locate();
        let failed = |source| SandboxError::Start {
            path: path.clone(),
            source,
        };
        let mut child = Command::new(&path)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(failed)?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(SandboxError::NotReady("it has no pipes".into()));
        };
        let mut process = Process {
            child,
            input,
            output,
        };
        let init = Request::Init {
            state: self.program.state.to_json(),
            tools: self.program.tools.clone(),
            limits: self.limits.clone(),
        };
        write(&mut process.input, &init).map_err(failed)?;
        match process.reply(START) {
            Ok(Reply::Ready) => Ok(process),
            Ok(Reply::Refused(reason)) => Err(SandboxError::NotReady(reason)),
            Ok(_) => Err(SandboxError::NotReady("it answered out of turn".into())),
            Err(Silence::TimedOut) => {
                Err(SandboxError::NotReady("it gave no answer in 30 s".into()))
            }
            Err(Silence::Died) => Err(SandboxError::NotReady("it died while starting".into())),
        }
    }
}

enum Silence {
    TimedOut,
    Died,
}

/// A process's output that is read until a deadline.
struct Until<'a> {
    output: &'a mut ChildStdout,
    deadline: Instant,
}

impl Read for Until<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).map_err(|_| io::ErrorKind::TimedOut)?;
        let mut waiting = [PollFd::new(&*self.output, PollFlags::IN)];
        match poll(&mut waiting, Some(&timeout))? {
            0 => Err(io::ErrorKind::TimedOut.into()),
            _ => self.output.read(buffer),
        }
    }
}

impl Process {
    fn reply(&mut self, within: Duration) -> Result<Reply, Silence> {
        let mut output = Until {
            output: &mut self.output,
            deadline: Instant::now() + within,
        };
        match read(&mut output) {
            Ok(Some(reply)) => Ok(reply),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => Err(Silence::TimedOut),
            Ok(None) | Err(_) => Err(Silence::Died),
        }
    }

    /// Returns the reason why the process died: the allocator's own exit is memory, everything else a crash.
    fn post_mortem(&mut self) -> KillReason {
        let _ = self.input.flush();
        match self.child.wait() {
            Ok(status) if status.code() == Some(monty_types::OOM_EXIT_CODE) => KillReason::Memory,
            _ => KillReason::Crash,
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where the `agoge-sandbox` binary is: `AGOGE_SANDBOX`, else beside this executable or in a folder above it (tests
/// run in `deps/`), else on the `PATH`.
#[must_use]
pub fn locate() -> PathBuf {
    const NAME: &str = "agoge-sandbox";
    if let Some(path) = std::env::var_os("AGOGE_SANDBOX") {
        return path.into();
    }
    let here = std::env::current_exe().unwrap_or_default();
    here.ancestors()
        .skip(1)
        .take(3)
        .map(|folder| folder.join(NAME))
        .find(|candidate| Path::is_file(candidate))
        .unwrap_or_else(|| NAME.into())
}
