//! One file a checkpoint: weights, optimiser moments and the trainer's own state, atomic and self-checking.
//!
//! Layout: `AGOGECK1`, the SHA-256 of what follows, the state's length as u64 (little endian), the state as JSON, the
//! tensors as safetensors. A file that was cut short or changed is refused, never half-read.

use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};
use tch::Tensor;

const MAGIC: &[u8; 8] = b"AGOGECK1";
const HEADER: usize = 8 + 32 + 8;

/// An error of a checkpoint file.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The file could not be read.
    #[error("reading checkpoint {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Error of the system.
        source: std::io::Error,
    },
    /// The file could not be written; an older file of this name is untouched.
    #[error("writing checkpoint {path}: {reason}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Cause.
        reason: String,
    },
    /// The content is not a whole checkpoint.
    #[error(
        "checkpoint {path} is corrupt: {reason}; delete it, and the same command resumes from the one before it, or starts the stage again"
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Cause.
        reason: String,
    },
}

/// Writes tensors and state, atomically.
///
/// # Errors
/// [`CheckpointError::Write`], with the old file untouched.
pub fn save<S: Serialize>(
    path: &Path,
    tensors: &[(String, Tensor)],
    state: &S,
) -> Result<(), CheckpointError> {
    let failed = |reason: String| CheckpointError::Write {
        path: path.to_owned(),
        reason,
    };
    let state = serde_json::to_vec(state).map_err(|e| failed(e.to_string()))?;
    let blob = serialize(tensors).map_err(failed)?;
    let mut file = Vec::with_capacity(HEADER + state.len() + blob.len());
    file.extend_from_slice(MAGIC);
    file.extend_from_slice(&[0; 32]);
    file.extend_from_slice(&(state.len() as u64).to_le_bytes());
    file.extend_from_slice(&state);
    file.extend_from_slice(&blob);
    let digest = Sha256::digest(&file[40..]);
    file[8..40].copy_from_slice(&digest);
    agoge_store::write_atomic(path, &file).map_err(|e| failed(e.to_string()))
}

/// Reads a checkpoint that [`save`] wrote.
///
/// # Errors
/// [`CheckpointError::Read`] or [`CheckpointError::Corrupt`], both with the path.
pub fn load<S: DeserializeOwned>(
    path: &Path,
) -> Result<(Vec<(String, Tensor)>, S), CheckpointError> {
    let file = std::fs::read(path).map_err(|source| CheckpointError::Read {
        path: path.to_owned(),
        source,
    })?;
    let corrupt = |reason: &str| CheckpointError::Corrupt {
        path: path.to_owned(),
        reason: reason.to_owned(),
    };
    if file.len() < HEADER || &file[..8] != MAGIC {
        return Err(corrupt("it does not begin with the mark of a checkpoint"));
    }
    if Sha256::digest(&file[40..])[..] != file[8..40] {
        return Err(corrupt("its checksum does not match its content"));
    }
    let mut length = [0; 8];
    length.copy_from_slice(&file[40..48]);
    let end = usize::try_from(u64::from_le_bytes(length))
        .ok()
        .and_then(|n| n.checked_add(HEADER));
    let end = end
        .filter(|end| *end <= file.len())
        .ok_or_else(|| corrupt("its state is cut short"))?;
    let state = serde_json::from_slice(&file[HEADER..end])
        .map_err(|e| corrupt(&format!("its state cannot be read: {e}")))?;
    let views = SafeTensors::deserialize(&file[end..])
        .map_err(|e| corrupt(&format!("its tensors cannot be read: {e}")))?;
    let mut tensors = Vec::new();
    for (name, view) in views.tensors() {
        let shape: Vec<i64> = view
            .shape()
            .iter()
            .map(|d| i64::try_from(*d).unwrap_or(0))
            .collect();
        if view.dtype() != safetensors::Dtype::F32 {
            return Err(corrupt(&format!("its tensor {name} is not float32")));
        }
        let values: Vec<f32> = view
            .data()
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect();
        tensors.push((name, Tensor::from_slice(&values).reshape(shape)));
    }
    Ok((tensors, state))
}

fn serialize(tensors: &[(String, Tensor)]) -> Result<Vec<u8>, String> {
    let mut raw = Vec::with_capacity(tensors.len());
    for (name, tensor) in tensors {
        let flat = tensor.detach().to_kind(tch::Kind::Float).contiguous();
        let shape: Vec<usize> = flat
            .size()
            .iter()
            .map(|d| usize::try_from(*d).unwrap_or(0))
            .collect();
        let values = Vec::<f32>::try_from(flat.view(-1)).map_err(|e| e.to_string())?;
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        raw.push((name.as_str(), shape, bytes));
    }
    let mut views = Vec::with_capacity(raw.len());
    for (name, shape, bytes) in &raw {
        let view =
            safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.clone(), bytes);
        views.push((*name, view.map_err(|e| format!("tensor {name}: {e}"))?));
    }
    safetensors::serialize(views, None).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_comes_back_whole_and_a_changed_or_cut_one_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("step-1.ckpt");
        let tensors = vec![(
            "w".to_owned(),
            Tensor::from_slice(&[1.5f32, -2.0]).view([2, 1]),
        )];
        save(&path, &tensors, &("state", 7)).unwrap();
        let (back, state): (Vec<(String, Tensor)>, (String, u32)) = load(&path).unwrap();
        assert_eq!(state, ("state".to_owned(), 7));
        assert_eq!(back[0].1, tensors[0].1);
        let whole = std::fs::read(&path).unwrap();
        for cut in [0, 10, 60, whole.len() - 1] {
            std::fs::write(&path, &whole[..cut]).unwrap();
            assert!(
                matches!(
                    load::<(String, u32)>(&path),
                    Err(CheckpointError::Corrupt { .. })
                ),
                "cut at {cut}"
            );
        }
        let mut flipped = whole;
        flipped[70] ^= 1;
        std::fs::write(&path, &flipped).unwrap();
        let refusal = load::<(String, u32)>(&path).unwrap_err();
        assert!(matches!(refusal, CheckpointError::Corrupt { .. }));
        let message = refusal.to_string();
        assert!(
            message.contains("step-1.ckpt") && message.contains("delete it"),
            "{message}"
        );
    }
}
