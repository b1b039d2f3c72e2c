//! Datasets: attempts as JSON lines, the first line naming the format; and the shards that one job's dataset consists of.

use std::collections::BTreeMap;

use agoge_crds::report::SynthesisReport;
use agoge_store::{Artifact, Digest, Store};
use serde::{Deserialize, Serialize};

use crate::attempt::Attempt;
use crate::format::{ArtifactError, Format, Head};
use crate::provenance::DatasetOrigin;
use crate::suite::Instance;

/// The kind of the artifact.
pub const KIND: &str = "instances";
/// Its format. Version 1 has no first line that names it.
pub const FORMAT: Format = Format {
    name: "agoge-instances",
    current: 2,
};

/// The first line of a dataset.
#[derive(Deserialize, Serialize)]
struct FirstLine {
    format: String,
}

/// The attempts of a dataset as far as they could be read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Readable {
    /// The attempts.
    pub attempts: Vec<Attempt>,
    /// Lines that are not attempts.
    pub unreadable: usize,
    /// The first error.
    pub error: Option<String>,
}

/// Writes attempts as a dataset.
///
/// # Errors
/// A value that JSON does not have.
pub fn to_bytes(attempts: &[Attempt]) -> Result<Vec<u8>, ArtifactError> {
    let failed = |source| ArtifactError::Content {
        what: "a dataset to be written".to_owned(),
        source,
    };
    let format = FORMAT.to_string();
    let mut lines = serde_json::to_vec(&FirstLine { format }).map_err(failed)?;
    lines.push(b'\n');
    for attempt in attempts {
        serde_json::to_writer(&mut lines, attempt).map_err(failed)?;
        lines.push(b'\n');
    }
    Ok(lines)
}

/// Reads the attempts of a dataset; `what` names it in errors.
///
/// # Errors
/// [`ArtifactError`], naming the first line that cannot be read.
pub fn from_bytes(bytes: &[u8], what: &str) -> Result<Vec<Attempt>, ArtifactError> {
    let lines = lines(bytes, what)?;
    lines
        .map(|(number, line)| {
            serde_json::from_slice(line).map_err(|source| ArtifactError::Content {
                what: format!("line {number} of {what}"),
                source,
            })
        })
        .collect()
}

/// Reads at most `most` attempts of a dataset and counts the lines that cannot be read.
///
/// # Errors
/// A format that this version does not know.
pub fn readable(bytes: &[u8], what: &str, most: usize) -> Result<Readable, ArtifactError> {
    let mut found = Readable::default();
    for (number, line) in lines(bytes, what)?.take(most) {
        match serde_json::from_slice(line) {
            Ok(attempt) => found.attempts.push(attempt),
            Err(error) => {
                found.unreadable += 1;
                found
                    .error
                    .get_or_insert_with(|| format!("line {number}: {error}"));
            }
        }
    }
    Ok(found)
}

/// Returns the numbered lines that hold attempts, once the format is known.
fn lines<'a>(
    bytes: &'a [u8],
    what: &str,
) -> Result<impl Iterator<Item = (usize, &'a [u8])>, ArtifactError> {
    let mut lines = (1..)
        .zip(bytes.split(|byte| *byte == b'\n'))
        .filter(|(_, line)| !line.is_empty())
        .peekable();
    // A first line that is damaged is reported as an attempt that cannot be read.
    let head = lines
        .peek()
        .and_then(|(_, line)| serde_json::from_slice::<Head>(line).ok())
        .and_then(|head| head.format);
    FORMAT.version(head.as_deref(), what)?;
    if head.is_some() {
        lines.next();
    }
    Ok(lines)
}

/// Puts attempts into a store as the dataset of this origin, and returns its digest.
///
/// # Errors
/// [`ArtifactError`]
pub fn publish(
    store: &Store,
    name: &str,
    origin: &DatasetOrigin,
    attempts: &[Attempt],
) -> Result<Digest, ArtifactError> {
    let digest = store.put(&to_bytes(attempts)?)?;
    store.put_artifact(&Artifact::new(KIND, name, digest.clone(), origin.inputs()))?;
    Ok(digest)
}

/// Reads the attempts of a digest.
///
/// # Errors
/// [`ArtifactError`]
pub fn get(store: &Store, digest: &Digest) -> Result<Vec<Attempt>, ArtifactError> {
    from_bytes(&store.get(digest)?, &format!("the dataset {digest}"))
}

/// Returns the objects of a strategy's digest: the object itself, or the shards whose digests it covers
/// ([`SynthesisReport::digest_of`]). `None` when the store has neither.
///
/// # Errors
/// When the store cannot be read.
pub fn objects(store: &Store, digest: &Digest) -> Result<Option<Vec<Digest>>, ArtifactError> {
    if store.contains(digest)? {
        return Ok(Some(vec![digest.clone()]));
    }
    let mut datasets: BTreeMap<DatasetOrigin, BTreeMap<u32, Digest>> = BTreeMap::new();
    for artifact in store.artifacts(KIND)? {
        if let Some(mut origin) = DatasetOrigin::of(&artifact.inputs) {
            let index = std::mem::take(&mut origin.shard.index);
            datasets
                .entry(origin)
                .or_default()
                .insert(index, artifact.digest);
        }
    }
    let covered = |shards: &BTreeMap<u32, Digest>| {
        let digests: Vec<&str> = shards.values().map(Digest::as_str).collect();
        SynthesisReport::digest_of(&digests).as_deref() == Some(digest.as_str())
    };
    let found = datasets.into_values().find(covered);
    Ok(found.map(|shards| shards.into_values().collect()))
}

/// Returns the newest dataset of this name.
///
/// # Errors
/// When the store cannot be read.
pub fn newest(store: &Store, name: &str) -> Result<Option<Digest>, ArtifactError> {
    let all = store.artifacts(KIND)?;
    let named = all.into_iter().rev().find(|artifact| artifact.name == name);
    Ok(named.map(|artifact| artifact.digest))
}

/// Returns the valid instances among attempts. Only accepted ones keep their dialogue as a demonstration.
#[must_use]
pub fn instances(attempts: Vec<Attempt>) -> Vec<Instance> {
    let valid = attempts.into_iter().filter(Attempt::valid);
    valid
        .filter_map(|attempt| {
            let messages = match attempt.accepted() {
                true => attempt.messages,
                false => Vec::new(),
            };
            Some(Instance {
                task: attempt.task?,
                split: attempt.split,
                strategy: attempt.strategy,
                messages,
            })
        })
        .collect()
}
