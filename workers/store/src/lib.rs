//! Where everything a run makes is kept: objects by content digest, artifacts by kind and inputs, ledgers, atomic files,
//! and copies of work that is not done.
//!
//! A stage asks [`Store::find_artifact`] for its own output before it starts, so running it twice does the work once.
//! While it runs, a [`Ledger`] keeps what it has finished; a kill at any byte loses only the item in flight.
#![forbid(unsafe_code)]

mod address;
mod artifact;
mod atomic;
#[cfg(feature = "buckets")]
mod buckets;
mod error;
mod folder;
mod gc;
mod kept;
mod ledger;
mod lock;
mod objects;

pub use agoge_digest::{Digest, InvalidDigest, canonical_json, travels};
pub use artifact::{Artifact, now};
pub use atomic::{WriteError, write_atomic};
pub use error::StoreError;
pub use folder::Folder;
pub use gc::{GcOptions, GcReport, RunLock};
pub use kept::Kept;
pub use ledger::{Entry, Ledger, LedgerError, Torn};
pub use lock::FileLock;
pub use objects::Store;
