//! The store itself: bytes by digest over `object_store`, verified on the way in and out, behind blocking calls.
use crate::address::{self, Place};
#[cfg(feature = "buckets")]
use crate::buckets;
use crate::atomic::{WriteError, is_full};
use agoge_digest::Digest;
use bytes::Bytes;
use futures::TryStreamExt;
use object_store::path::Path as Key;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload, WriteMultipart};
use std::error::Error as _;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::time::SystemTime;
use tokio::runtime::Runtime;

/// Objects that are larger go to a bucket in parts.
const PART: usize = 16 << 20;

/// The errors of the store; each message names the path and a suggested fix.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The address is none.
    #[error(
        "cannot open the store {0:?}: give a folder, a file:// URL, or a bucket as s3://BUCKET/PREFIX (gs:// and az:// too)"
    )]
    Address(String),
    /// The address is a bucket's, and this program was built for folders alone.
    #[error("the store {0} is a bucket, and this program was built without buckets: build it with `make build`")]
    FoldersOnly(String),
    /// Nobody answers there.
    #[error(
        "the store {store} cannot be reached ({why}); see that it runs, and that its endpoint (AWS_ENDPOINT) is right"
    )]
    Unreachable { store: String, why: String },
    /// It refuses who asks.
    #[error(
        "the store {store} refuses these credentials ({why}); see the secret that the store names (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY)"
    )]
    Unauthorized { store: String, why: String },
    /// There is no such bucket.
    #[error("the store {store} has no bucket of that name: make it, or name another")]
    NoBucket { store: String },
    /// Another worker has taken a kept work folder over.
    #[error("another worker goes on with the work kept in {path}: this one ends")]
    TakenOver { path: String },
    /// Kept work that does not fit together.
    #[error("the work kept in {path} is damaged: {why}; delete it to start that work anew")]
    KeptDamaged { path: String, why: String },
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

impl StoreError {
    /// Returns true when the store did not answer: a retry may help.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        matches!(self, StoreError::Unreachable { .. })
    }

    /// Returns true when a disk is full.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self, StoreError::Write(WriteError::DiskFull { .. }))
    }
}

/// A store in a folder or a bucket. Cloning is cheap; all clones share it.
#[derive(Clone)]
pub struct Store {
    inner: Arc<dyn ObjectStore>,
    blocking: Arc<Blocking>,
    place: Arc<Place>,
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
    /// Opens the store at a folder (made if missing), a `file://` URL or a bucket (`s3://bucket/prefix`).
    pub fn open(address: impl AsRef<Path>) -> Result<Store, StoreError> {
        let (inner, place) = address::open(address.as_ref())?;
        Store::over(inner, place)
    }

    /// A store over any object store.
    pub(crate) fn over(inner: Arc<dyn ObjectStore>, place: Place) -> Result<Store, StoreError> {
        let address = place.address();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("store")
            .enable_all()
            .build()
            .map_err(WriteError::at("start a thread for", Path::new(&address)))?;
        Ok(Store {
            inner,
            blocking: Arc::new(Blocking(Some(runtime))),
            place: Arc::new(place),
        })
    }

    /// Its folder; none when it is a bucket.
    pub fn folder(&self) -> Option<&Path> {
        match &*self.place {
            Place::Folder(root) => Some(root),
            Place::Bucket(_) => None,
        }
    }

    /// Its address, which opens it again.
    pub fn address(&self) -> String {
        self.place.address()
    }

    /// Stores bytes under their digest, durably; what is there and sound already is not written again.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest, StoreError> {
        let digest = Digest::of(bytes);
        let path = object_path(&digest);
        // A file of that name with other bytes is a damaged one: writing heals it. A bucket is trusted where the size fits.
        let there = match self.folder() {
            Some(_) => self.read(&path)?.is_some_and(|old| old == bytes),
            None => self.size(&path)? == Some(bytes.len() as u64),
        };
        if !there {
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
        self.put(agoge_digest::canonical_json(&value).as_bytes())
    }

    /// The bytes of a digest, verified.
    pub fn get(&self, digest: &Digest) -> Result<Bytes, StoreError> {
        let path = object_path(digest);
        let Some(bytes) = self.read(&path)? else {
            let store = self.address();
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

    /// Returns true when an object of this digest is there (its content is verified when it is read).
    pub fn contains(&self, digest: &Digest) -> Result<bool, StoreError> {
        Ok(self.size(&object_path(digest))?.is_some())
    }

    fn size(&self, path: &str) -> Result<Option<u64>, StoreError> {
        let (key, inner) = (Key::from(path), self.inner.clone());
        match self.wait(async move { inner.head(&key).await })? {
            Ok(meta) => Ok(Some(meta.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(e) => Err(self.failed("look for", path, e)),
        }
    }

    /// The full name of a path inside the store, for messages.
    pub(crate) fn describe(&self, path: &str) -> String {
        self.place.describe(path)
    }

    pub(crate) fn write(&self, path: &str, bytes: Vec<u8>) -> Result<(), StoreError> {
        let (key, inner) = (Key::from(path), self.inner.clone());
        let parts = bytes.len() > PART && self.folder().is_none();
        self.wait(async move {
            if !parts {
                return inner.put(&key, PutPayload::from(bytes)).await.map(|_| ());
            }
            let upload = inner.put_multipart(&key).await?;
            let mut upload = WriteMultipart::new_with_chunk_size(upload, PART);
            for part in bytes.chunks(PART) {
                upload.wait_for_capacity(2).await?;
                upload.write(part);
            }
            upload.finish().await.map(|_| ())
        })?
        .map_err(|e| self.failed("write", path, e))
    }

    pub(crate) fn read(&self, path: &str) -> Result<Option<Bytes>, StoreError> {
        let (key, inner) = (Key::from(path), self.inner.clone());
        match self.wait(async move { inner.get(&key).await?.bytes().await })? {
            Ok(bytes) => Ok(Some(bytes)),
            #[cfg(feature = "buckets")]
            Err(e @ object_store::Error::NotFound { .. }) if buckets::no_bucket(&e) => {
                Err(self.failed("read", path, e))
            }
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(e) => Err(self.failed("read", path, e)),
        }
    }

    pub(crate) fn delete(&self, path: &str) -> Result<(), StoreError> {
        let (key, inner) = (Key::from(path), self.inner.clone());
        match self.wait(async move { inner.delete(&key).await })? {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(e) => Err(self.failed("delete", path, e)),
        }
    }

    pub(crate) fn list(&self, prefix: &str) -> Result<Vec<Listed>, StoreError> {
        let (key, inner) = (Key::from(prefix), self.inner.clone());
        let metas = self
            .wait(async move { inner.list(Some(&key)).try_collect::<Vec<_>>().await })?
            .map_err(|e| self.failed("list", prefix, e))?;
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

    fn failed(&self, doing: &'static str, path: &str, source: object_store::Error) -> StoreError {
        let path = self.describe(path);
        let mut cause = source.source();
        while let Some(error) = cause {
            if error.downcast_ref::<io::Error>().is_some_and(is_full) {
                return WriteError::DiskFull { path: path.into() }.into();
            }
            cause = error.source();
        }
        #[cfg(feature = "buckets")]
        if self.folder().is_none()
            && let Some(error) = buckets::failure(self.address(), &source)
        {
            return error;
        }
        StoreError::Storage {
            doing,
            path,
            source,
        }
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

/// The innermost reason of an error, in one line.

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
        for bad in ["ftp://bucket/x", "file://host/x", "http://x"] {
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
