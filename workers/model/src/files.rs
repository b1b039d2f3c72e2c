//! Reading and atomic writing of a model folder's files.

use std::path::Path;

use crate::ModelError;

/// The whole file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, ModelError> {
    std::fs::read(path).map_err(|e| ModelError::Read {
        path: path.to_owned(),
        reason: e.to_string(),
    })
}

/// Writes beside the target and renames, so that a reader sees the old file or the new one, never a part.
pub(crate) fn write(path: &Path, content: &[u8]) -> Result<(), ModelError> {
    let failed = |e: std::io::Error| ModelError::Write {
        path: path.to_owned(),
        reason: e.to_string(),
    };
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(failed)?;
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    let part = path.with_file_name(name);
    let done = std::fs::write(&part, content).and_then(|()| std::fs::rename(&part, path));
    if done.is_err() {
        let _ = std::fs::remove_file(&part);
    }
    done.map_err(failed)
}
