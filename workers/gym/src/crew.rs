//! The worlds and their threads. A session that has something to do is queued once; a thread takes it, does its next job,
//! and queues it again while it has more. So the jobs of one session run in the order they arrived, those of different
//! sessions side by side, and no session waits while a world is idle.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use agoge_checker::Judge;
use agoge_sandbox::Limits;
use agoge_world::{Domain, World, WorldError};
use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use crate::play::{Play, Stage};
use crate::refused::Refused;

type Job = Box<dyn FnOnce(&mut Stage, &mut Option<Play>) + Send>;

/// A session's place: its jobs, and its episode while no job has it.
#[derive(Debug)]
pub(crate) struct Seat {
    inner: Mutex<Inner>,
    /// Milliseconds since `began` at which the session was last used.
    used: AtomicU64,
    began: Instant,
    /// True once the session has a verdict, after which it may go when room is needed.
    pub verified: AtomicBool,
}

#[derive(Default)]
struct Inner {
    jobs: VecDeque<Job>,
    /// True while the seat is queued or a job of it runs.
    busy: bool,
    play: Option<Play>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner")
            .field("jobs", &self.jobs.len())
            .field("busy", &self.busy)
            .finish_non_exhaustive()
    }
}

impl Seat {
    pub fn new(now: Instant) -> Self {
        Self {
            inner: Mutex::default(),
            used: AtomicU64::new(0),
            began: now,
            verified: AtomicBool::new(false),
        }
    }

    /// Notes that the session is used.
    pub fn touch(&self, now: Instant) {
        let passed = now.saturating_duration_since(self.began).as_millis();
        let passed = u64::try_from(passed).unwrap_or(u64::MAX);
        self.used.fetch_max(passed, Ordering::Relaxed);
    }

    /// Returns true when the session has not been used for so long and has nothing to do.
    pub fn idle_for(&self, idle: Duration, now: Instant) -> bool {
        let used = self.began + Duration::from_millis(self.used.load(Ordering::Relaxed));
        now.saturating_duration_since(used) >= idle && !self.inner.lock().busy
    }
}

/// The queue of seats that have something to do.
#[derive(Debug, Default)]
struct Queue {
    seats: Mutex<Waiting>,
    filled: Condvar,
    /// The worlds that are open.
    alive: AtomicUsize,
}

#[derive(Debug, Default)]
struct Waiting {
    seats: VecDeque<Arc<Seat>>,
    closed: bool,
}

impl Queue {
    fn push(&self, seat: Arc<Seat>) {
        self.seats.lock().seats.push_back(seat);
        self.filled.notify_one();
    }

    /// Waits for a seat; `None` when the crew is dismissed.
    fn next(&self) -> Option<Arc<Seat>> {
        let mut waiting = self.seats.lock();
        loop {
            if waiting.closed {
                return None;
            }
            if let Some(seat) = waiting.seats.pop_front() {
                return Some(seat);
            }
            self.filled.wait(&mut waiting);
        }
    }
}

/// The worlds of a server.
#[derive(Debug)]
pub(crate) struct Crew {
    queue: Arc<Queue>,
    threads: Vec<JoinHandle<()>>,
    /// Jobs of one session that may wait.
    waiting: usize,
}

impl Crew {
    /// Opens so many worlds of a domain, each with a thread of its own.
    ///
    /// # Errors
    /// [`WorldError`], when the domain's tools do not start.
    pub fn open(
        domain: &Arc<Domain>,
        sandbox: &Limits,
        worlds: usize,
        waiting: usize,
    ) -> Result<Self, WorldError> {
        let worlds = worlds.max(1);
        let mut opened = Vec::with_capacity(worlds);
        for _ in 0..worlds {
            opened.push(World::open(domain.clone(), sandbox.clone())?);
        }
        let queue = Arc::new(Queue::default());
        let hire = |world: World| {
            let (queue, domain, sandbox) = (queue.clone(), domain.clone(), sandbox.clone());
            queue.alive.fetch_add(1, Ordering::Relaxed);
            std::thread::spawn(move || {
                work(&queue, world, &domain, &sandbox);
                queue.alive.fetch_sub(1, Ordering::Relaxed);
            })
        };
        let threads = opened.into_iter().map(hire).collect();
        Ok(Self {
            queue,
            threads,
            waiting,
        })
    }

    /// Runs a job on a session, after the jobs it was given before.
    ///
    /// # Errors
    /// The job's own, or [`Refused::TooFast`] when too many jobs of the session wait.
    pub async fn run<T: Send + 'static>(
        &self,
        seat: &Arc<Seat>,
        job: impl FnOnce(&mut Stage, &mut Option<Play>) -> Result<T, Refused> + Send + 'static,
    ) -> Result<T, Refused> {
        if self.queue.alive.load(Ordering::Relaxed) == 0 {
            return Err(Refused::Lost("no world of the server is left".into()));
        }
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |stage: &mut Stage, play: &mut Option<Play>| {
            // Nobody waits for the answer of a request that was given up.
            if !reply.is_closed() {
                let _ = reply.send(job(stage, play));
            }
        });
        {
            let mut inner = seat.inner.lock();
            if inner.jobs.len() >= self.waiting {
                return Err(Refused::TooFast);
            }
            inner.jobs.push_back(job);
            if !inner.busy {
                inner.busy = true;
                self.queue.push(seat.clone());
            }
        }
        let lost = || {
            Err(Refused::Lost(
                "the world that ran the request is gone".into(),
            ))
        };
        answer.await.unwrap_or_else(|_| lost())
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.queue.seats.lock().closed = true;
        self.queue.filled.notify_all();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Does the jobs of seats, one after another, until the crew is dismissed.
fn work(queue: &Queue, world: World, domain: &Arc<Domain>, sandbox: &Limits) {
    let mut stage = Stage {
        world,
        judge: Judge::new(),
    };
    while let Some(seat) = queue.next() {
        let (job, mut play) = {
            let mut inner = seat.inner.lock();
            let Some(job) = inner.jobs.pop_front() else {
                inner.busy = false;
                continue;
            };
            (job, inner.play.take())
        };
        let whole = catch_unwind(AssertUnwindSafe(|| job(&mut stage, &mut play))).is_ok();
        {
            let mut inner = seat.inner.lock();
            inner.play = play.filter(|_| whole);
            inner.busy = !inner.jobs.is_empty();
            if inner.busy {
                queue.push(seat.clone());
            }
        }
        if !whole {
            // Neither the session nor the world is in a known state any more.
            match World::open(domain.clone(), sandbox.clone()) {
                Ok(world) => stage.world = world,
                Err(error) => {
                    tracing::error!(%error, "a world is gone and another cannot be opened");
                    return;
                }
            }
            stage.judge = Judge::new();
        }
    }
}
