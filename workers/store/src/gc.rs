//! Collection of what no manifest reaches any more, never while a run may need it.
use crate::atomic::WriteError;
use crate::error::StoreError;
use crate::lock::FileLock;
use crate::objects::{Listed, Store, object_path};
use agoge_digest::Digest;
use std::collections::HashSet;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Kept work that nobody signed for so long is left over: a run that is suspended for longer starts its stage anew.
const LEFT: Duration = Duration::from_secs(30 * 24 * 3600);
/// The time for which a holder's object in a bucket counts: a run that was killed leaves it behind.
const HELD: Duration = Duration::from_secs(24 * 3600);
/// A worker signs its kept work twice as often.
const SIGNED: Duration = Duration::from_secs(600);

/// The limits of a collection.
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

/// The findings of a collection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GcReport {
    pub kept: usize,
    pub removed: usize,
    pub bytes_freed: u64,
}

/// Held by a run for as long as it may need objects that no manifest reaches yet; it goes with the process.
pub struct RunLock(Held);

enum Held {
    /// The kernel's lock decides; the file names the holder for people.
    Folder { _shared: FileLock, name: PathBuf },
    /// An object says so.
    Bucket { store: Store, path: String },
}

impl std::fmt::Debug for RunLock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RunLock")
    }
}

impl Drop for RunLock {
    fn drop(&mut self) {
        let _ = match &self.0 {
            Held::Folder { name, .. } => std::fs::remove_file(name).map_err(|_| ()),
            Held::Bucket { store, path } => store.delete(path).map_err(|_| ()),
        };
    }
}

impl Store {
    /// Announces a run; any number of runs may hold the store at once. Waits while a collection is under way.
    pub fn hold(&self, run: &str) -> Result<RunLock, StoreError> {
        let safe: String = run
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
            .collect();
        let holder = format!("run {run} (process {})", std::process::id());
        let Some(root) = self.folder() else {
            let path = format!("locks/{safe}.{}.holder", crate::kept::unique());
            self.write(&path, holder.into_bytes())?;
            let store = self.clone();
            return Ok(RunLock(Held::Bucket { store, path }));
        };
        let folder = root.join("locks");
        std::fs::create_dir_all(&folder).map_err(WriteError::at("make the folder", &folder))?;
        let shared = lock_file(&folder.join("runs.lock"))?;
        shared
            .lock_shared()
            .map_err(WriteError::at("lock", &folder.join("runs.lock")))?;
        let name = folder.join(format!("{safe}.{}.holder", std::process::id()));
        let mut file = lock_file(&name)?;
        let _ = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| write!(file, "{holder}"));
        Ok(RunLock(Held::Folder {
            _shared: FileLock(shared),
            name,
        }))
    }

    /// Removes the objects that no artifact and no kept digest reaches, and copies of work that nobody went on with.
    ///
    /// Refused while any run holds the store. In a folder, a run that starts meanwhile waits for the end of the collection.
    /// In a bucket there is no lock that ends with its process: a worker that keeps its work there counts as a run, and
    /// `min_age` protects what a run that starts meanwhile makes.
    pub fn gc(&self, options: &GcOptions) -> Result<GcReport, StoreError> {
        let Some(root) = self.folder() else {
            let holders = self.bucket_holders()?;
            if !holders.is_empty() {
                let (store, holders) = (self.address(), holders.join(", "));
                return Err(StoreError::InUse { store, holders });
            }
            return self.collect_now(options);
        };
        let folder = root.join("locks");
        std::fs::create_dir_all(&folder).map_err(WriteError::at("make the folder", &folder))?;
        let exclusive = lock_file(&folder.join("runs.lock"))?;
        match exclusive.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::InUse {
                    store: self.address(),
                    holders: holders(&folder),
                });
            }
            Err(TryLockError::Error(e)) => return Err(WriteError::at("lock", &folder)(e).into()),
        }
        let _exclusive = FileLock(exclusive);
        let report = self.collect_now(options)?;
        if !options.dry_run {
            sweep_staged(root);
        }
        Ok(report)
    }

    fn collect_now(&self, options: &GcOptions) -> Result<GcReport, StoreError> {
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
        for file in self.left_work(now, options.min_age)? {
            if !options.dry_run {
                self.delete(&file.path)?;
            }
            report.removed += 1;
            report.bytes_freed += file.size;
        }
        Ok(report)
    }

    /// Files of kept copies that nobody has signed for so long that nobody will go on with them.
    fn left_work(&self, now: SystemTime, min_age: Duration) -> Result<Vec<Listed>, StoreError> {
        let files = self.list(crate::kept::TOP)?;
        let young = |file: &Listed| {
            let age = now.duration_since(file.modified).unwrap_or_default();
            age < min_age.max(LEFT)
        };
        let alive: HashSet<String> = files
            .iter()
            .filter(|file| young(file))
            .map(|file| copy_of(&file.path).to_owned())
            .collect();
        let left = files
            .into_iter()
            .filter(|file| !alive.contains(copy_of(&file.path)));
        Ok(left.collect())
    }

    /// Returns the runs that seem to use a bucket.
    fn bucket_holders(&self) -> Result<Vec<String>, StoreError> {
        let now = SystemTime::now();
        let mut found = Vec::new();
        for (top, end, bound) in [
            ("locks", ".holder", HELD),
            (crate::kept::TOP, "/manifest.json", SIGNED),
        ] {
            let files = self.list(top)?.into_iter().filter(|file| {
                let age = now.duration_since(file.modified).unwrap_or_default();
                file.path.ends_with(end) && age < bound
            });
            found.extend(files.map(|file| file.path));
        }
        Ok(found)
    }
}

/// The copy that a file of kept work belongs to.
fn copy_of(path: &str) -> &str {
    let end = path.find("/pieces/").or_else(|| path.rfind('/'));
    end.map_or(path, |end| &path[..end])
}

/// Removes what killed writers left half-written. Nobody writes now, so a failure to remove one costs only its space.
fn sweep_staged(root: &Path) {
    for top in ["objects", "artifacts"] {
        let folders = std::fs::read_dir(root.join(top))
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
