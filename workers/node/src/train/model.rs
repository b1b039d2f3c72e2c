//! The model that `policy.path` names: a folder that the worker can see, or a model in the store.
//!
//! `store:sha256:…` is the digest of a stage record that has a model, such as the digest in the status of a GRPORun, or of
//! a stored folder. It means the same on a laptop and on a cluster. Anything else is a folder: on a cluster one inside the
//! worker's pod, from its image or from a volume that `spec.worker` mounts.

use std::fs::File;
use std::path::{Path, PathBuf};

use agoge_artifacts::StageRecord;
use agoge_store::{Digest, Folder, Store};

use crate::failure::Failure;

/// The beginning of a path that names a model in the store.
const STORED: &str = "store:";

/// Returns the names and digests of a model's files: its identity, wherever it lies. Each file is read once.
///
/// # Errors
/// A path that names no model; the message says what can be named.
pub fn files(store: &Store, path: &str) -> Result<Folder, Failure> {
    if let Some(digest) = path.strip_prefix(STORED) {
        return stored(store, digest);
    }
    let folder = Path::new(path);
    let entries = std::fs::read_dir(folder).map_err(|error| missing(path, &error.to_string()))?;
    let mut files = Folder::new();
    for entry in entries {
        let file = entry.map_err(|error| missing(path, &error.to_string()))?;
        let name = file.file_name().to_string_lossy().into_owned();
        // Links are followed: a cache of models consists of them.
        if name.starts_with('.') || !file.path().is_file() {
            continue;
        }
        let digest = File::open(file.path()).and_then(Digest::of_reader);
        let digest = digest.map_err(|error| missing(path, &format!("{name}: {error}")))?;
        files.insert(name, digest);
    }
    if !files.contains_key("config.json") {
        return Err(missing(path, "it has no config.json"));
    }
    Ok(files)
}

/// Returns a folder with the model's files; those of a model in the store are written into `to`.
///
/// # Errors
/// See [`files`].
pub fn folder(store: &Store, path: &str, to: &Path) -> Result<PathBuf, Failure> {
    match path.strip_prefix(STORED) {
        Some(digest) => {
            store.get_folder(&stored(store, digest)?, to)?;
            Ok(to.to_owned())
        }
        None if Path::new(path).is_dir() => Ok(PathBuf::from(path)),
        None => Err(missing(path, "there is no such folder")),
    }
}

fn stored(store: &Store, digest: &str) -> Result<Folder, Failure> {
    let object = Digest::parse(digest)
        .map_err(|error| Failure::Input(format!("policy.path: after {STORED} {error}")))?;
    if let Ok(folder) = store.get_json::<Folder>(&object) {
        return Ok(folder);
    }
    StageRecord::read(store, &object)?.model.ok_or_else(|| {
        Failure::Input(format!(
            "policy.path: the record {digest} has no model; name the record of a stage that trains one"
        ))
    })
}

fn missing(path: &str, why: &str) -> Failure {
    Failure::Input(format!(
        "policy.path: {path} is not a model that this worker can read ({why}); name a folder of config.json, safetensors \
         and tokenizer.json (on a cluster one in the worker's image or on a volume that spec.worker mounts), or a model \
         in the store as {STORED}sha256:…, which `agoge model push` puts there"
    ))
}

#[cfg(test)]
mod tests {
    use agoge_artifacts::Stored as _;

    use super::*;

    #[test]
    fn a_model_is_known_by_its_content_wherever_it_lies() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path().join("store")).unwrap();
        let write = |folder: &str, weights: &str| {
            let folder = dir.path().join(folder);
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join("config.json"), "{}").unwrap();
            std::fs::write(folder.join("model.safetensors"), weights).unwrap();
            folder
        };
        let (first, second) = (write("first", "one"), write("second", "one"));
        let of = |folder: &Path| files(&store, folder.to_str().unwrap()).unwrap();
        assert_eq!(of(&first), of(&second), "another path, the same model");
        let before = of(&first);
        write("first", "two");
        assert_ne!(of(&first), before, "the same path, another model");

        let record = StageRecord {
            model: Some(store.put_folder(&second).unwrap()),
            ..StageRecord::default()
        };
        let by_record = format!("{STORED}{}", record.put(&store).unwrap());
        let model = store.put_json(record.model.as_ref().unwrap()).unwrap();
        let by_folder = format!("{STORED}{model}");
        for path in [by_record, by_folder] {
            assert_eq!(files(&store, &path).unwrap(), before, "{path}");
            let found = folder(&store, &path, &dir.path().join("to")).unwrap();
            assert_eq!(
                std::fs::read(found.join("model.safetensors")).unwrap(),
                b"one"
            );
        }
    }

    #[test]
    fn a_path_that_is_not_a_model_is_refused_with_what_can_be_named() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path().join("store")).unwrap();
        let empty = StageRecord::default().put(&store).unwrap();
        let known = format!("store:{empty}");
        let unknown = format!("store:{}", Digest::of(b"unknown"));
        for (path, word) in [
            ("/no/such/folder", "spec.worker mounts"),
            (dir.path().to_str().unwrap(), "config.json"),
            ("store:courier", "is not a digest"),
            (known.as_str(), "has no model"),
            (unknown.as_str(), "has no object"),
        ] {
            let error = files(&store, path).unwrap_err().to_string();
            assert!(error.contains(word), "{path}: {error}");
        }
    }
}
