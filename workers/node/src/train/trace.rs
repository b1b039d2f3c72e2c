//! The files of a stage at work: checkpoints to resume from, and the loss trace.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use agoge_learner::checkpoint::{self, CheckpointError};
use agoge_store::Artifact;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tch::Tensor;

use crate::failure::Failure;

/// File that names the inputs which the other files were made from.
const INPUTS: &str = "made-from";

/// Begins a stage in its work folder. What lies there goes, if it was made from other inputs: a changed manifest, domain or
/// model. A folder that names no inputs is of an older worker, which resumes.
///
/// # Errors
/// When the folder cannot be written.
pub fn begin(work: &Path, inputs: &BTreeMap<String, String>) -> Result<(), Failure> {
    let mut inputs = inputs.clone();
    // A worker of another version goes on with the same checkpoints.
    inputs.remove("code");
    let (file, key) = (work.join(INPUTS), Artifact::key(&inputs).to_string());
    match std::fs::read_to_string(&file) {
        Ok(before) if before == key => return Ok(()),
        Ok(_) => {
            tracing::info!("the stage begins anew: its inputs have changed");
            clear(work);
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(Failure::infra(error)),
    }
    agoge_store::write_atomic(file, key).map_err(Failure::infra)
}

/// Tensors by name, and a trainer's state.
type Found<S> = (Vec<(String, Tensor)>, S);

/// Reads the checkpoint in `file`, or the one before it where that is gone or corrupt.
///
/// # Errors
/// When there is a checkpoint and none can be read: an input failure, because another attempt would find the same.
pub fn resume<S: DeserializeOwned>(file: &Path) -> Result<Option<Found<S>>, Failure> {
    let mut refused = None;
    for candidate in [file.to_owned(), previous(file)] {
        if !candidate.exists() {
            continue;
        }
        match checkpoint::load(&candidate) {
            Ok(found) => {
                if refused.is_some() {
                    // It takes the corrupt one's place, so that the next save does not replace it by that.
                    std::fs::rename(&candidate, file).map_err(Failure::infra)?;
                }
                return Ok(Some(found));
            }
            Err(error @ CheckpointError::Corrupt { .. }) => {
                tracing::warn!("{error}");
                refused.get_or_insert(error);
            }
            Err(error) => return Err(Failure::infra(error)),
        }
    }
    refused.map_or(Ok(None), |error| Err(Failure::input(error)))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_of_other_inputs_is_not_resumed_and_one_of_another_version_is() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("grpo.ckpt");
        let begin = |domain: &str, code: &str| {
            let inputs = [("domain", domain), ("code", code)];
            let inputs = inputs.map(|(name, value)| (name.to_owned(), value.to_owned()));
            begin(dir.path(), &inputs.into()).unwrap();
            resume::<u64>(&file).unwrap().map(|(_, state)| state)
        };
        save(&file, &[], &1u64).unwrap();
        assert_eq!(begin("a", "1"), Some(1), "an older worker named no inputs");
        assert_eq!(begin("a", "2"), Some(1));
        assert_eq!(begin("b", "2"), None);
        save(&file, &[], &2u64).unwrap();
        assert_eq!(begin("b", "2"), Some(2));
    }

    #[test]
    fn a_corrupt_checkpoint_falls_back_to_the_one_before_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("grpo.ckpt");
        let found = || resume::<u64>(&file);
        assert!(found().unwrap().is_none());
        for state in [1u64, 2] {
            save(&file, &[], &state).unwrap();
        }
        assert_eq!(found().unwrap().unwrap().1, 2);
        std::fs::write(&file, "AGOGECK1 and nothing else").unwrap();
        assert_eq!(found().unwrap().unwrap().1, 1);
        assert_eq!(found().unwrap().unwrap().1, 1, "it is the last one now");
        std::fs::write(&file, "").unwrap();
        assert!(matches!(found(), Err(Failure::Input(why)) if why.contains("grpo.ckpt")));
    }
}
