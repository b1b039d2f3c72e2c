//! A folder's way into a store.

use std::collections::BTreeMap;
use std::path::Path;

use agoge_store::{Artifact, Digest, Store, StoreError};

/// Puts a folder into a store as an artifact of this kind and name, which keeps its files from being collected, and returns the
/// digest by which the folder is found. `identity` says what the folder is; without one that is the digest itself.
///
/// # Errors
/// When the folder cannot be read, or the store not be written.
pub fn push(
    store: &Store,
    dir: &Path,
    (kind, name): (&str, &str),
    identity: Option<&str>,
) -> Result<Digest, StoreError> {
    let folder = store.put_folder(dir)?;
    let digest = store.put_json(&folder)?;
    let identity = identity.unwrap_or(digest.as_str());
    let inputs = BTreeMap::from([(kind.to_owned(), identity.to_owned())]);
    let mut artifact = Artifact::new(kind, name, digest.clone(), inputs);
    artifact.meta = serde_json::json!({ "files": folder });
    store.put_artifact(&artifact)?;
    Ok(digest)
}
