//! The domain and the model that an object was made from. Their digests are kept with the object, as annotations.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::time::UNIX_EPOCH;

use agoge_crds::Manifest;
use agoge_store::Digest;

use crate::manifest::Source;

/// The annotation with the digest of the domain that an object was made from.
const DOMAIN: &str = "agoge.dev/domain-digest";
/// The annotation with the digest of the model that a run began with.
const MODEL: &str = "agoge.dev/model-digest";
/// Bytes of a file that is read whole; of larger ones, such as weights, size and time stand for the content.
const READ: u64 = 16 << 20;

/// Domain and model that an object is made from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// Digest of the domain; none where it cannot be read.
    pub domain: Option<String>,
    /// Digest of the folder that `policy.path` names; none where it names none.
    pub model: Option<String>,
}

impl Origin {
    /// Returns the origin of a manifest whose domain has this digest.
    #[must_use]
    pub fn of(source: &Source, domain: Option<String>) -> Self {
        let model = match &source.manifest {
            Manifest::GRPORun(run) => run.spec.policy.path.as_deref(),
            _ => None,
        };
        // What lies in the store is named by its digest: that is in the spec.
        let model = model.filter(|path| !path.starts_with("store:"));
        Self {
            domain,
            model: model.and_then(|path| fingerprint(&source.folder().join(path))),
        }
    }

    /// Reads the origin that an object's annotations name.
    #[must_use]
    pub fn read(annotations: Option<&BTreeMap<String, String>>) -> Self {
        let get = |name: &str| annotations.and_then(|all| all.get(name).cloned());
        Self {
            domain: get(DOMAIN),
            model: get(MODEL),
        }
    }

    /// Writes it into an object's annotations. What is unknown stays as it was `before`.
    pub fn write(&self, before: &Self, annotations: &mut Option<BTreeMap<String, String>>) {
        for (name, now, before) in [
            (DOMAIN, &self.domain, &before.domain),
            (MODEL, &self.model, &before.model),
        ] {
            if let Some(digest) = now.as_ref().or(before.as_ref()) {
                let annotations = annotations.get_or_insert_default();
                annotations.insert(name.to_owned(), digest.clone());
            }
        }
    }
}

/// Returns a digest of the files of a model's folder; none where they cannot be read.
fn fingerprint(folder: &Path) -> Option<String> {
    let mut lines = vec![];
    for entry in std::fs::read_dir(folder).ok()? {
        let path = entry.ok()?.path();
        // Links are followed: a cache of models consists of them.
        let meta = std::fs::metadata(&path).ok()?;
        let name = path.file_name()?.to_string_lossy().into_owned();
        if !meta.is_file() || name.starts_with('.') {
            continue;
        }
        let content = if meta.len() <= READ {
            let digest = File::open(&path).and_then(Digest::of_reader);
            digest.ok()?.to_string()
        } else {
            let written = meta.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
            format!("{} {}", meta.len(), written.as_nanos())
        };
        lines.push(format!("{name} {content}"));
    }
    lines.sort();
    Some(agoge_crds::digest(&lines.join("\n")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_another_when_any_of_its_files_is() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(fingerprint(&dir.path().join("no")), None);
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        write("config.json", "{}");
        write("model.safetensors", "a");
        let first = fingerprint(dir.path());
        assert_eq!(fingerprint(dir.path()), first);
        write(".lock", "x");
        assert_eq!(
            fingerprint(dir.path()),
            first,
            "hidden files are no part of it"
        );
        write("model.safetensors", "b");
        assert_ne!(fingerprint(dir.path()), first);
    }
}
