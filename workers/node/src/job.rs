//! One piece of work as its driver gave it, with what every role needs: the store, the domain, the flag to stop, and the
//! two files that the driver reads.

use std::path::Path;
use std::sync::Arc;

use agoge_plan::assignment::Assignment;
use agoge_store::Store;
use agoge_world::Domain;
use serde::Serialize;
use serde_json::Value;

use crate::domain;
use crate::failure::Failure;
use crate::keep::Keeper;
use crate::progress::Progress;
use crate::report::Reporter;
use crate::stop::Stop;

/// A piece of work.
pub struct Job {
    /// What was asked.
    pub assignment: Assignment,
    /// Where artifacts lie.
    pub store: Store,
    /// Whether to stop.
    pub stop: Stop,
    /// What the driver sees meanwhile.
    pub progress: Progress,
    keeper: Option<Keeper>,
}

impl Job {
    /// Reads an assignment and opens what it names.
    ///
    /// # Errors
    /// When the file is no assignment, or store or work folder cannot be used.
    pub fn open(file: &Path, stop: Stop) -> Result<Self, Failure> {
        let text = std::fs::read(file).map_err(|e| {
            Failure::Input(format!("reading the assignment {}: {e}", file.display()))
        })?;
        let mut assignment: Assignment = serde_json::from_slice(&text)
            .map_err(|e| Failure::Input(format!("{} is no assignment: {e}", file.display())))?;
        // Pods of one Indexed Job read the same file.
        if let Ok(index) = std::env::var("JOB_COMPLETION_INDEX") {
            assignment.shard = index
                .parse()
                .ok()
                .filter(|shard| *shard < assignment.shards)
                .ok_or_else(|| {
                    let shards = assignment.shards;
                    Failure::Input(format!(
                        "JOB_COMPLETION_INDEX={index} is no index among {shards} shards"
                    ))
                })?;
        }
        let mut job = Self::of(assignment, stop)?;
        job.assignment.domain = domain::delivered(&job.assignment, &job.store)?;
        job.progress = Progress::new(Some(job.assignment.work.join("progress.json")))
            .with_reporter(Reporter::of(&job.assignment));
        if let Some(keep) = &job.assignment.keep {
            let name = format!("{}/{}", keep.trim_matches('/'), job.assignment.shard);
            let keeper = Keeper::start(&job.store, &name, &job.assignment.work, &job.stop)?;
            job.keeper = Some(keeper);
        }
        Ok(job)
    }

    /// The same from an assignment in memory.
    ///
    /// # Errors
    /// When store or work folder cannot be used.
    pub fn of(assignment: Assignment, stop: Stop) -> Result<Self, Failure> {
        std::fs::create_dir_all(&assignment.work).map_err(|e| {
            Failure::Infra(format!(
                "making the work folder {}: {e}; make room or name another",
                assignment.work.display()
            ))
        })?;
        let store = Store::open(&assignment.store)?;
        let progress = Progress::new(Some(assignment.work.join("progress.json")));
        Ok(Self {
            assignment,
            store,
            stop,
            progress,
            keeper: None,
        })
    }

    /// Ends it, well or not: the kept copy of the work folder is brought up to date, or let go when the work is done.
    ///
    /// # Errors
    /// When unfinished work could not be kept. What is done is in the store: then a failure costs only space.
    pub fn end(&mut self, done: bool) -> Result<(), Failure> {
        self.progress.end();
        let Some(keeper) = self.keeper.take() else {
            return Ok(());
        };
        match keeper.end(done) {
            Err(failure) if done => {
                tracing::warn!("the kept copy of finished work was not deleted: {failure}");
                Ok(())
            }
            ended => ended,
        }
    }

    /// The result that [`Job::finish`] wrote.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn result(&self) -> Result<Value, Failure> {
        let text = std::fs::read(self.assignment.work.join("result.json"))
            .map_err(|e| Failure::infra(format!("reading the result: {e}")))?;
        serde_json::from_slice(&text).map_err(Failure::infra)
    }

    /// The domain.
    ///
    /// # Errors
    /// Every problem of its folder.
    pub fn domain(&self) -> Result<Arc<Domain>, Failure> {
        Domain::load(&self.assignment.domain)
            .map(Arc::new)
            .map_err(Failure::input)
    }

    /// Threads that may be kept busy.
    #[must_use]
    pub fn threads(&self) -> usize {
        match self.assignment.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            n => n as usize,
        }
    }

    /// Writes the result, which ends the work.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn finish(&self, report: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_vec_pretty(report).map_err(Failure::infra)?;
        agoge_store::write_atomic(self.assignment.work.join("result.json"), text)
            .map_err(Failure::infra)
    }
}
