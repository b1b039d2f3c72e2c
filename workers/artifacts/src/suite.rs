//! A qualified suite as the store keeps it: its figures, its trusted instances, and the qualification of every task.

use std::collections::BTreeMap;

use agoge_checker::{Qualification, Suite};
use agoge_dialogue::Message;
use agoge_store::{Artifact, Digest, Store};
use agoge_world::{Split, Task};
use serde::{Deserialize, Serialize};

use crate::format::{ArtifactError, Format, Stored};

/// A task with its part of the data and, if there is one, its demonstration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Instance {
    /// The task.
    pub task: Task,
    /// The part of the data it belongs to.
    pub split: Split,
    /// The strategy that made it.
    #[serde(default)]
    pub strategy: String,
    /// A dialogue that passed its checkers.
    #[serde(default)]
    pub messages: Vec<Message>,
}

/// A suite: the artifact `suite`, found by the suite's digest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QualifiedSuite {
    /// The figures.
    pub suite: Suite,
    /// The instances whose checker qualified.
    pub instances: Vec<Instance>,
    /// The qualification of every task.
    pub qualifications: Vec<Qualification>,
}

impl Stored for QualifiedSuite {
    const FORMAT: Format = Format {
        name: "agoge-suite",
        current: 2,
    };
}

impl QualifiedSuite {
    /// The kind of the artifact.
    pub const KIND: &str = "suite";

    /// The inputs by which a suite of this digest is found.
    #[must_use]
    pub fn inputs(digest: &str) -> BTreeMap<String, String> {
        BTreeMap::from([("digest".to_owned(), digest.to_owned())])
    }

    /// Puts the suite into a store, where its digest finds it.
    ///
    /// # Errors
    /// [`ArtifactError`]
    pub fn publish(&self, store: &Store, name: &str) -> Result<(), ArtifactError> {
        let object = self.put(store)?;
        let inputs = Self::inputs(&self.suite.digest);
        Ok(store.put_artifact(&Artifact::new(Self::KIND, name, object, inputs))?)
    }

    /// Returns the object that holds the suite of this digest.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn object(store: &Store, digest: &str) -> Result<Option<Digest>, ArtifactError> {
        let found = store.find_artifact(Self::KIND, &Self::inputs(digest))?;
        Ok(found.map(|artifact| artifact.digest))
    }

    /// Reads the suite of this digest; `None` when the store has none.
    ///
    /// # Errors
    /// [`ArtifactError`]
    pub fn find(store: &Store, digest: &str) -> Result<Option<Self>, ArtifactError> {
        let object = Self::object(store, digest)?;
        object
            .map(|object| Self::get(store, &object, &format!("the suite {digest}")))
            .transpose()
    }
}
