//! The manifest of an exported folder: its files with their hashes, signed with ed25519, and checked again.
//!
//! `manifest.json` names every other file with its SHA-256 and size. `manifest.sig` has the signature over the bytes of
//! `manifest.json` and the public key that checks it; whether that key is the right one, only a key from elsewhere can say.

mod key;

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Component, Path, PathBuf};

use agoge_digest::Digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer as _};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use key::{KeyError, PublicKey, SecretKey};

/// The file that lists the others.
pub const MANIFEST: &str = "manifest.json";
/// The signature over it.
pub const SIGNATURE: &str = "manifest.sig";
/// The format of manifests.
const FORMAT: &str = "agoge-export/1";

/// A list of files with what made them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The format, `agoge-export/1`.
    pub format: String,
    /// The things that made the files: form, license, digests.
    #[serde(flatten)]
    pub made: Map<String, Value>,
    /// The files by their path within the folder, with `/` between the parts.
    pub files: BTreeMap<String, Listed>,
}

/// A listed file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// `sha256:` and 64 hexadecimal digits.
    pub digest: Digest,
    /// Its size.
    pub bytes: u64,
}

/// The content of `manifest.sig`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Signed {
    algorithm: String,
    public_key: PublicKey,
    signature: String,
}

/// The reason why a folder cannot be signed or checked at all.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// A file cannot be read or written.
    #[error("{}: {source}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A file does not have its form.
    #[error("{}: {message}; export the dataset again", file.display())]
    Malformed {
        /// The file.
        file: PathBuf,
        /// The problem.
        message: String,
    },
}

/// The outcome of a check.
#[derive(Clone, Debug, PartialEq)]
pub struct Checked {
    /// The manifest.
    pub manifest: Manifest,
    /// The key whose signature holds; none where there is no signature.
    pub signed_by: Option<PublicKey>,
    /// Everything that is not as the manifest says, one line each.
    pub differences: Vec<String>,
}

/// Writes the manifest of a folder, and its signature where there is a key. `made` says what made the files.
///
/// # Errors
/// [`SignError::File`]
pub fn seal(
    dir: &Path,
    made: Map<String, Value>,
    key: Option<&SecretKey>,
) -> Result<Manifest, SignError> {
    let manifest = Manifest {
        format: FORMAT.into(),
        made,
        files: files(dir)?,
    };
    let file = dir.join(MANIFEST);
    let text = serde_json::to_string_pretty(&manifest).map_err(|error| malformed(&file, error))?;
    put(&file, &text)?;
    if let Some(key) = key {
        let signed = Signed {
            algorithm: "ed25519".into(),
            public_key: key.public(),
            signature: STANDARD.encode(key.signing().sign(text.as_bytes()).to_bytes()),
        };
        let file = dir.join(SIGNATURE);
        let text =
            serde_json::to_string_pretty(&signed).map_err(|error| malformed(&file, error))?;
        put(&file, &text)?;
    }
    Ok(manifest)
}

/// Checks a folder against its manifest, and the manifest against its signature. With a key, the signature must be by it.
///
/// # Errors
/// There is no manifest, or it or the signature cannot be read.
pub fn check(dir: &Path, key: Option<&PublicKey>) -> Result<Checked, SignError> {
    let file = dir.join(MANIFEST);
    let text = std::fs::read(&file).map_err(|source| SignError::File {
        file: file.clone(),
        source,
    })?;
    let manifest: Manifest =
        serde_json::from_slice(&text).map_err(|error| malformed(&file, error))?;
    if manifest.format != FORMAT {
        let message = format!(
            "its format is `{}`, and this version reads {FORMAT}",
            manifest.format
        );
        return Err(malformed(&file, message));
    }
    let mut differences = Vec::new();
    let signed_by = signature(dir, &text, key, &mut differences)?;
    let found = files(dir)?;
    for (name, listed) in &manifest.files {
        if !is_inside(name) {
            differences.push(format!(
                "{MANIFEST}: `{name}` is not a path within the folder"
            ));
            continue;
        }
        match found.get(name) {
            None => differences.push(format!("{name}: it is listed and not there")),
            Some(own) if own.digest != listed.digest => differences.push(format!(
                "{name}: its content has changed: {} of {} bytes is listed, {} of {} bytes is there",
                listed.digest, listed.bytes, own.digest, own.bytes
            )),
            Some(own) if own.bytes != listed.bytes => differences.push(format!(
                "{name}: its size is listed as {} bytes and is {}",
                listed.bytes, own.bytes
            )),
            Some(_) => {}
        }
    }
    let added = found
        .keys()
        .filter(|name| !manifest.files.contains_key(*name));
    differences.extend(added.map(|name| format!("{name}: it is there and not listed")));
    Ok(Checked {
        manifest,
        signed_by,
        differences,
    })
}

/// Checks the signature and returns the key that made it.
fn signature(
    dir: &Path,
    text: &[u8],
    key: Option<&PublicKey>,
    differences: &mut Vec<String>,
) -> Result<Option<PublicKey>, SignError> {
    let file = dir.join(SIGNATURE);
    let signed = match std::fs::read(&file) {
        Ok(signed) => signed,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if key.is_some() {
                differences.push(format!("{SIGNATURE}: the manifest is not signed"));
            }
            return Ok(None);
        }
        Err(source) => return Err(SignError::File { file, source }),
    };
    let signed: Signed =
        serde_json::from_slice(&signed).map_err(|error| malformed(&file, error))?;
    if signed.algorithm != "ed25519" {
        let message = format!(
            "the algorithm is `{}`, and only ed25519 is known",
            signed.algorithm
        );
        return Err(malformed(&file, message));
    }
    if let Some(key) = key.filter(|key| **key != signed.public_key) {
        differences.push(format!(
            "{SIGNATURE}: the manifest is signed by {} and not by {key}",
            signed.public_key
        ));
        return Ok(None);
    }
    let bytes = STANDARD.decode(&signed.signature).ok();
    let signature = bytes.and_then(|bytes| Signature::from_slice(&bytes).ok());
    match signature.is_some_and(|signature| signed.public_key.holds(text, &signature)) {
        true => Ok(Some(signed.public_key)),
        false => {
            differences.push(format!(
                "{SIGNATURE}: the signature is not that of {MANIFEST}: one of the two was changed"
            ));
            Ok(None)
        }
    }
}

/// Returns the files of a folder, manifest and signature left out.
fn files(dir: &Path) -> Result<BTreeMap<String, Listed>, SignError> {
    let mut found = BTreeMap::new();
    let mut folders = vec![String::new()];
    while let Some(prefix) = folders.pop() {
        let folder = dir.join(&prefix);
        let failed = |source| SignError::File {
            file: folder.clone(),
            source,
        };
        for entry in std::fs::read_dir(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            let file = entry.path();
            let failed = |source| SignError::File {
                file: file.clone(),
                source,
            };
            if entry.file_type().map_err(failed)?.is_dir() {
                folders.push(format!("{name}/"));
            } else if name != MANIFEST && name != SIGNATURE {
                let opened = File::open(&file).map_err(failed)?;
                let bytes = opened.metadata().map_err(failed)?.len();
                let digest = Digest::of_reader(opened).map_err(failed)?;
                found.insert(name, Listed { digest, bytes });
            }
        }
    }
    Ok(found)
}

fn is_inside(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    !name.is_empty() && parts.all(|part| matches!(part, Component::Normal(_)))
}

fn put(file: &Path, text: &str) -> Result<(), SignError> {
    std::fs::write(file, text).map_err(|source| SignError::File {
        file: file.to_owned(),
        source,
    })
}

fn malformed(file: &Path, error: impl std::fmt::Display) -> SignError {
    SignError::Malformed {
        file: file.to_owned(),
        message: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn folder() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("data")).unwrap();
        std::fs::write(dir.path().join("data/train.jsonl"), "{}\n").unwrap();
        std::fs::write(dir.path().join("README.md"), "# card\n").unwrap();
        dir
    }

    fn made() -> Map<String, Value> {
        json!({"form": "messages"}).as_object().cloned().unwrap()
    }

    #[test]
    fn every_change_of_a_file_is_named_and_an_untouched_folder_holds() {
        let dir = folder();
        let key = SecretKey::of_seed([7; 32]);
        let listed = seal(dir.path(), made(), Some(&key)).unwrap();
        assert_eq!(listed.files.len(), 2);
        let checked = check(dir.path(), Some(&key.public())).unwrap();
        assert_eq!(
            (checked.signed_by, checked.differences),
            (Some(key.public()), Vec::new())
        );
        assert_eq!(checked.manifest, listed);

        std::fs::write(dir.path().join("data/train.jsonl"), "{ }").unwrap();
        std::fs::remove_file(dir.path().join("README.md")).unwrap();
        std::fs::write(dir.path().join("data/more.jsonl"), "").unwrap();
        let found = check(dir.path(), None).unwrap().differences;
        let names: Vec<&str> = found
            .iter()
            .filter_map(|line| line.split(':').next())
            .collect();
        assert_eq!(
            names,
            ["README.md", "data/train.jsonl", "data/more.jsonl"],
            "{found:?}"
        );
    }

    #[test]
    fn a_changed_manifest_and_another_key_are_found() {
        let dir = folder();
        let (key, other) = (SecretKey::of_seed([7; 32]), SecretKey::of_seed([8; 32]));
        seal(dir.path(), made(), Some(&key)).unwrap();
        let wrong = check(dir.path(), Some(&other.public())).unwrap();
        assert!(
            wrong.signed_by.is_none() && wrong.differences[0].contains("not by"),
            "{wrong:?}"
        );

        let file = dir.path().join(MANIFEST);
        let text = std::fs::read_to_string(&file)
            .unwrap()
            .replace("messages", "massages");
        std::fs::write(&file, text).unwrap();
        let changed = check(dir.path(), None).unwrap();
        assert!(
            changed.signed_by.is_none() && changed.differences.len() == 1,
            "{changed:?}"
        );

        seal(dir.path(), made(), None).unwrap();
        std::fs::remove_file(dir.path().join(SIGNATURE)).unwrap();
        assert!(check(dir.path(), None).unwrap().differences.is_empty());
        assert_eq!(
            check(dir.path(), Some(&key.public()))
                .unwrap()
                .differences
                .len(),
            1
        );
    }

    #[test]
    fn a_manifest_that_leads_out_of_the_folder_is_refused() {
        let dir = folder();
        let mut manifest = seal(dir.path(), made(), None).unwrap();
        let listed = manifest.files.remove("README.md").unwrap();
        manifest.files.insert("../README.md".into(), listed);
        put(
            &dir.path().join(MANIFEST),
            &serde_json::to_string(&manifest).unwrap(),
        )
        .unwrap();
        let found = check(dir.path(), None).unwrap().differences;
        assert!(found[0].contains("not a path within"), "{found:?}");
    }
}
