//! One piece of work as its driver gave it, with what every role needs: the store, the domain, the flag to stop, and the
//! two files that the driver reads.

use std::path::Path;
use std::sync::Arc;

use agoge_plan::assignment::Assignment;
use agoge_store::Store;
use agoge_world::Domain;
use serde::Serialize;

use crate::failure::Failure;
use crate::progress::Progress;
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
        let assignment = serde_json::from_slice(&text)
            .map_err(|e| Failure::Input(format!("{} is no assignment: {e}", file.display())))?;
        Self::of(assignment, stop)
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
        })
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
