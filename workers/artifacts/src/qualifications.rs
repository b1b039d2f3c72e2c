//! The qualifications that a strategy made along with a dataset, so that a suite over it need not make them again.

use std::collections::BTreeMap;

use agoge_checker::Qualification;
use agoge_store::{Artifact, Digest, Store};
use serde::{Deserialize, Serialize};

use crate::format::{ArtifactError, Format, Stored};

/// The qualifications of a dataset's tasks: the artifact `qualifications`, found by the dataset's digest.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Qualifications {
    /// Each under its key, see [`agoge_checker::qualification_key`].
    pub by_key: BTreeMap<Digest, Qualification>,
}

impl Stored for Qualifications {
    const FORMAT: Format = Format {
        name: "agoge-qualifications",
        current: 1,
    };
}

impl Qualifications {
    /// The kind of the artifact.
    pub const KIND: &str = "qualifications";

    /// Returns the inputs by which the qualifications of a dataset are found.
    #[must_use]
    pub fn inputs(dataset: &Digest) -> BTreeMap<String, String> {
        BTreeMap::from([("dataset".to_owned(), dataset.to_string())])
    }

    /// Puts the qualifications of a dataset into a store. Stores nothing when there are none.
    ///
    /// # Errors
    /// [`ArtifactError`]
    pub fn publish(
        &self,
        store: &Store,
        name: &str,
        dataset: &Digest,
    ) -> Result<(), ArtifactError> {
        if self.by_key.is_empty() {
            return Ok(());
        }
        let object = self.put(store)?;
        let inputs = Self::inputs(dataset);
        Ok(store.put_artifact(&Artifact::new(Self::KIND, name, object, inputs))?)
    }

    /// Reads the qualifications of a dataset; empty when the store has none.
    ///
    /// # Errors
    /// [`ArtifactError`]
    pub fn find(store: &Store, dataset: &Digest) -> Result<Self, ArtifactError> {
        let Some(found) = store.find_artifact(Self::KIND, &Self::inputs(dataset))? else {
            return Ok(Self::default());
        };
        let what = format!("the qualifications of the dataset {dataset}");
        Self::get(store, &found.digest, &what)
    }
}
