//! What a stage leaves in the store: one JSON record, found again by all that determined it.

use std::collections::BTreeMap;

use agoge_contract::TrainWork;
use agoge_learner::certify::Certificate;
use agoge_learner::evaluate::Scorecard;
use agoge_store::{Artifact, Digest, Folder, Store, canonical_json};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::samples::Sample;
use crate::failure::Failure;

/// Changes whenever the same inputs would give another record.
const FORMAT: &str = "agoge-stage/1";
const KIND: &str = "stage";

/// The record of one stage. In a deterministic run nothing in it depends on time.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Record {
    /// Which stage.
    pub stage: String,
    /// Seconds it took; 0 in a deterministic run.
    pub seconds: f64,
    /// Epochs, steps, dialogues or tasks.
    pub steps: u64,
    /// Tokens it trained.
    pub trained_tokens: u64,
    /// The loss trace: an epoch or a step each.
    pub curve: Vec<Value>,
    /// The trained model: files and their digests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<Folder>,
    /// Dialogues for a reader.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub samples: Vec<Sample>,
    /// Certification: the same user before its training, and after.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Certificate>,
    /// See `before`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Certificate>,
    /// Evaluation: a row an arm.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub arms: BTreeMap<String, Columns>,
}

/// One arm's columns.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Columns {
    /// Held-out tasks, with the user that the run has.
    pub heldout: Scorecard,
    /// The same with the scripted user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scripted: Option<Scorecard>,
    /// Templates that no training saw.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unseen: Option<Scorecard>,
}

/// The inputs that determine a stage. Time enters only where the stage is measured by time, and never in a deterministic
/// run.
pub fn inputs(arguments: &TrainWork, domain: &str) -> Result<BTreeMap<String, String>, Failure> {
    let settings = match arguments.deterministic {
        true => arguments.settings.without_time(),
        false => arguments.settings.clone(),
    };
    let determined = json!({
        "settings": settings,
        "policy": arguments.policy,
        "user": arguments.user,
        "inputs": arguments.inputs,
        "deterministic": arguments.deterministic,
    });
    Ok(BTreeMap::from([
        ("format".into(), FORMAT.into()),
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

/// Looks for a stage that is done; gives its record, the record's digest and the seconds it took.
pub fn find(
    store: &Store,
    inputs: &BTreeMap<String, String>,
) -> Result<Option<(Record, Digest, f64)>, Failure> {
    let Some(artifact) = store.find_artifact(KIND, inputs)? else {
        return Ok(None);
    };
    let record = read(store, &artifact.digest)?;
    let seconds = artifact.meta["seconds"].as_f64().unwrap_or(record.seconds);
    Ok(Some((record, artifact.digest, seconds)))
}

/// Reads a record by its digest.
pub fn read(store: &Store, digest: &Digest) -> Result<Record, Failure> {
    let bytes = store.get(digest)?;
    serde_json::from_slice(&bytes).map_err(|e| {
        Failure::Infra(format!(
            "the stage record {digest} does not read: {e}; delete its object and run again"
        ))
    })
}

/// Keeps a record. `seconds` is what it took in truth, beside the record.
pub fn keep(
    store: &Store,
    run: &str,
    inputs: BTreeMap<String, String>,
    record: &Record,
    seconds: f64,
) -> Result<Digest, Failure> {
    let text = serde_json::to_vec(record).map_err(Failure::infra)?;
    let digest = store.put(&text)?;
    let mut artifact = Artifact::new(
        KIND,
        format!("{run} {}", record.stage),
        digest.clone(),
        inputs,
    );
    artifact.meta = json!({ "seconds": seconds, "model": record.model });
    store.put_artifact(&artifact)?;
    Ok(digest)
}
