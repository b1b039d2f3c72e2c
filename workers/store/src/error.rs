//! The failures of a store, for every part of it.
use crate::atomic::WriteError;
use agoge_digest::Digest;
use std::io;
use std::path::PathBuf;

/// A failure of the store. Each message names the path and a suggested fix.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The address is none.
    #[error(
        "cannot open the store {0:?}: give a folder, a file:// URL, or a bucket as s3://BUCKET/PREFIX (gs:// and az:// too)"
    )]
    Address(String),
    /// The address is a bucket's, and this program was built for folders alone.
    #[error(
        "the store {0} is a bucket, and this program was built without buckets: build it with `make build`"
    )]
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
