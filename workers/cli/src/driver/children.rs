//! The children of a run as processes: their states, and the cores they share.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use agoge_contract::{ChildState, ProgressReport, Resolved, Role};
use agoge_plan::{Child, Seen};

use super::show::clock;
use super::worker::{End, NotStarted, Programs, Worker};
use crate::failure::Failure;

/// Time that a child may take to stop.
pub const GRACE: Duration = Duration::from_secs(30);
/// Time after which a worker of an earlier run that still holds a folder is reported.
const BUSY: Duration = Duration::from_secs(3);

/// A child and its processes, one for each shard.
pub struct Slot {
    /// The child.
    pub child: Child,
    workers: Vec<Worker>,
    begun: Instant,
    warned: Duration,
    announced: bool,
    /// The warning of one of its workers that was told.
    caution: Option<String>,
}

/// Owner (`kind/name`) and key.
type Key = (String, String);

/// All children.
pub struct Children {
    out: PathBuf,
    programs: Programs,
    cores: u32,
    hang_after: Duration,
    slots: BTreeMap<Key, Slot>,
    busy: BTreeMap<Key, Instant>,
}

/// A message for a person about a child.
#[derive(Debug, PartialEq)]
pub enum Told {
    /// A child was started.
    Started(String),
    /// A child ended well.
    Done(String),
    /// Something is not as it should be.
    Warning(String),
}

impl Children {
    /// No children yet. Workers that show no sign of life for `hang_after` are ended.
    #[must_use]
    pub fn new(out: &Path, programs: Programs, cores: u32, hang_after: Duration) -> Self {
        Self {
            out: out.to_owned(),
            programs,
            cores: cores.max(1),
            hang_after,
            slots: BTreeMap::new(),
            busy: BTreeMap::new(),
        }
    }

    /// The children of an owner as they are now.
    ///
    /// # Errors
    /// A full disk: it stops the whole run.
    pub fn observe(&mut self, owner: &str) -> Result<BTreeMap<String, Seen>, Failure> {
        let mut seen = BTreeMap::new();
        for ((of, key), slot) in &mut self.slots {
            if of == owner {
                let state = slot.state()?;
                seen.insert(
                    key.clone(),
                    Seen {
                        attempt: slot.child.attempt,
                        state,
                    },
                );
            }
        }
        // What its driver stopped does not exist any more.
        self.slots.retain(|(of, key), _| {
            of != owner
                || !seen
                    .get(key)
                    .is_some_and(|seen| seen.state == ChildState::Absent)
        });
        Ok(seen)
    }

    /// Starts what should run and does not, and asks what should not run to stop.
    ///
    /// # Errors
    /// A worker that cannot be started.
    pub fn follow(
        &mut self,
        owner: &str,
        wanted: &[Child],
        resolved: &Resolved,
        folder: &Path,
    ) -> Result<Vec<Told>, Failure> {
        self.stop_others(owner, wanted);
        let mut told = vec![];
        for child in wanted {
            let key = (owner.to_owned(), child.key.clone());
            if self
                .slots
                .get(&key)
                .is_some_and(|slot| slot.child.attempt >= child.attempt)
            {
                continue;
            }
            let threads = self.share(child, wanted);
            let Some(workers) = self.start_all(child, threads, resolved, folder)? else {
                let since = *self.busy.entry(key).or_insert_with(Instant::now);
                if since.elapsed() > BUSY {
                    self.busy.retain(|_, at| *at != since);
                    let what = format!(
                        "{}: a worker of an earlier run still holds its folder; waiting for its end",
                        child.name
                    );
                    told.push(Told::Warning(what));
                }
                continue;
            };
            self.busy.remove(&key);
            let again = if child.attempt > 0 {
                format!(", attempt {}", child.attempt + 1)
            } else {
                String::new()
            };
            told.push(Told::Started(format!(
                "{} ({threads} thread{}{again})",
                child.key,
                if threads == 1 { "" } else { "s" }
            )));
            self.slots.insert(
                key,
                Slot {
                    child: child.clone(),
                    workers,
                    begun: Instant::now(),
                    warned: Duration::ZERO,
                    announced: false,
                    caution: None,
                },
            );
        }
        Ok(told)
    }

    /// Asks the owner's workers to stop that are not wanted any more.
    fn stop_others(&mut self, owner: &str, wanted: &[Child]) {
        for ((of, key), slot) in &mut self.slots {
            let is_wanted = wanted
                .iter()
                .any(|c| c.key == *key && c.attempt == slot.child.attempt);
            let runs = |slot: &mut Slot| slot.workers.iter_mut().any(|w| w.poll().is_none());
            if of == owner && !is_wanted && runs(slot) {
                slot.workers.iter_mut().for_each(Worker::ask_to_stop);
            }
        }
    }

    /// Starts the workers of all shards of a child, or none while one of an earlier run still holds a folder of theirs.
    fn start_all(
        &self,
        child: &Child,
        threads: u32,
        resolved: &Resolved,
        folder: &Path,
    ) -> Result<Option<Vec<Worker>>, Failure> {
        let meeting = meeting(child)?;
        let mut workers = vec![];
        for shard in 0..child.shards {
            match self.start(child, shard, threads, meeting, resolved, folder) {
                Ok(worker) => workers.push(worker),
                Err(not_started) => {
                    workers.iter_mut().for_each(Worker::kill);
                    return match not_started {
                        NotStarted::Busy => Ok(None),
                        NotStarted::Failed(failure) => Err(failure),
                    };
                }
            }
        }
        Ok(Some(workers))
    }

    /// Threads of one worker: an equal part of the cores among the workers that run at the same time, and no more than its
    /// manifest asks for.
    fn share(&self, child: &Child, siblings: &[Child]) -> u32 {
        let workers: u32 = siblings.iter().map(|child| child.shards.max(1)).sum();
        let part = (self.cores / workers.max(1)).max(1);
        let asked = child.needs.resources.cpu;
        asked.map_or(part, |asked| part.min(asked.whole()))
    }

    fn start(
        &self,
        child: &Child,
        shard: u32,
        threads: u32,
        meeting: Option<u16>,
        resolved: &Resolved,
        folder: &Path,
    ) -> Result<Worker, NotStarted> {
        let mut work = self
            .out
            .join("work")
            .join(format!("{}-{}", child.owner.name, child.key));
        let mut log = self.out.join("logs").join(format!("{}.log", child.name));
        if child.shards > 1 {
            work = work.join(shard.to_string());
            log = self
                .out
                .join("logs")
                .join(format!("{}.{shard}.log", child.name));
        }
        let assignment = child.assignment(shard, resolved, work, threads);
        let rules = &child.needs.template.failure_rules;
        Worker::start(&self.programs, &assignment, rules, &log, folder, meeting)
    }

    /// Children whose work goes on, with their progress.
    pub fn running(&mut self) -> Vec<(String, ProgressReport)> {
        let mut running = vec![];
        for slot in self.slots.values_mut() {
            if slot
                .workers
                .iter_mut()
                .any(|worker| worker.poll().is_none())
            {
                running.push((slot.child.name.clone(), slot.shown()));
            }
        }
        running
    }

    /// Looks after children that should have ended or that show no sign of life. Says what it did.
    pub fn watch(&mut self) -> Vec<Told> {
        let mut told = vec![];
        for slot in self.slots.values_mut() {
            if slot.caution.is_none() && !slot.announced {
                slot.caution = slot.workers.iter().find_map(|w| w.shown().warning);
                if let Some(caution) = &slot.caution {
                    told.push(Told::Warning(format!("{}: {caution}", slot.child.name)));
                }
            }
            if !slot.announced
                && slot
                    .workers
                    .iter_mut()
                    .all(|w| matches!(w.poll(), Some(End::Done(_))))
            {
                slot.announced = true;
                told.push(Told::Done(format!(
                    "{} done in {}",
                    slot.child.name,
                    clock(slot.begun.elapsed())
                )));
            }
            for worker in &mut slot.workers {
                if worker.poll().is_some() {
                    continue;
                }
                if worker.asked.is_some_and(|asked| asked.elapsed() > GRACE) {
                    told.push(Told::Warning(format!(
                        "{} did not stop within {GRACE:?} and was killed",
                        slot.child.name
                    )));
                    worker.kill();
                    continue;
                }
                let quiet = worker.quiet();
                if quiet >= self.hang_after {
                    told.push(Told::Warning(format!(
                        "{} showed no sign of life for {} s and was killed; it is tried again",
                        slot.child.name,
                        quiet.as_secs()
                    )));
                    worker.give_up();
                } else if quiet >= self.hang_after / 4 && slot.warned < self.hang_after / 4 {
                    told.push(Told::Warning(format!(
                        "{} shows no sign of life for {} s; at {} s it is killed and tried again. Its log: {}",
                        slot.child.name,
                        quiet.as_secs(),
                        self.hang_after.as_secs(),
                        worker.log.display()
                    )));
                }
                slot.warned = quiet;
            }
        }
        told
    }

    /// Asks all to stop and waits; kills what is left after [`GRACE`], or at once when `hurry` says so.
    pub fn stop_all(&mut self, mut hurry: impl FnMut() -> bool) {
        let mut workers: Vec<&mut Worker> = self
            .slots
            .values_mut()
            .flat_map(|slot| slot.workers.iter_mut())
            .collect();
        workers.iter_mut().for_each(|worker| worker.ask_to_stop());
        let began = Instant::now();
        while workers.iter_mut().any(|worker| worker.poll().is_none()) {
            if began.elapsed() > GRACE || hurry() {
                workers.iter_mut().for_each(|worker| worker.kill());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Children {
    /// No worker outlives its driver, however the driver ends.
    fn drop(&mut self) {
        self.slots
            .values_mut()
            .flat_map(|slot| slot.workers.iter_mut())
            .for_each(Worker::kill);
    }
}

impl Slot {
    fn state(&mut self) -> Result<ChildState, Failure> {
        let (mut results, mut stopped, mut runs) = (vec![], false, false);
        let mut failed: Option<(Instant, ChildState)> = None;
        for worker in &mut self.workers {
            match worker.poll() {
                None => runs = true,
                Some(End::Done(result)) => results.push(result.clone()),
                Some(End::Stopped) => stopped = true,
                // The first that failed is the cause; others may only have lost it.
                Some(End::Failed(at, state)) => {
                    if failed.as_ref().is_none_or(|(first, _)| at < first) {
                        failed = Some((*at, state.clone()));
                    }
                }
                Some(End::DiskFull(line)) => {
                    return Err(Failure::Input(format!("{}: {line}", self.child.name)));
                }
            }
        }
        if failed.is_some() && runs {
            self.workers.iter_mut().for_each(Worker::ask_to_stop);
        }
        if runs {
            let reports = self.workers.iter().filter_map(Worker::progress);
            return Ok(ChildState::running(reports.collect()));
        }
        Ok(match failed {
            Some((_, failed)) => failed,
            None if stopped => ChildState::Absent,
            None => ChildState::succeeded(results),
        })
    }

    /// Returns its progress as it is shown: the sum of all shards for synthesis, the first shard's for everything else.
    fn shown(&self) -> ProgressReport {
        let mut shards = self.workers.iter().map(Worker::shown);
        let mut shown = shards.next().unwrap_or_default();
        if self.child.role() == Role::Synthesize {
            for shard in shards {
                shown.done = shown.done.saturating_add(shard.done);
                shown.total = shown.total.saturating_add(shard.total);
            }
        }
        shown
    }
}

/// A free port for trainers of several ranks to meet at.
fn meeting(child: &Child) -> Result<Option<u16>, Failure> {
    if child.shards <= 1 || child.role() != Role::Train {
        return Ok(None);
    }
    let free = || std::net::TcpListener::bind("127.0.0.1:0")?.local_addr();
    free().map(|address| Some(address.port())).map_err(|e| {
        Failure::Failed(format!(
            "cannot find a port for {} to meet at: {e}",
            child.name
        ))
    })
}
