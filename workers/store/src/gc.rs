//! Collection of what no manifest reaches any more, never while a run may need it.
use crate::atomic::WriteError;
use crate::digest::Digest;
use crate::objects::{Store, StoreError, object_path};
use std::collections::HashSet;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Seek, Write};
use std::path::Path;
use std::time::{Duration, SystemTime};

/// What a collection may take.
#[derive(Clone, Debug)]
pub struct GcOptions {
    /// Kept although no manifest reaches them.
    pub keep: Vec<Digest>,
    /// Younger objects stay: someone may be about to write the manifest.
    pub min_age: Duration,
    /// Only say what would go.
    pub dry_run: bool,
}

impl Default for GcOptions {
    fn default() -> Self {
        GcOptions {
            keep: Vec::new(),
            min_age: Duration::from_secs(3600),
            dry_run: false,
        }
    }
}

/// What a collection found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GcReport {
    pub kept: usize,
    pub removed: usize,
    pub bytes_freed: u64,
}

/// Held by a run for as long as it may need objects that no manifest reaches yet; it goes with the process.
#[derive(Debug)]
pub struct RunLock {
    _shared: File,
    name: std::path::PathBuf,
}

impl Drop for RunLock {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.name);
    }
}

impl Store {
    /// Announces a run; any number of runs may hold the store at once. Waits while a collection is under way.
    pub fn hold(&self, run: &str) -> Result<RunLock, StoreError> {
        let folder = self.root().join("locks");
        std::fs::create_dir_all(&folder).map_err(WriteError::at("make the folder", &folder))?;
        let shared = lock_file(&folder.join("runs.lock"))?;
        shared
            .lock_shared()
            .map_err(WriteError::at("lock", &folder.join("runs.lock")))?;
        // The file names the holder for people; only the kernel's lock decides.
        let safe: String = run
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
            .collect();
        let name = folder.join(format!("{safe}.{}.holder", std::process::id()));
        let mut file = lock_file(&name)?;
        let _ = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| write!(file, "run {run} (process {})", std::process::id()));
        Ok(RunLock {
            _shared: shared,
            name,
        })
    }

    /// Removes the objects that no artifact and no kept digest reaches.
    ///
    /// Refused while any run holds the store; a run that starts meanwhile waits for the end of the collection.
    pub fn gc(&self, options: &GcOptions) -> Result<GcReport, StoreError> {
        let folder = self.root().join("locks");
        std::fs::create_dir_all(&folder).map_err(WriteError::at("make the folder", &folder))?;
        let exclusive = lock_file(&folder.join("runs.lock"))?;
        match exclusive.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let store = self.root().display().to_string();
                return Err(StoreError::InUse {
                    store,
                    holders: holders(&folder),
                });
            }
            Err(TryLockError::Error(e)) => return Err(WriteError::at("lock", &folder)(e).into()),
        }
        let mut reached: HashSet<String> = options.keep.iter().map(object_path).collect();
        for artifact in self.all_artifacts()? {
            reached.extend(artifact.reaches().iter().map(object_path));
        }
        let now = SystemTime::now();
        let mut report = GcReport::default();
        for object in self.list("objects")? {
            let age = now.duration_since(object.modified).unwrap_or_default();
            if reached.contains(&object.path) || age < options.min_age {
                report.kept += 1;
                continue;
            }
            if !options.dry_run {
                self.delete(&object.path)?;
            }
            report.removed += 1;
            report.bytes_freed += object.size;
        }
        if !options.dry_run {
            self.sweep_staged();
        }
        Ok(report)
    }
}

impl Store {
    /// Removes what killed writers left half-written. Nobody writes now, so a failure to remove one costs only its space.
    fn sweep_staged(&self) {
        for top in ["objects", "artifacts"] {
            let folders = std::fs::read_dir(self.root().join(top))
                .into_iter()
                .flatten()
                .flatten();
            for file in folders
                .flat_map(|f| std::fs::read_dir(f.path()))
                .flatten()
                .flatten()
            {
                // `object_store` stages a write as `<name>#<number>`, which no name of ours contains.
                if file.file_name().to_string_lossy().contains('#') {
                    let _ = std::fs::remove_file(file.path());
                }
            }
        }
    }
}

fn lock_file(path: &Path) -> Result<File, StoreError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(|e| WriteError::at("open", path)(e).into())
}

fn holders(folder: &Path) -> String {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|e| e.path().extension().is_some_and(|x| x == "holder"))
        .filter_map(|e| std::fs::read_to_string(e.path()).ok())
        .collect();
    names.sort();
    if names.is_empty() {
        "a run".to_owned()
    } else {
        names.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Artifact;
    use serde_json::json;
    use std::collections::BTreeMap;

    fn at_once() -> GcOptions {
        GcOptions {
            min_age: Duration::ZERO,
            ..GcOptions::default()
        }
    }

    #[test]
    fn what_a_manifest_or_the_keep_list_reaches_is_never_collected() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let mut alive = Vec::new();
        for i in 0..20 {
            let content = store.put(format!("content {i}").as_bytes()).unwrap();
            let file = store.put(format!("file {i}").as_bytes()).unwrap();
            let input = store.put(format!("input {i}").as_bytes()).unwrap();
            store.put(format!("rubbish {i}").as_bytes()).unwrap();
            let inputs = BTreeMap::from([("plan".to_owned(), input.to_string())]);
            let mut made = Artifact::new("model", "m", content.clone(), inputs);
            made.meta = json!({"files": {"model.safetensors": [file]}});
            store.put_artifact(&made).unwrap();
            alive.extend([content, file, input]);
        }
        let kept = store.put(b"by hand").unwrap();
        let dry = GcOptions {
            keep: vec![kept.clone()],
            dry_run: true,
            ..at_once()
        };
        let options = GcOptions {
            dry_run: false,
            ..dry.clone()
        };
        assert_eq!(store.gc(&dry).unwrap().removed, 20);
        let report = store.gc(&options).unwrap();
        assert_eq!((report.kept, report.removed), (61, 20));
        for digest in alive.iter().chain([&kept]) {
            store.get(digest).unwrap();
        }
        let staged = dir.path().join(object_path(&kept)).with_extension("#1");
        std::fs::write(&staged, b"half").unwrap();
        assert_eq!(store.gc(&options).unwrap().removed, 0);
        assert!(!staged.exists());
    }

    #[test]
    fn nothing_is_collected_while_a_run_holds_the_store_or_while_it_is_young() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let digest = store.put(b"in flight").unwrap();
        let (one, two) = (store.hold("demo").unwrap(), store.hold("learn").unwrap());
        let error = store.gc(&at_once()).unwrap_err().to_string();
        assert!(
            error.contains("run demo") && error.contains("run learn"),
            "{error}"
        );
        drop(one);
        assert!(matches!(
            store.gc(&at_once()),
            Err(StoreError::InUse { .. })
        ));
        drop(two);
        assert_eq!(store.gc(&GcOptions::default()).unwrap().removed, 0);
        store.get(&digest).unwrap();
        assert_eq!(store.gc(&at_once()).unwrap().removed, 1);
    }
}
