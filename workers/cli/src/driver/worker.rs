//! One worker process: its start, its reports, its end.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use agoge_contract::{
    Assignment, ChildState, Exit, ProgressReport, Reason, Role, classify, exit_code,
};
use agoge_crds::report::Report;
use agoge_crds::shared::FailureRule;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::spawn;
use crate::failure::Failure;

/// The programs a driver starts.
#[derive(Clone, Debug)]
pub struct Programs {
    /// `agoge-worker`.
    pub worker: PathBuf,
    /// `agoge-sandbox`, where it is known; otherwise the worker finds it.
    pub sandbox: Option<PathBuf>,
}

impl Programs {
    /// The programs beside this one, or those that `AGOGE_WORKER` and `AGOGE_SANDBOX` name.
    ///
    /// # Errors
    /// When there is no worker.
    pub fn find() -> Result<Self, Failure> {
        let beside = |name: &str| -> Option<PathBuf> {
            let own = std::env::current_exe().ok()?;
            Some(own.parent()?.join(name)).filter(|path| path.is_file())
        };
        let named = |variable: &str| std::env::var_os(variable).map(PathBuf::from);
        let worker = named("AGOGE_WORKER").or_else(|| beside("agoge-worker"));
        let worker = worker.filter(|path| path.is_file()).ok_or_else(|| {
            Failure::Input(
                "there is no agoge-worker beside this program; build it (`make build`), or name it in AGOGE_WORKER".into(),
            )
        })?;
        let whole = worker.canonicalize().unwrap_or(worker);
        Ok(Self {
            worker: whole,
            sandbox: named("AGOGE_SANDBOX").or_else(|| beside("agoge-sandbox")),
        })
    }
}

/// File in the work folder to which a worker writes its termination message.
const TERMINATION: &str = "termination.json";
/// File in the work folder to which a worker writes its progress.
const PROGRESS: &str = "progress.json";

/// The end of a worker.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    /// It is done, with its report or the reason why that cannot be read.
    Done(Result<Report, String>),
    /// It stopped because it was asked to.
    Stopped,
    /// It failed, and when that was seen.
    Failed(Instant, ChildState),
    /// The disk is full: nothing goes on before somebody makes room.
    DiskFull(String),
}

/// A process and what is known of it.
#[derive(Debug)]
pub struct Worker {
    process: Child,
    role: Role,
    /// Where it keeps what a resume needs.
    work: PathBuf,
    /// Its log.
    pub log: PathBuf,
    log_start: u64,
    /// The manifest's rules for failures.
    rules: Vec<FailureRule>,
    /// When it was asked to stop.
    pub asked: Option<Instant>,
    hung: bool,
    end: Option<End>,
    seen: Pulse,
    since: Instant,
}

/// The signs of life of a worker: its report, its log, its processor time.
#[derive(Clone, Debug, Default, PartialEq)]
struct Pulse {
    report: Vec<u8>,
    log: u64,
    cpu: u64,
}

/// The cause of a worker's failure to start.
#[derive(Debug)]
pub enum NotStarted {
    /// A worker of an earlier run still holds the folder.
    Busy,
    /// For good.
    Failed(Failure),
}

/// Takes the lock of a work folder.
fn hold(work: &Path) -> Result<File, NotStarted> {
    let path = work.join(".lock");
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let failed = |doing, error| NotStarted::Failed(Failure::file(doing, &path)(error));
    let lock = options.open(&path).map_err(|error| failed("open", error))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(std::fs::TryLockError::WouldBlock) => Err(NotStarted::Busy),
        Err(std::fs::TryLockError::Error(error)) => Err(failed("lock", error)),
    }
}

impl Worker {
    /// Starts the work of an assignment in `folder`, where relative names of a manifest begin. `meeting` is the port on which
    /// rank 0 of several trainers listens.
    ///
    /// # Errors
    /// [`NotStarted`].
    pub fn start(
        programs: &Programs,
        assignment: &Assignment,
        rules: &[FailureRule],
        log: &Path,
        folder: &Path,
        meeting: Option<u16>,
    ) -> Result<Self, NotStarted> {
        let failed = NotStarted::Failed;
        let work = assignment.work.clone();
        std::fs::create_dir_all(&work)
            .map_err(|e| failed(Failure::file("make the folder", &work)(e)))?;
        let lock = hold(&work)?;
        for stale in [PROGRESS, "result.json", TERMINATION] {
            let stale = work.join(stale);
            if let Err(e) = std::fs::remove_file(&stale)
                && e.kind() != std::io::ErrorKind::NotFound
            {
                return Err(failed(Failure::file("remove the old", &stale)(e)));
            }
        }
        let file = work.join("assignment.json");
        let text = serde_json::to_vec_pretty(assignment).map_err(|e| {
            failed(Failure::Failed(format!(
                "cannot write {}: {e}",
                file.display()
            )))
        })?;
        agoge_store::write_atomic(&file, text).map_err(|e| failed(e.into()))?;
        let open_log = |log: &Path| -> std::io::Result<(File, File, u64)> {
            std::fs::create_dir_all(crate::manifest::folder_of(log))?;
            let file = OpenOptions::new().create(true).append(true).open(log)?;
            let start = file.metadata()?.len();
            Ok((file.try_clone()?, file, start))
        };
        let (out, err, log_start) =
            open_log(log).map_err(|e| failed(Failure::file("open the log", log)(e)))?;
        let mut command = Command::new(&programs.worker);
        command
            .arg(assignment.spec.role().as_str())
            .arg("--assignment")
            .arg(&file)
            .env("AGOGE_TERMINATION_LOG", work.join(TERMINATION));
        command.current_dir(folder).stdout(out).stderr(err);
        if let Some(sandbox) = &programs.sandbox {
            command.env("AGOGE_SANDBOX", sandbox);
        }
        if let Some(port) = meeting {
            command.env("MASTER_ADDR", "127.0.0.1");
            command.env("MASTER_PORT", port.to_string());
        }
        if assignment.threads > 0 {
            command.env("OMP_NUM_THREADS", assignment.threads.to_string());
        }
        let process = spawn::spawn(&mut command, lock)
            .map_err(|e| failed(Failure::file("start", &programs.worker)(e)))?;
        Ok(Self {
            process,
            role: assignment.spec.role(),
            work,
            log: log.to_owned(),
            log_start,
            rules: rules.to_vec(),
            asked: None,
            hung: false,
            end: None,
            seen: Pulse::default(),
            since: Instant::now(),
        })
    }

    /// Returns its end, once it has ended.
    pub fn poll(&mut self) -> Option<&End> {
        if self.end.is_none()
            && let Ok(Some(status)) = self.process.try_wait()
        {
            self.end = Some(self.judge(status));
        }
        self.end.as_ref()
    }

    /// Returns its last report, where there is one that can be read.
    #[must_use]
    pub fn progress(&self) -> Option<Report> {
        let written: Value = read_json(&self.work.join(PROGRESS))?;
        self.role.progress(&written)
    }

    /// Returns its progress as it is shown to a person.
    #[must_use]
    pub fn shown(&self) -> ProgressReport {
        read_json(&self.work.join(PROGRESS)).unwrap_or_default()
    }

    /// Asks it to stop, once.
    pub fn ask_to_stop(&mut self) {
        if self.end.is_none() && self.asked.is_none() {
            self.asked = Some(Instant::now());
            spawn::ask_to_stop(&self.process);
        }
    }

    /// Ends it now, with all that it started, and waits for it.
    pub fn kill(&mut self) {
        if self.end.is_none() {
            spawn::kill(&self.process);
            if let Ok(status) = self.process.wait() {
                self.end = Some(self.judge(status));
            }
        }
    }

    /// Ends it because it has shown no sign of life, and reports that as a failure.
    pub fn give_up(&mut self) {
        self.hung = true;
        self.kill();
    }

    /// Returns the time since its report, its log or its processor time last changed.
    pub fn quiet(&mut self) -> Duration {
        let pulse = Pulse {
            report: std::fs::read(self.work.join(PROGRESS)).unwrap_or_default(),
            log: std::fs::metadata(&self.log).map_or(0, |meta| meta.len()),
            cpu: cpu_ticks(self.process.id()),
        };
        // A worker that only waits wakes up now and then; that alone is no sign of life.
        let idle =
            pulse.cpu.saturating_sub(self.seen.cpu) <= 2 + self.since.elapsed().as_secs() / 2;
        if pulse.report != self.seen.report || pulse.log != self.seen.log || !idle {
            self.seen = pulse;
            self.since = Instant::now();
        }
        self.since.elapsed()
    }

    /// Judges the end of the process as a cluster would judge that of a pod. A worker that was asked to stop is not judged.
    fn judge(&self, status: ExitStatus) -> End {
        use std::os::unix::process::ExitStatusExt;
        let message = std::fs::read_to_string(self.work.join(TERMINATION)).unwrap_or_default();
        let message = match message.trim() {
            "" => self.end_of_log(),
            _ => message,
        };
        let exit = Exit {
            code: exit_code(status.code(), status.signal()).filter(|_| !self.hung),
            word: self.hung.then(|| "Hung".to_owned()),
            disrupted: false,
            place: format!("log {}", self.log.display()),
        };
        match classify(Some(self.role), &exit, &message, &self.rules) {
            ChildState::Succeeded { result } => End::Done(result),
            _ if self.asked.is_some() && !self.hung => End::Stopped,
            ChildState::Failed {
                reason, message, ..
            } if reason == Reason::DiskFull.as_str() => End::DiskFull(message),
            failed => End::Failed(Instant::now(), failed),
        }
    }

    /// Reads the end of what this process wrote to its log.
    fn end_of_log(&self) -> String {
        const TAIL: u64 = 32 << 10;
        let read = || -> std::io::Result<String> {
            let mut file = File::open(&self.log)?;
            let end = file.metadata()?.len();
            file.seek(SeekFrom::Start(
                self.log_start.max(end.saturating_sub(TAIL)),
            ))?;
            let mut tail = vec![];
            file.read_to_end(&mut tail)?;
            Ok(String::from_utf8_lossy(&tail).into_owned())
        };
        read().unwrap_or_default()
    }
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

/// Processor time of a process in clock ticks; 0 where the system does not tell.
fn cpu_ticks(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name in parentheses may hold spaces: fields are counted behind it.
    let fields: Vec<&str> = text
        .rsplit_once(')')
        .map_or("", |(_, rest)| rest)
        .split_whitespace()
        .collect();
    [11, 12]
        .iter()
        .filter_map(|n| fields.get(*n)?.parse::<u64>().ok())
        .sum()
}
