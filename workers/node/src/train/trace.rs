//! The files of a stage at work: checkpoints to resume from, and the loss trace.

use std::path::{Path, PathBuf};

use agoge_learner::checkpoint::{self, CheckpointError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tch::Tensor;

use crate::failure::Failure;

/// Tensors by name, and a trainer's state.
type Found<S> = (Vec<(String, Tensor)>, S);

/// The checkpoint in `file`, or the one before it when that is gone.
///
/// # Errors
/// When it is corrupt: an input failure, because trying again would find it again.
pub fn resume<S: DeserializeOwned>(file: &Path) -> Result<Option<Found<S>>, Failure> {
    let found = [file.to_owned(), previous(file)]
        .into_iter()
        .find(|file| file.exists());
    let Some(file) = found else { return Ok(None) };
    match checkpoint::load(&file) {
        Ok(found) => Ok(Some(found)),
        Err(error @ CheckpointError::Corrupt { .. }) => Err(Failure::input(error)),
        Err(error) => Err(Failure::infra(error)),
    }
}

/// Writes a checkpoint and keeps the one before it.
///
/// # Errors
/// When it cannot be written.
pub fn save<S: Serialize>(
    file: &Path,
    tensors: &[(String, Tensor)],
    state: &S,
) -> Result<(), Failure> {
    if file.exists() {
        std::fs::rename(file, previous(file)).map_err(Failure::infra)?;
    }
    checkpoint::save(file, tensors, state).map_err(Failure::infra)
}

fn previous(file: &Path) -> PathBuf {
    file.with_extension("previous.ckpt")
}

/// A checkpoint of another model.
pub fn unfit(file: &Path, why: &str) -> Failure {
    Failure::Input(format!(
        "checkpoint {} is of another model: {why}; delete it to start the stage anew",
        file.display()
    ))
}

/// Writes the whole trace, a line an entry. Replacing the file as a whole keeps it in step with the checkpoint.
pub fn write<T: Serialize>(work: &Path, entries: &[T]) -> Result<(), Failure> {
    let mut text = Vec::new();
    for entry in entries {
        serde_json::to_writer(&mut text, entry).map_err(Failure::infra)?;
        text.push(b'\n');
    }
    agoge_store::write_atomic(work.join("metrics.jsonl"), text).map_err(Failure::infra)
}

/// Removes what only a resume needed, once the record is kept.
pub fn clear(work: &Path) {
    let Ok(entries) = std::fs::read_dir(work) else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "ckpt")
        {
            let _ = std::fs::remove_file(&path);
        }
    }
    for folder in ["inputs", "model", "arms"] {
        let _ = std::fs::remove_dir_all(work.join(folder));
    }
}
