//! Whole folders in the store (a policy: config, weights, tokenizer), as a map from file name to digest.
use crate::atomic::write_atomic;
use crate::error::StoreError;
use crate::objects::Store;
use agoge_digest::{Digest, travels};
use std::collections::BTreeMap;
use std::path::{Component, Path};

/// File names, with `/` between folders, and the digests of their contents. Put it in an artifact's `meta` to keep the files alive.
pub type Folder = BTreeMap<String, Digest>;

impl Store {
    /// Stores every file below `dir` that [travels](agoge_digest::travels); links are left out.
    pub fn put_folder(&self, dir: &Path) -> Result<Folder, StoreError> {
        let mut folder = Folder::new();
        self.collect(dir, "", &mut folder)?;
        Ok(folder)
    }

    /// Writes the files of a folder below `dir`, each verified and whole; files of other names there are left alone.
    pub fn get_folder(&self, folder: &Folder, dir: &Path) -> Result<(), StoreError> {
        for (name, digest) in folder {
            let inside = Path::new(name)
                .components()
                .all(|c| matches!(c, Component::Normal(_)));
            if name.is_empty() || !inside {
                return Err(StoreError::Name(name.clone()));
            }
            write_atomic(dir.join(name), self.get(digest)?)?;
        }
        Ok(())
    }

    fn collect(&self, dir: &Path, prefix: &str, folder: &mut Folder) -> Result<(), StoreError> {
        let unreadable = |path: &Path| {
            let path = path.to_owned();
            move |source| StoreError::Read { path, source }
        };
        for entry in std::fs::read_dir(dir).map_err(unreadable(dir))? {
            let entry = entry.map_err(unreadable(dir))?;
            let path = entry.path();
            let kind = entry.file_type().map_err(unreadable(&path))?;
            let name = entry.file_name().into_string();
            let name = name.map_err(|n| StoreError::Name(n.to_string_lossy().into_owned()))?;
            if !travels(&name) {
                continue;
            }
            let full = format!("{prefix}{name}");
            if kind.is_dir() {
                self.collect(&path, &format!("{full}/"), folder)?;
            } else if kind.is_file() {
                let bytes = std::fs::read(&path).map_err(unreadable(&path))?;
                folder.insert(full, self.put(&bytes)?);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_comes_back_as_it_was_and_never_outside_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path().join("store")).unwrap();
        let from = dir.path().join("from");
        write_atomic(from.join("config.json"), "{}").unwrap();
        write_atomic(from.join("deep/model.safetensors"), "weights").unwrap();
        let folder = store.put_folder(&from).unwrap();
        for left_behind in [
            "__pycache__/x.pyc",
            "config.json~",
            ".DS_Store",
            "deep/.git/HEAD",
        ] {
            write_atomic(from.join(left_behind), "x").unwrap();
        }
        assert_eq!(store.put_folder(&from).unwrap(), folder);
        let to = dir.path().join("to");
        store.get_folder(&folder, &to).unwrap();
        assert_eq!(
            std::fs::read(to.join("deep/model.safetensors")).unwrap(),
            b"weights"
        );
        assert_eq!(store.put_folder(&to).unwrap(), folder);
        let escape = Folder::from([("../out".to_owned(), folder["config.json"].clone())]);
        assert!(matches!(
            store.get_folder(&escape, &to),
            Err(StoreError::Name(_))
        ));
    }
}
