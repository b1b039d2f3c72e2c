//! One sandbox process, seen from outside: frames in and out under a watch on its time, and the reason of its end.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::KillReason;
use crate::clock;
use crate::outcome::starved;
use crate::protocol::{Reply, Request, read, write};

/// Time between two looks at a process that has not answered.
const LOOK: Duration = Duration::from_millis(50);
/// The grain in which the system counts a process's time.
const GRAIN: Duration = Duration::from_millis(20);
/// Bytes that a pipe that is ready takes without blocking.
const AT_ONCE: usize = 4096;
/// The time in which a process that has closed its output is gone.
const DYING: Duration = Duration::from_secs(5);
/// Signals that come from outside: of a person, a supervisor, or a machine short of memory.
const FROM_OUTSIDE: [i32; 5] = [
    libc::SIGKILL,
    libc::SIGTERM,
    libc::SIGINT,
    libc::SIGHUP,
    libc::SIGQUIT,
];

/// The reason why a process gave no answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Silence {
    /// The run met a limit of its own.
    Killed(KillReason),
    /// The process died of what it ran, or answered nonsense.
    Crashed,
    /// The process was ended from outside, or kept waiting.
    Lost(String),
}

/// The time that a process has for an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bound {
    /// On the clock.
    pub clock: Duration,
    /// Of the processor; `None` is no limit.
    pub cpu: Option<Duration>,
}

/// A running process with its pipes. It is killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    input: ChildStdin,
    output: ChildStdout,
}

impl Process {
    /// Starts the binary with an empty environment, and with no descriptors but its input and output.
    pub fn spawn(binary: &Path) -> io::Result<Self> {
        let mut child = Command::new(binary)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("it has no pipes"));
        };
        Ok(Self {
            child,
            input,
            output,
        })
    }

    /// Sends a request and waits for its answer. After a silence the process is of no use.
    pub fn exchange(&mut self, request: &Request, bound: Bound) -> Result<Reply, Silence> {
        let mut watch = Watch {
            pid: self.child.id(),
            bound,
            begun: Instant::now(),
            before: None,
            met: None,
        };
        let mut input = Watched {
            pipe: &mut self.input,
            watch: &mut watch,
        };
        let asked = write(&mut input, request);
        let answered = asked.and_then(|()| {
            read(&mut Watched {
                pipe: &mut self.output,
                watch: &mut watch,
            })
        });
        match (answered, watch.met) {
            (Ok(Some(reply)), _) => Ok(reply),
            (_, Some(met)) => Err(met),
            (Ok(None), None) => Err(self.post_mortem()),
            (Err(error), None) => Err(match error.kind() {
                io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof => self.post_mortem(),
                _ => Silence::Crashed,
            }),
        }
    }

    /// Returns the reason of the end of a process that has closed a pipe.
    fn post_mortem(&mut self) -> Silence {
        let closed = Instant::now();
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return reason_of(status.code(), status.signal()),
                Ok(None) if closed.elapsed() < DYING => {
                    std::thread::sleep(Duration::from_millis(1));
                }
                Ok(None) => return Silence::Crashed,
                Err(error) => return Silence::Lost(format!("its end is not known: {error}")),
            }
        }
    }
}

/// Returns the reason of an end by an exit code or a signal: the allocator's own exit is memory.
fn reason_of(code: Option<i32>, signal: Option<i32>) -> Silence {
    match (code, signal) {
        (Some(monty_types::OOM_EXIT_CODE), _) => Silence::Killed(KillReason::Memory),
        (_, Some(signal)) if FROM_OUTSIDE.contains(&signal) => Silence::Lost(format!(
            "its process was ended from outside by signal {signal}; the machine may be short of memory"
        )),
        _ => Silence::Crashed,
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The watch on a process that owes an answer.
struct Watch {
    pid: u32,
    bound: Bound,
    begun: Instant,
    /// The processor time that it had used at the first look; what it used before that is not counted.
    before: Option<Duration>,
    /// The bound that it met.
    met: Option<Silence>,
}

impl Watch {
    /// Checks both bounds.
    ///
    /// # Errors
    /// `TimedOut`, when one is met.
    fn look(&mut self) -> io::Result<()> {
        let used = clock::of_process(self.pid)
            .map(|now| now.saturating_sub(*self.before.get_or_insert(now)));
        let over = |limit: Duration| used.is_some_and(|used| used > limit.saturating_add(GRAIN));
        if self.bound.cpu.is_some_and(over) {
            self.met = Some(Silence::Killed(KillReason::Time));
        } else if self.begun.elapsed() >= self.bound.clock {
            self.met = Some(match (used, self.bound.cpu) {
                // Where the system does not say what it used, the clock decides.
                (None, Some(_)) => Silence::Killed(KillReason::Time),
                (used, _) => Silence::Lost(starved(used.unwrap_or_default(), self.bound.clock)),
            });
        }
        match self.met {
            Some(_) => Err(io::ErrorKind::TimedOut.into()),
            None => Ok(()),
        }
    }
}

/// A pipe of a watched process.
struct Watched<'a, P> {
    pipe: &'a mut P,
    watch: &'a mut Watch,
}

impl<P: AsFd> Watched<'_, P> {
    /// Waits until the pipe is ready, or a bound is met.
    fn ready(&mut self, flags: PollFlags) -> io::Result<()> {
        loop {
            let left = self
                .watch
                .bound
                .clock
                .saturating_sub(self.watch.begun.elapsed());
            let timeout = Timespec::try_from(left.min(LOOK)).map_err(io::Error::other)?;
            match poll(&mut [PollFd::new(&*self.pipe, flags)], Some(&timeout)) {
                Ok(0) => self.watch.look()?,
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Read for Watched<'_, ChildStdout> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.ready(PollFlags::IN)?;
        self.pipe.read(buffer)
    }
}

impl Write for Watched<'_, ChildStdin> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.ready(PollFlags::OUT)?;
        let now = bytes.len().min(AT_ONCE);
        self.pipe.write(&bytes[..now])
    }

    fn flush(&mut self) -> io::Result<()> {
        self.pipe.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_from_outside_is_lost_and_every_other_one_is_the_runs_own() {
        let memory = Silence::Killed(KillReason::Memory);
        assert_eq!(reason_of(Some(monty_types::OOM_EXIT_CODE), None), memory);
        for outside in FROM_OUTSIDE {
            let reason = reason_of(None, Some(outside));
            assert!(matches!(reason, Silence::Lost(_)), "{reason:?}");
        }
        for own in [libc::SIGSEGV, libc::SIGABRT, libc::SIGSYS] {
            assert_eq!(reason_of(None, Some(own)), Silence::Crashed);
        }
        assert_eq!(reason_of(Some(101), None), Silence::Crashed);
    }
}
