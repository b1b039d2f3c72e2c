//! Where a suite's tasks come from: what strategies made, a dataset in the store, or tasks written in the manifest.

use std::collections::BTreeMap;

use agoge_crds::checker_suite::Source;
use agoge_crds::report::SynthesisReport;
use agoge_dialogue::Message;
use agoge_store::{Digest, Store};
use agoge_synthesis::Attempt;
use agoge_world::{Split, Task};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// A task with its part of the data and, where it has one, its demonstration.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Instance {
    /// The task.
    pub task: Task,
    /// The part of the data it belongs to.
    pub split: Split,
    /// How it was made.
    pub strategy: String,
    /// A dialogue that passed its checkers.
    #[serde(default)]
    pub messages: Vec<Message>,
}

/// The instances of a source, and a text that determines them.
pub fn load(
    store: &Store,
    source: &Source,
    parts: Option<&BTreeMap<String, String>>,
) -> Result<(Vec<Instance>, String), Failure> {
    if let Some(tasks) = &source.inline {
        let text = serde_json::json!(tasks).to_string();
        let instances = tasks.iter().enumerate().map(|(n, task)| {
            let wrong = |e| Failure::Input(format!("spec.source.inline[{n}] is no task: {e}"));
            let task = serde_json::from_value(task.clone()).map_err(wrong)?;
            Ok(Instance {
                task,
                split: Split::Heldout,
                strategy: "inline".into(),
                messages: Vec::new(),
            })
        });
        return Ok((instances.collect::<Result<_, Failure>>()?, text));
    }
    let digests: Vec<Digest> = match (&source.path, parts) {
        (Some(path), _) => vec![dataset(store, path)?],
        (None, Some(parts)) => {
            let mut digests = Vec::new();
            for digest in parts.values() {
                digests.extend(objects(
                    store,
                    &Digest::parse(digest).map_err(Failure::input)?,
                )?);
            }
            digests
        }
        (None, None) => {
            let message = "spec.source names nothing that was made; name a SynthesisJob that accepted something";
            return Err(Failure::Input(message.into()));
        }
    };
    let mut instances = Vec::new();
    for digest in &digests {
        instances.extend(read(store, digest)?);
    }
    if instances.is_empty() {
        let message = "the source has no valid instance; see why in the SynthesisJob's status";
        return Err(Failure::Input(message.into()));
    }
    let came: Vec<&str> = digests.iter().map(Digest::as_str).collect();
    Ok((instances, came.join(" ")))
}

/// The objects that a strategy's digest stands for: itself, or the shards whose digests it covers
/// ([`SynthesisReport::digest_of`]), which are found by what they were made from.
fn objects(store: &Store, digest: &Digest) -> Result<Vec<Digest>, Failure> {
    if store.contains(digest)? {
        return Ok(vec![digest.clone()]);
    }
    let mut strategies: BTreeMap<String, BTreeMap<u64, Digest>> = BTreeMap::new();
    for artifact in store.artifacts(crate::synthesize::KIND)? {
        let mut inputs = artifact.inputs;
        let settings = inputs.remove("settings").unwrap_or_default();
        let Ok(mut settings) = serde_json::from_str::<serde_json::Value>(&settings) else {
            continue;
        };
        if let Some(shard) = settings["shard"].as_u64() {
            settings["shard"] = serde_json::Value::Null;
            let same = format!("{inputs:?} {settings}");
            strategies
                .entry(same)
                .or_default()
                .insert(shard, artifact.digest);
        }
    }
    let found = strategies.into_values().find(|shards| {
        let digests: Vec<&str> = shards.values().map(Digest::as_str).collect();
        SynthesisReport::digest_of(&digests).as_deref() == Some(digest.as_str())
    });
    found
        .map(|shards| shards.into_values().collect())
        .ok_or_else(|| {
            Failure::Input(format!(
                "the store has no dataset {digest}; make the SynthesisJob anew"
            ))
        })
}

/// A dataset by its digest, or the newest by its name.
fn dataset(store: &Store, path: &str) -> Result<Digest, Failure> {
    if let Ok(digest) = Digest::parse(path) {
        return Ok(digest);
    }
    let all = store.artifacts(crate::synthesize::KIND)?;
    let named = all.into_iter().rev().find(|artifact| artifact.name == path);
    named.map(|artifact| artifact.digest).ok_or_else(|| {
        Failure::Input(format!(
            "spec.source.path: the store has no dataset `{path}`; name one that a SynthesisJob made"
        ))
    })
}

/// The valid instances among a strategy's attempts.
fn read(store: &Store, digest: &Digest) -> Result<Vec<Instance>, Failure> {
    let bytes = store.get(digest)?;
    let lines = bytes
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty());
    let mut found = Vec::new();
    for (n, line) in lines.enumerate() {
        let attempt: Attempt = serde_json::from_slice(line).map_err(|e| {
            Failure::Input(format!(
                "line {} of the dataset {digest} is no attempt: {e}",
                n + 1
            ))
        })?;
        if !attempt.valid() {
            continue;
        }
        let messages = if attempt.accepted() {
            attempt.messages
        } else {
            Vec::new()
        };
        let (split, strategy) = (attempt.split, attempt.strategy);
        found.extend(attempt.task.map(|task| Instance {
            task,
            split,
            strategy,
            messages,
        }));
    }
    Ok(found)
}
