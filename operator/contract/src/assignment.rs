//! A worker's assignment: the work, with every name resolved. A process reads it as a file, a pod as a mount.
//!
//! A worker is started as `agoge-worker ROLE --assignment FILE`. In `work` it keeps what a resume needs, and writes
//! `progress.json` while it runs, replaced atomically. Its end is told by its exit code and by the termination message.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::strict;
use crate::work::Work;

/// Differences that an error lists at most.
const LISTED: usize = 5;

/// The object that a child belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Owner {
    /// API version.
    pub api_version: String,
    /// Kind.
    pub kind: String,
    /// Name.
    pub name: String,
    /// Namespace; absent on a laptop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Uid; empty on a laptop.
    pub uid: String,
}

/// One worker's work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Assignment {
    /// The child's name.
    pub name: String,
    /// The child's key: the same for every attempt.
    pub key: String,
    /// Number of the attempt, from 0.
    pub attempt: u32,
    /// The object that the child belongs to.
    pub owner: Owner,
    /// The work itself.
    pub spec: Work,
    /// Index among the workers that share the child.
    pub shard: u32,
    /// Workers that share the child.
    pub shards: u32,
    /// Seconds after which it should end with what there is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_left: Option<f64>,
    /// The domain's folder, or `store:` and the digest of one in the store.
    pub domain: PathBuf,
    /// The store's address: a folder or a bucket.
    pub store: String,
    /// Name under which the store keeps the work folder while the worker runs, with the shard behind it; absent where the
    /// folder itself stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<String>,
    /// The work folder: what a resume needs. The same for every attempt.
    pub work: PathBuf,
    /// Endpoints by name.
    pub endpoints: BTreeMap<String, Endpoint>,
    /// Model answers that are recorded or replayed; absent where they are live and not recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recordings: Option<Recordings>,
    /// Server that takes progress, beside the file in the work folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<ProgressServer>,
    /// Threads it may keep busy; 0: all.
    pub threads: u32,
}

/// Address of an endpoint. Its key is in no file: only the name of the variable that holds it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Endpoint {
    /// Base URL: a bare host, or with the path and the query that the API is at.
    pub url: String,
    /// Environment variable with the API key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_variable: Option<String>,
}

/// A server that takes progress over HTTPS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProgressServer {
    /// Base URL, without `/v1`.
    pub url: String,
    /// File with the worker's token. It is replaced now and then, and read each time.
    pub token: PathBuf,
    /// The only certificate authority that is trusted, PEM; absent: those of the system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<PathBuf>,
}

/// Recorded model answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Recordings {
    /// Direction.
    pub mode: RecordingMode,
    /// Their folder.
    pub folder: PathBuf,
}

/// Use of recordings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RecordingMode {
    /// Ask the endpoint, and keep the answers.
    Record,
    /// Answer from the recordings; ask nobody.
    Replay,
}

/// The names that a driver has resolved, the same for every child of one object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resolved {
    /// The domain's folder.
    pub domain: PathBuf,
    /// The store's address.
    pub store: String,
    /// Endpoints by name.
    pub endpoints: BTreeMap<String, Endpoint>,
    /// Recordings, if any.
    pub recordings: Option<Recordings>,
}

/// An assignment that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ContractError {
    /// It is no JSON.
    #[error("the assignment is no JSON: {0}")]
    Json(#[source] serde_json::Error),
    /// A field is missing, unknown or of another type.
    #[error("the assignment cannot be read: {0}; driver and worker must be of the same version")]
    Field(String),
}

impl Assignment {
    /// Reads an assignment. At every depth, a field that this version does not know is refused, and so is one that is
    /// absent and would be filled in by a default.
    ///
    /// # Errors
    /// [`ContractError`], with the names of the fields.
    pub fn parse(text: &[u8]) -> Result<Self, ContractError> {
        let given: Value = serde_json::from_slice(text).map_err(ContractError::Json)?;
        let field = |error: serde_json::Error| ContractError::Field(error.to_string());
        let assignment: Self = serde_json::from_value(given.clone()).map_err(field)?;
        let understood = serde_json::to_value(&assignment).map_err(field)?;
        let mut found = strict::differences(&given, &understood);
        if found.is_empty() {
            return Ok(assignment);
        }
        let more = found.len().saturating_sub(LISTED);
        found.truncate(LISTED);
        if more > 0 {
            found.push(format!("and {more} more"));
        }
        Err(ContractError::Field(found.join(", ")))
    }
}
