//! Writes an imported domain as a folder, and finds by replay which gold calls its tools refuse.

use std::path::Path;
use std::sync::Arc;

use agoge_sandbox::Limits;
use agoge_world::{Domain, World};

use super::error::Tau2Error;
use super::import::Imported;
use super::refused::{Refused, mark_refused};

/// A folder that was written.
#[derive(Debug)]
pub struct Written {
    /// The domain, read back with its tasks.
    pub domain: Arc<Domain>,
    /// The gold calls that the tools refuse.
    pub refused: Vec<Refused>,
    /// Tasks for training; all others are held out.
    pub training: usize,
    /// Tasks whose reward counts a model's opinion in tau2-bench, and does not here.
    pub judged: usize,
}

impl Imported {
    /// Writes the folder, replays each gold in the sandbox, and writes `tasks.jsonl` with what was found.
    ///
    /// # Errors
    /// A file that is there already or cannot be written, and a domain that is not sound.
    pub fn write(mut self, dir: &Path, limits: Limits) -> Result<Written, Tau2Error> {
        let tasks = dir.join("tasks.jsonl");
        let names = self.files.iter().map(|(name, _)| dir.join(name));
        if let Some(file) = names.chain([tasks.clone()]).find(|file| file.exists()) {
            return Err(Tau2Error::Exists { file });
        }
        std::fs::create_dir_all(dir).map_err(|source| Tau2Error::Write {
            file: dir.to_owned(),
            source,
        })?;
        for (name, text) in &self.files {
            put(&dir.join(name), text)?;
        }
        let mut world = World::open(Arc::new(Domain::load(dir)?), limits)?;
        let refused = mark_refused(&mut world, &mut self.tasks)?;
        let lines: String = self.tasks.iter().map(|one| one.line() + "\n").collect();
        put(&tasks, &lines)?;
        Ok(Written {
            domain: Arc::new(Domain::load(dir)?),
            refused,
            training: self.tasks.iter().filter(|one| one.training).count(),
            judged: self.tasks.iter().filter(|one| one.judged).count(),
        })
    }
}

fn put(file: &Path, text: &str) -> Result<(), Tau2Error> {
    std::fs::write(file, text).map_err(|source| Tau2Error::Write {
        file: file.to_owned(),
        source,
    })
}
