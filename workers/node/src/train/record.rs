//! The record of a stage in the store, found again by everything that determines it.

use std::collections::BTreeMap;

use agoge_artifacts::record::StageMeta;
use agoge_artifacts::{ArtifactError, Stored as _};
use agoge_contract::TrainWork;
use agoge_store::{Artifact, Digest, Store, canonical_json};
use serde_json::json;

use super::model;
use crate::failure::Failure;

pub use agoge_artifacts::{Columns, StageRecord as Record};

/// Returns the inputs that determine a stage. Time enters only where the stage is measured by time, and never in a deterministic
/// run.
pub fn inputs(
    arguments: &TrainWork,
    domain: &str,
    store: &Store,
) -> Result<BTreeMap<String, String>, Failure> {
    let settings = match arguments.deterministic {
        true => arguments.settings.without_time(),
        false => arguments.settings.clone(),
    };
    // The files decide, not the path: the same path may hold another model tomorrow.
    let policy = match &arguments.policy.path {
        Some(path) => json!({ "files": model::files(store, path)? }),
        None => json!(arguments.policy),
    };
    let mut determined = json!({
        "settings": settings,
        "policy": policy,
        "user": arguments.user,
        "inputs": arguments.inputs,
        "deterministic": arguments.deterministic,
    });
    // Records from before there were lanes have none in their inputs, and are found again.
    if let Some(lanes) = arguments.lanes {
        determined["lanes"] = json!(lanes);
    }
    Ok(BTreeMap::from([
        ("format".into(), Record::FORMAT.to_string()),
        ("code".into(), env!("CARGO_PKG_VERSION").into()),
        ("stage".into(), arguments.stage().as_str().into()),
        ("domain".into(), domain.into()),
        ("suite".into(), arguments.suite.digest.clone()),
        ("seed".into(), arguments.seed.to_string()),
        (
            "arguments".into(),
            Digest::of(canonical_json(&determined).as_bytes()).to_string(),
        ),
    ]))
}

/// Finds the record of a stage that is done, with the record's digest and the seconds it took.
pub fn find(
    store: &Store,
    inputs: &BTreeMap<String, String>,
) -> Result<Option<(Record, Digest, f64)>, Failure> {
    let Some(artifact) = store.find_artifact(Record::KIND, inputs)? else {
        return Ok(None);
    };
    let record = read(store, &artifact.digest)?;
    let meta: Option<StageMeta> = serde_json::from_value(artifact.meta).ok();
    let seconds = meta.map_or(record.seconds, |meta| meta.seconds);
    Ok(Some((record, artifact.digest, seconds)))
}

/// Reads a record by its digest.
pub fn read(store: &Store, digest: &Digest) -> Result<Record, Failure> {
    Ok(Record::read(store, digest)?)
}

/// Stores a record. `seconds` is the measured time, which a deterministic record leaves out.
pub fn keep(
    store: &Store,
    run: &str,
    inputs: BTreeMap<String, String>,
    record: &Record,
    seconds: f64,
) -> Result<Digest, Failure> {
    let digest = record.put(store)?;
    let name = format!("{run} {}", record.stage);
    let mut artifact = Artifact::new(Record::KIND, name, digest.clone(), inputs);
    let model = record.model.clone();
    artifact.meta = serde_json::to_value(StageMeta { seconds, model }).map_err(Failure::infra)?;
    store.put_artifact(&artifact)?;
    Ok(digest)
}

impl From<ArtifactError> for Failure {
    fn from(error: ArtifactError) -> Self {
        match error {
            ArtifactError::Store(error) => error.into(),
            // Another attempt would read the same bytes.
            ArtifactError::UnknownFormat { .. } | ArtifactError::Content { .. } => {
                Self::Input(error.to_string())
            }
        }
    }
}
