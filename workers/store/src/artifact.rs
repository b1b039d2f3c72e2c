//! Artifact manifests: what a stage made, from which inputs; how a stage finds that its work is done.
use crate::error::StoreError;
use crate::objects::Store;
use agoge_digest::Digest;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// One thing a stage made. Its identity is `kind` and `inputs`: a second one of the same identity replaces it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Artifact {
    /// Its kind, such as `dataset`, `suite`, `checkpoint`: letters, digits, `-`, `_` and `.`.
    pub kind: String,
    /// A name for people; not part of the identity.
    pub name: String,
    /// The object that holds its content.
    pub digest: Digest,
    /// All that determines it: domain digest, plan digest, model, seed, code version, format version.
    pub inputs: BTreeMap<String, String>,
    /// When it was made, RFC 3339 in UTC; not part of any digest.
    pub created: String,
    /// Further facts for a reader. Digests in here (as strings, at any depth) are kept from collection.
    #[serde(default)]
    pub meta: Value,
}

/// Now, as RFC 3339 in UTC with seconds.
pub fn now() -> String {
    chrono::Utc::now().format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

impl Artifact {
    /// An artifact made now, without meta.
    pub fn new(
        kind: impl Into<String>,
        name: impl Into<String>,
        digest: Digest,
        inputs: BTreeMap<String, String>,
    ) -> Artifact {
        Artifact {
            kind: kind.into(),
            name: name.into(),
            digest,
            inputs,
            created: now(),
            meta: Value::Null,
        }
    }

    /// The digest of the inputs alone: with the kind, the key under which the manifest is found.
    pub fn key(inputs: &BTreeMap<String, String>) -> Digest {
        Digest::of(Value::from_iter(inputs.clone()).to_string().as_bytes())
    }

    /// Every digest that this manifest keeps alive.
    pub(crate) fn reaches(&self) -> Vec<Digest> {
        fn walk(value: &Value, found: &mut Vec<Digest>) {
            match value {
                Value::String(text) => found.extend(Digest::parse(text)),
                Value::Array(items) => items.iter().for_each(|v| walk(v, found)),
                Value::Object(map) => map.values().for_each(|v| walk(v, found)),
                _ => {}
            }
        }
        let mut found = vec![self.digest.clone()];
        found.extend(self.inputs.values().filter_map(|v| Digest::parse(v).ok()));
        walk(&self.meta, &mut found);
        found
    }
}

impl Store {
    /// Records an artifact; its content must be in the store already, so that a manifest never points at nothing.
    pub fn put_artifact(&self, artifact: &Artifact) -> Result<(), StoreError> {
        if !self.contains(&artifact.digest)? {
            return Err(StoreError::Dangling {
                kind: artifact.kind.clone(),
                name: artifact.name.clone(),
                digest: artifact.digest.clone(),
            });
        }
        let path = manifest_path(&artifact.kind, &artifact.inputs)?;
        let text = serde_json::to_vec_pretty(artifact).map_err(|source| StoreError::Manifest {
            path: path.clone(),
            source,
        })?;
        self.write(&path, text)
    }

    /// The artifact of this kind that was made from exactly these inputs: when there is one, the stage is done.
    /// One whose content has gone is not found, so that it is made again.
    pub fn find_artifact(
        &self,
        kind: &str,
        inputs: &BTreeMap<String, String>,
    ) -> Result<Option<Artifact>, StoreError> {
        let Some(artifact) = self.read_manifest(&manifest_path(kind, inputs)?)? else {
            return Ok(None);
        };
        Ok(self.contains(&artifact.digest)?.then_some(artifact))
    }

    /// All artifacts of a kind, oldest first.
    pub fn artifacts(&self, kind: &str) -> Result<Vec<Artifact>, StoreError> {
        self.manifests(&format!("artifacts/{}", checked_kind(kind)?))
    }

    /// All artifacts, oldest first.
    pub fn all_artifacts(&self) -> Result<Vec<Artifact>, StoreError> {
        self.manifests("artifacts")
    }

    /// Forgets an artifact; its content goes with the next collection, unless something else reaches it.
    pub fn remove_artifact(
        &self,
        kind: &str,
        inputs: &BTreeMap<String, String>,
    ) -> Result<(), StoreError> {
        self.delete(&manifest_path(kind, inputs)?)
    }

    fn manifests(&self, prefix: &str) -> Result<Vec<Artifact>, StoreError> {
        let mut found = Vec::new();
        for entry in self.list(prefix)? {
            found.extend(self.read_manifest(&entry.path)?);
        }
        found.sort_by(|a, b| (&a.created, &a.kind, &a.name).cmp(&(&b.created, &b.kind, &b.name)));
        Ok(found)
    }

    fn read_manifest(&self, path: &str) -> Result<Option<Artifact>, StoreError> {
        let Some(bytes) = self.read(path)? else {
            return Ok(None);
        };
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|source| StoreError::Manifest {
                path: self.describe(path),
                source,
            })
    }
}

fn manifest_path(kind: &str, inputs: &BTreeMap<String, String>) -> Result<String, StoreError> {
    Ok(format!(
        "artifacts/{}/{}.json",
        checked_kind(kind)?,
        Artifact::key(inputs).hex()
    ))
}

fn checked_kind(kind: &str) -> Result<&str, StoreError> {
    let valid = !kind.is_empty()
        && !kind.starts_with('.')
        && kind
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    if valid {
        Ok(kind)
    } else {
        Err(StoreError::Kind(kind.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs(seed: u32) -> BTreeMap<String, String> {
        BTreeMap::from([
            ("domain".into(), "d".into()),
            ("seed".into(), seed.to_string()),
        ])
    }

    #[test]
    fn a_stage_finds_its_output_by_kind_and_inputs_and_by_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let digest = store.put(b"tasks").unwrap();
        let made = Artifact::new("dataset", "courier tasks", digest, inputs(1));
        store.put_artifact(&made).unwrap();
        assert_eq!(
            store.find_artifact("dataset", &inputs(1)).unwrap(),
            Some(made.clone())
        );
        assert_eq!(store.find_artifact("dataset", &inputs(2)).unwrap(), None);
        assert_eq!(store.find_artifact("suite", &inputs(1)).unwrap(), None);
        assert_eq!(store.artifacts("dataset").unwrap(), vec![made]);
        store.remove_artifact("dataset", &inputs(1)).unwrap();
        assert_eq!(store.find_artifact("dataset", &inputs(1)).unwrap(), None);
    }

    #[test]
    fn a_manifest_never_points_at_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let made = Artifact::new("dataset", "x", Digest::of(b"absent"), inputs(1));
        assert!(matches!(
            store.put_artifact(&made),
            Err(StoreError::Dangling { .. })
        ));
        assert!(matches!(
            store.artifacts("../etc"),
            Err(StoreError::Kind(_))
        ));
    }
}
