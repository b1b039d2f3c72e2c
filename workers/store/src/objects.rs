//! The store itself: bytes by digest over `object_store`, verified on the way in and out, behind blocking calls.
use crate::atomic::{WriteError, is_full};
use crate::digest::Digest;
use crate::ledger::{Ledger, LedgerError};
use bytes::Bytes;
use futures::TryStreamExt;
use object_store::local::LocalFileSystem;
use object_store::path::Path as Key;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use std::error::Error as _;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::time::SystemTime;
use tokio::runtime::Runtime;

/// What can go wrong with the store; each message names the path and a way out.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The address is neither a path nor a `file://` URL.
    #[error("cannot open the store {0:?}: give a folder or a file:// URL")]
    Address(String),
    /// The folder cannot be made, or an object cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The storage refused an operation.
    #[error("cannot {doing} {path}: {source}")]
    Storage {
        doing: &'static str,
        path: String,
        source: object_store::Error,
    },
    /// The object is not there.
    #[error("the store {store} has no object {digest}: the stage that makes it has to run again")]
    Missing { store: String, digest: Digest },
    /// The object's bytes are not those of its name.
    #[error(
        "the object {path} is corrupt (its content has digest {found}): delete that file and run the same command again to have it made anew"
    )]
    Corrupt { path: String, found: Digest },
    /// An artifact whose content was never put.
    #[error(
        "the {kind} {name:?} names the object {digest}, which is not in the store: put the content first"
    )]
    Dangling {
        kind: String,
        name: String,
        digest: Digest,
    },
    /// A manifest that is no manifest.
    #[error(
        "the manifest {path} cannot be read: {source}; delete it to have the artifact made anew"
    )]
    Manifest {
        path: String,
        source: serde_json::Error,
    },
    /// A kind with characters that do not belong in a path.
    #[error("{0:?} is no artifact kind: use letters, digits, `-`, `_` and `.`")]
    Kind(String),
    /// A name that would leave its folder.
    #[error("{0:?} is no file name inside a folder: use a relative path without `..`")]
    Name(String),
    /// A file or folder to be stored cannot be read.
    #[error("cannot read {path}: {source}")]
    Read { path: PathBuf, source: io::Error },
    /// Collection while a run is under way.
    #[error("the store {store} is in use by {holders}: collect when no run is under way")]
    InUse { store: String, holders: String },
    /// The worker thread of the blocking calls is gone.
    #[error("the store's thread ended before it answered: the process is shutting down")]
    Ended,
}

/// A store in one folder. Cloning is cheap; all clones share the folder.
#[derive(Clone)]
pub struct Store {
    inner: Arc<dyn ObjectStore>,
    blocking: Arc<Blocking>,
    root: PathBuf,
}

/// One listed file of the store.
pub(crate) struct Listed {
    pub path: String,
    pub size: u64,
    pub modified: SystemTime,
}

/// The runtime behind the blocking calls: they work on any thread, inside another runtime too.
struct Blocking(Option<Runtime>);

impl Drop for Blocking {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Store {
    /// Opens, or makes, the store at a folder or `file://` URL.
    pub fn open(address: impl AsRef<Path>) -> Result<Store, StoreError> {
        let address = address.as_ref();
        let text = address.to_string_lossy();
        let root = match text.split_once("://") {
            Some(("file", path)) if path.starts_with('/') => PathBuf::from(path),
            Some(_) => return Err(StoreError::Address(text.into_owned())),
            None => address.to_owned(),
        };
        std::fs::create_dir_all(&root).map_err(WriteError::at("make the folder", &root))?;
        let root = root
            .canonicalize()
            .map_err(WriteError::at("find the folder", &root))?;
        let local = LocalFileSystem::new_with_prefix(&root)
            .map_err(failed("open", &root.display().to_string()))?
            .with_fsync(true);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("store")
            .enable_all()
            .build()
            .map_err(WriteError::at("start a thread for", &root))?;
        Ok(Store {
            inner: Arc::new(local),
            blocking: Arc::new(Blocking(Some(runtime))),
            root,
        })
    }

    /// The folder of the store.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Stores bytes under their digest, durably; what is there and sound already is not written again.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest, StoreError> {
        let digest = Digest::of(bytes);
        let path = object_path(&digest);
        // A file of that name with other bytes is a damaged one: writing heals it.
        if self.read(&path)?.is_none_or(|old| old != bytes) {
            self.write(&path, bytes.to_vec())?;
        }
        Ok(digest)
    }

    /// Stores a value as JSON with sorted keys.
    pub fn put_json(&self, value: &impl serde::Serialize) -> Result<Digest, StoreError> {
        let value = serde_json::to_value(value).map_err(|source| StoreError::Manifest {
            path: "(unwritten)".into(),
            source,
        })?;
        self.put(crate::canonical_json(&value).as_bytes())
    }

    /// The bytes of a digest, verified.
    pub fn get(&self, digest: &Digest) -> Result<Bytes, StoreError> {
        let path = object_path(digest);
        let Some(bytes) = self.read(&path)? else {
            let store = self.root.display().to_string();
            return Err(StoreError::Missing {
                store,
                digest: digest.clone(),
            });
        };
        let found = Digest::of(&bytes);
        if found != *digest {
            return Err(StoreError::Corrupt {
                path: self.describe(&path),
                found,
            });
        }
        Ok(bytes)
    }

    /// A value stored by [`Store::put_json`].
    pub fn get_json<T: serde::de::DeserializeOwned>(
        &self,
        digest: &Digest,
    ) -> Result<T, StoreError> {
        serde_json::from_slice(&self.get(digest)?).map_err(|source| StoreError::Manifest {
            path: self.describe(&object_path(digest)),
            source,
        })
    }

    /// Whether an object of this digest is there (its content is verified when it is read).
    pub fn contains(&self, digest: &Digest) -> Result<bool, StoreError> {
        let path = object_path(digest);
        let key = Key::from(path.as_str());
        let inner = self.inner.clone();
        match self.wait(async move { inner.head(&key).await })? {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(e) => Err(failed("look for", &self.describe(&path))(e)),
        }
    }

    /// Opens the ledger of this name, `ledgers/<name>.jsonl`.
    pub fn ledger(&self, name: &str) -> Result<Ledger, LedgerError> {
        Ledger::open(self.root.join("ledgers").join(format!("{name}.jsonl")))
    }

    /// The full name of a path inside the store, for messages.
    pub(crate) fn describe(&self, path: &str) -> String {
        self.root.join(path).display().to_string()
    }

    pub(crate) fn write(&self, path: &str, bytes: Vec<u8>) -> Result<(), StoreError> {
        let (key, inner) = (Key::from(path), self.inner.clone());
        self.wait(async move { inner.put(&key, PutPayload::from(bytes)).await })?
            .map(|_| ())
            .map_err(failed("write", &self.describe(path)))
    }

    pub(crate) fn read(&self, path: &str) -> Result<Option<Bytes>, StoreError> {
        let (key, inner) = (Key::from(path), self.inner.clone());
        match self.wait(async move { inner.get(&key).await?.bytes().await })? {
            Ok(bytes) => Ok(Some(bytes)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(e) => Err(failed("read", &self.describe(path))(e)),
        }
    }

    pub(crate) fn delete(&self, path: &str) -> Result<(), StoreError> {
        let (key, inner) = (Key::from(path), self.inner.clone());
        match self.wait(async move { inner.delete(&key).await })? {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(e) => Err(failed("delete", &self.describe(path))(e)),
        }
    }

    pub(crate) fn list(&self, prefix: &str) -> Result<Vec<Listed>, StoreError> {
        let (key, inner) = (Key::from(prefix), self.inner.clone());
        let metas = self
            .wait(async move { inner.list(Some(&key)).try_collect::<Vec<_>>().await })?
            .map_err(failed("list", &self.describe(prefix)))?;
        let mut listed: Vec<Listed> = metas
            .into_iter()
            .map(|meta| Listed {
                path: meta.location.to_string(),
                size: meta.size,
                modified: meta.last_modified.into(),
            })
            .collect();
        listed.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(listed)
    }

    fn wait<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let runtime = self.blocking.0.as_ref().ok_or(StoreError::Ended)?;
        let (answer, answered) = mpsc::sync_channel(1);
        runtime.spawn(async move {
            let _ = answer.send(work.await);
        });
        answered.recv().map_err(|_| StoreError::Ended)
    }
}

/// Where an object lies: two levels, so that no folder grows to a million entries.
pub(crate) fn object_path(digest: &Digest) -> String {
    let (first, rest) = digest.hex().split_at(2);
    format!("objects/{first}/{rest}")
}

fn failed(doing: &'static str, path: &str) -> impl FnOnce(object_store::Error) -> StoreError {
    let path = path.to_owned();
    move |source| {
        let mut cause = source.source();
        while let Some(error) = cause {
            if error.downcast_ref::<io::Error>().is_some_and(is_full) {
                return WriteError::DiskFull { path: path.into() }.into();
            }
            cause = error.source();
        }
        StoreError::Storage {
            doing,
            path,
            source,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_corrupted_object_is_refused_and_putting_it_again_heals_it() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let digest = store.put(b"gold").unwrap();
        assert_eq!(store.get(&digest).unwrap(), "gold");
        let file = dir.path().join(object_path(&digest));
        std::fs::write(&file, b"golf").unwrap();
        let error = store.get(&digest).unwrap_err();
        assert!(matches!(error, StoreError::Corrupt { .. }));
        assert!(
            error
                .to_string()
                .contains(file.canonicalize().unwrap().to_str().unwrap())
        );
        store.put(b"gold").unwrap();
        assert_eq!(store.get(&digest).unwrap(), "gold");
        assert!(matches!(
            store.get(&Digest::of(b"x")),
            Err(StoreError::Missing { .. })
        ));
    }

    #[test]
    fn a_store_opens_by_path_or_file_url_and_refuses_the_rest() {
        let dir = tempfile::tempdir().unwrap();
        let digest = Store::open(dir.path()).unwrap().put(b"x").unwrap();
        let url = format!("file://{}", dir.path().display());
        assert_eq!(Store::open(&url).unwrap().get(&digest).unwrap(), "x");
        for bad in ["s3://bucket/x", "file://host/x", "http://x"] {
            assert!(
                matches!(Store::open(bad), Err(StoreError::Address(_))),
                "{bad}"
            );
        }
    }

    #[tokio::test]
    async fn blocking_calls_work_inside_a_runtime_too() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let digest = store
            .put_json(&serde_json::json!({"b": 1, "a": 2}))
            .unwrap();
        assert_eq!(store.get(&digest).unwrap(), r#"{"a":2,"b":1}"#);
    }
}
