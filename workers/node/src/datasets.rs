//! The datasets that strategies left in the store.

use agoge_artifacts::{Instance, dataset};
use agoge_store::{Digest, Store};

use crate::failure::Failure;

/// Returns the objects of strategies' datasets: each dataset itself, or its shards.
///
/// # Errors
/// A text that is no digest, or a dataset that the store does not have.
pub fn objects<'a>(
    store: &Store,
    digests: impl IntoIterator<Item = &'a String>,
) -> Result<Vec<Digest>, Failure> {
    let mut objects = Vec::new();
    for digest in digests {
        let digest = Digest::parse(digest).map_err(Failure::input)?;
        let found = dataset::objects(store, &digest)?.ok_or_else(|| {
            Failure::Input(format!(
                "the store has no dataset {digest}; delete the SynthesisJob (on a laptop its file in objects/) and apply it again"
            ))
        })?;
        objects.extend(found);
    }
    Ok(objects)
}

/// Reads the valid instances of these objects.
///
/// # Errors
/// An object that cannot be read.
pub fn instances(store: &Store, objects: &[Digest]) -> Result<Vec<Instance>, Failure> {
    let mut instances = Vec::new();
    for object in objects {
        instances.extend(dataset::instances(dataset::get(store, object)?));
    }
    Ok(instances)
}
