//! Format versions: each artifact names its own, and a reader refuses what it does not know.
//!
//! A JSON artifact has the field `format`, such as `agoge-stage/2`; a dataset has it in its first line. What 0.2.0 wrote
//! has none and counts as version 1.

use std::fmt;

use agoge_store::{Digest, Store, StoreError};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The version of artifacts without a `format` field.
const UNMARKED: u32 = 1;

/// A family of artifacts and its versions. All from 1 to `current` are read; `current` is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    /// The family, such as `agoge-stage`.
    pub name: &'static str,
    /// The version that is written.
    pub current: u32,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.name, self.current)
    }
}

/// An artifact that cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// Another version of Agoge wrote it.
    #[error(
        "{what} has the format {found}, but this version of Agoge ({version}) reads only {understood}: use the version \
         that wrote it, or delete the artifact and run the same command again to have it made anew",
        version = env!("CARGO_PKG_VERSION")
    )]
    UnknownFormat {
        /// The artifact.
        what: String,
        /// The format that it names.
        found: String,
        /// The formats that can be read.
        understood: String,
    },
    /// Its content does not fit its format.
    #[error(
        "{what} cannot be read: {source}; delete it and run the same command again to have it made anew"
    )]
    Content {
        /// The artifact.
        what: String,
        /// The field and the cause.
        source: serde_json::Error,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Format {
    /// The version that a text such as `agoge-stage/2` names, if this code reads it.
    ///
    /// # Errors
    /// [`ArtifactError::UnknownFormat`]
    pub fn version(&self, found: Option<&str>, what: &str) -> Result<u32, ArtifactError> {
        let Some(found) = found else {
            return Ok(UNMARKED);
        };
        let version = found
            .strip_prefix(self.name)
            .and_then(|rest| rest.strip_prefix('/'))
            .and_then(|version| version.parse::<u32>().ok());
        version
            .filter(|version| (1..=self.current).contains(version))
            .ok_or_else(|| {
                let understood: Vec<String> = (1..=self.current)
                    .map(|version| format!("{}/{version}", self.name))
                    .collect();
                ArtifactError::UnknownFormat {
                    what: what.to_owned(),
                    found: found.to_owned(),
                    understood: understood.join(" and "),
                }
            })
    }
}

/// The field that every JSON artifact begins with.
#[derive(Deserialize)]
pub(crate) struct Head {
    #[serde(default)]
    pub format: Option<String>,
}

/// A value with its format in front.
#[derive(Serialize)]
struct Marked<'a, T> {
    format: String,
    #[serde(flatten)]
    content: &'a T,
}

/// A type that is stored as one JSON object.
pub trait Stored: Serialize + DeserializeOwned {
    /// Its format.
    const FORMAT: Format;

    /// Reads the content of an older version. By default the fields are the same.
    ///
    /// # Errors
    /// Content that does not fit that version.
    fn of_version(_version: u32, bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }

    /// Writes the value with its format.
    ///
    /// # Errors
    /// A value that JSON does not have.
    fn to_bytes(&self) -> Result<Vec<u8>, ArtifactError> {
        let format = Self::FORMAT.to_string();
        let content = self;
        serde_json::to_vec(&Marked { format, content }).map_err(|source| ArtifactError::Content {
            what: format!("a value of the format {}", Self::FORMAT),
            source,
        })
    }

    /// Reads a value; `what` names it in errors.
    ///
    /// # Errors
    /// [`ArtifactError`]
    fn from_bytes(bytes: &[u8], what: &str) -> Result<Self, ArtifactError> {
        let unreadable = |source| ArtifactError::Content {
            what: what.to_owned(),
            source,
        };
        // Version 1 of some artifacts is an array, which has no field `format`.
        let array = bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
        let format = match array {
            true => None,
            false => {
                serde_json::from_slice::<Head>(bytes)
                    .map_err(unreadable)?
                    .format
            }
        };
        let version = Self::FORMAT.version(format.as_deref(), what)?;
        Self::of_version(version, bytes).map_err(unreadable)
    }

    /// Puts the value into a store.
    ///
    /// # Errors
    /// [`ArtifactError`]
    fn put(&self, store: &Store) -> Result<Digest, ArtifactError> {
        Ok(store.put(&self.to_bytes()?)?)
    }

    /// Reads the value of a digest; `what` names it in errors.
    ///
    /// # Errors
    /// [`ArtifactError`]
    fn get(store: &Store, digest: &Digest, what: &str) -> Result<Self, ArtifactError> {
        Self::from_bytes(&store.get(digest)?, &format!("{what} ({digest})"))
    }
}
