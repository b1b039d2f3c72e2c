//! The address of a store: a folder, or a bucket (see `buckets`, which a build for folders alone leaves out).
use crate::atomic::WriteError;
#[cfg(feature = "buckets")]
use crate::buckets;
use crate::error::StoreError;
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where a store lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A folder, in its canonical form.
    Folder(PathBuf),
    /// Anything else: its address without a slash at the end.
    #[cfg_attr(
        not(feature = "buckets"),
        expect(dead_code, reason = "a build for folders alone opens no bucket")
    )]
    Bucket(String),
}

impl Place {
    /// The full name of a path in there, for messages.
    pub fn describe(&self, path: &str) -> String {
        match self {
            Place::Folder(root) => root.join(path).display().to_string(),
            Place::Bucket(address) => format!("{address}/{path}"),
        }
    }

    /// Its address.
    pub fn address(&self) -> String {
        match self {
            Place::Folder(root) => root.display().to_string(),
            Place::Bucket(address) => address.clone(),
        }
    }
}

/// Opens what an address names. A folder is made if it is missing; a bucket is not asked yet.
pub(crate) fn open(address: &Path) -> Result<(Arc<dyn ObjectStore>, Place), StoreError> {
    let text = address.to_string_lossy();
    match text.split_once("://") {
        Some(("file", path)) if path.starts_with('/') => folder(Path::new(path)),
        #[cfg(feature = "buckets")]
        Some(_) => buckets::open(&text),
        #[cfg(not(feature = "buckets"))]
        Some(_) => Err(StoreError::FoldersOnly(text.into_owned())),
        None => folder(address),
    }
}

fn folder(root: &Path) -> Result<(Arc<dyn ObjectStore>, Place), StoreError> {
    std::fs::create_dir_all(root).map_err(WriteError::at("make the folder", root))?;
    let root = root
        .canonicalize()
        .map_err(WriteError::at("find the folder", root))?;
    let local = LocalFileSystem::new_with_prefix(&root)
        .map_err(|source| StoreError::Storage {
            doing: "open",
            path: root.display().to_string(),
            source,
        })?
        .with_fsync(true);
    Ok((Arc::new(local), Place::Folder(root)))
}
