//! What a driver gives a worker beside its child: every name resolved. A process reads it as a file, a pod as a mount.
//!
//! A worker is started as `agoge-worker ROLE --assignment FILE`. In `work` it keeps what a resume needs, and writes
//! `progress.json` while it runs and `result.json` when it is done, both replaced atomically. Its exit code: 0 done, 2 the
//! input is at fault, 3 the world around is (trying again may help), 4 the user model is not certified, 130 stopped on
//! request. The last line on stderr says why and what to do.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::child::{Child, Owner, Role};

/// One worker's work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Assignment {
    /// The child's name.
    pub name: String,
    /// The child's key: the same for every attempt.
    pub key: String,
    /// Which attempt.
    #[serde(default)]
    pub attempt: u32,
    /// Whose it is.
    pub owner: Owner,
    /// What to do.
    pub role: Role,
    /// The child's arguments.
    pub arguments: Value,
    /// Index among the workers that share the child, and how many they are.
    #[serde(default)]
    pub shard: u32,
    /// See `shard`.
    #[serde(default = "one")]
    pub shards: u32,
    /// Seconds after which it should end with what there is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_left: Option<f64>,
    /// The domain's folder, or `store:` and the digest of one in the store.
    pub domain: PathBuf,
    /// The store's address: a folder or a bucket.
    pub store: String,
    /// Under which name the work folder is kept in the store while the worker runs, with the shard behind it; none: not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<String>,
    /// Where the worker keeps what a resume needs; the same for every attempt.
    pub work: PathBuf,
    /// Endpoints by name.
    #[serde(default)]
    pub endpoints: BTreeMap<String, Endpoint>,
    /// Model answers that are recorded or replayed; none: live, and not recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recordings: Option<Recordings>,
    /// Where it tells how far it is, beside the file in its work folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<ProgressServer>,
    /// Threads it may keep busy; 0: all.
    #[serde(default)]
    pub threads: u32,
}

fn one() -> u32 {
    1
}

/// Where an endpoint is. Its key is never in a file: only the name of the variable that holds it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    /// Base URL, without `/v1`.
    pub url: String,
    /// Environment variable with the API key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_variable: Option<String>,
}

/// A server that takes progress over HTTPS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProgressServer {
    /// Base URL, without `/v1`.
    pub url: String,
    /// The file with the worker's token. It is replaced now and then, and read each time.
    pub token: PathBuf,
    /// The only authority that is believed, PEM; none: those of the system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<PathBuf>,
}

/// Recorded model answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Recordings {
    /// What to do with them.
    pub mode: RecordingMode,
    /// Their folder.
    pub folder: PathBuf,
}

/// What to do with recordings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RecordingMode {
    /// Ask the endpoint, and keep the answers.
    Record,
    /// Answer from the recordings; ask nobody.
    Replay,
}

/// What a driver has resolved, the same for every child of one object.
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

impl Assignment {
    /// The assignment of one shard of a child, without a kept work folder.
    #[must_use]
    pub fn of(child: &Child, shard: u32, resolved: &Resolved, work: PathBuf, threads: u32) -> Self {
        Self {
            name: child.name.clone(),
            key: child.key.clone(),
            attempt: child.attempt,
            owner: child.owner.clone(),
            role: child.role.clone(),
            arguments: child.arguments.clone(),
            shard,
            shards: child.shards,
            time_left: child.time_left.map(|left| left.as_secs_f64()),
            domain: resolved.domain.clone(),
            store: resolved.store.clone(),
            keep: None,
            work,
            endpoints: resolved.endpoints.clone(),
            recordings: resolved.recordings.clone(),
            progress: None,
            threads,
        }
    }
}
