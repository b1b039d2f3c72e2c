//! The client's end: one process, asked one thing at a time, watched, and replaced when it dies.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Map, Value};

use crate::process::{Bound, Process, Silence};
use crate::protocol::{Reply, Request};
use crate::{KillReason, Limits, Outcome, Overlay, State};

/// The time after its own bound on the clock at which a run is ended from outside.
const GRACE: Duration = Duration::from_millis(500);
const START: Duration = Duration::from_secs(30);
/// The pauses before the tries of one run.
const PAUSES: [Duration; 3] = [
    Duration::ZERO,
    Duration::from_millis(200),
    Duration::from_secs(2),
];

/// The data and tools that a sandbox is started with.
#[derive(Clone, Debug)]
pub struct Program {
    /// The domain's data.
    pub state: State,
    /// The source of its tools.
    pub tools: String,
    /// The schema by which a written record is normalised; `None` for a domain of format 1.
    pub schema: Option<Value>,
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

/// The cost of the runs that answered, since the sandbox was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// Processor time.
    pub cpu: Duration,
    /// The number of times that tools read the data or the clock.
    pub reads: u64,
}

/// One sandbox process. Blocking; `Send`; one a thread.
#[derive(Debug)]
pub struct Sandbox {
    program: Program,
    limits: Limits,
    process: Option<Process>,
    spent: Spent,
    /// The checker that ran last, as it came and as the interpreter runs it.
    checker: (String, String),
}

impl Sandbox {
    /// Starts a process, gives it the data and waits until it is confined.
    ///
    /// # Errors
    /// [`SandboxError`].
    pub fn spawn(program: Program, limits: Limits) -> Result<Self, SandboxError> {
        let tools = crate::erased(&program.tools).into_owned();
        let mut sandbox = Self {
            program: Program { tools, ..program },
            limits,
            process: None,
            spent: Spent::default(),
            checker: (String::new(), String::new()),
        };
        sandbox.process = Some(sandbox.start()?);
        Ok(sandbox)
    }

    /// The limits of every run.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Returns the cost of the runs so far.
    #[must_use]
    pub fn spent(&self) -> Spent {
        self.spent
    }

    /// Calls a tool in an episode, and the function `then` without arguments when it returned, in one run of the
    /// interpreter. The value is the tool's. The overlay that comes back is the episode after both: unchanged unless both
    /// returned.
    pub fn call(
        &mut self,
        overlay: &Overlay,
        now: &str,
        function: &str,
        arguments: &Map<String, Value>,
        then: Option<&str>,
    ) -> (Outcome, Overlay) {
        let request = Request::Call {
            overlay: overlay.clone(),
            now: now.to_owned(),
            function: function.to_owned(),
            arguments: arguments.clone(),
            then: then.map(str::to_owned),
        };
        let (outcome, after) = self.ask(&request);
        (outcome, after.unwrap_or_else(|| overlay.clone()))
    }

    /// Runs `function` of a checker's source over an episode.
    pub fn check(&mut self, source: &str, function: &str, input: CheckInput<'_>) -> Outcome {
        if self.checker.0 != source {
            self.checker = (source.to_owned(), crate::erased(source).into_owned());
        }
        let request = Request::Check {
            source: self.checker.1.clone(),
            function: function.to_owned(),
            initial: input.initial.clone(),
            last: input.last.clone(),
            calls: input.calls.clone(),
            messages: input.messages.clone(),
            now: input.now.to_owned(),
        };
        self.ask(&request).0
    }

    /// One run. A process may be ended from outside (by a node short of memory, or by a person), or get no processor time.
    /// A run touches nothing but what it answers, so it is tried again in a fresh process; only one whose process dies of
    /// itself twice did it itself.
    fn ask(&mut self, request: &Request) -> (Outcome, Option<Overlay>) {
        let (mut crashed, mut why) = (false, String::new());
        for pause in PAUSES {
            std::thread::sleep(pause);
            match self.attempt(request) {
                Ok((Outcome::Lost(reason), _)) | Err(Silence::Lost(reason)) => why = reason,
                Ok(ended) => return ended,
                Err(Silence::Killed(reason)) => return (Outcome::Killed(reason), None),
                Err(Silence::Crashed) if crashed => {
                    return (Outcome::Killed(KillReason::Crash), None);
                }
                Err(Silence::Crashed) => {
                    crashed = true;
                    why = KillReason::Crash.to_string();
                }
            }
        }
        (Outcome::Lost(why), None)
    }

    fn attempt(&mut self, request: &Request) -> Result<(Outcome, Option<Overlay>), Silence> {
        let mut process = match self.process.take() {
            Some(process) => process,
            None => self
                .start()
                .map_err(|error| Silence::Lost(error.to_string()))?,
        };
        let bound = Bound {
            clock: self.limits.clock() + GRACE,
            cpu: Some(self.limits.cpu),
        };
        let Reply::Done {
            outcome,
            overlay,
            cpu,
            reads,
        } = process.exchange(request, bound)?
        else {
            return Err(Silence::Crashed);
        };
        self.process = Some(process);
        self.spent.cpu = self.spent.cpu.saturating_add(cpu);
        self.spent.reads = self.spent.reads.saturating_add(reads);
        Ok((outcome, overlay))
    }

    fn start(&self) -> Result<Process, SandboxError> {
        let path = locate();
        let mut process =
            Process::spawn(&path).map_err(|source| SandboxError::Start { path, source })?;
        let init = Request::Init {
            state: self.program.state.to_json(),
            shapes: self.program.state.shapes().clone(),
            schema: self.program.schema.clone(),
            tools: self.program.tools.clone(),
            limits: self.limits.clone(),
        };
        let bound = Bound {
            clock: START,
            cpu: None,
        };
        Err(SandboxError::NotReady(
            match process.exchange(&init, bound) {
                Ok(Reply::Ready) => return Ok(process),
                Ok(Reply::Refused(reason)) | Err(Silence::Lost(reason)) => reason,
                Ok(_) => "it answered out of turn".into(),
                Err(Silence::Killed(reason)) => reason.to_string(),
                Err(Silence::Crashed) => "it died while starting".into(),
            },
        ))
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
