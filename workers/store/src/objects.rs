//! The store itself: bytes by digest over `object_store`, verified on the way in and out, behind blocking calls.
use crate::address::{self, Place};
use crate::atomic::{WriteError, is_full};
#[cfg(feature = "buckets")]
use crate::buckets;
use crate::error::StoreError;
use agoge_digest::Digest;
use bytes::Bytes;
use futures::TryStreamExt;
use object_store::path::Path as Key;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload, WriteMultipart};
use std::error::Error as _;
use std::io;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::SystemTime;
use tokio::runtime::Runtime;

/// Objects that are larger go to a bucket in parts.
const PART: usize = 16 << 20;

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
