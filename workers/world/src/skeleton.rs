//! A new domain that runs as it is: a small membership desk with its three manifests, to be changed into one's own.

use std::path::{Path, PathBuf};

use agoge_dialogue::random::Rng;
use serde_json::{Map, Value, json};

use crate::domain::Domain;

const FILES: [(&str, &str); 9] = [
    (
        "synthesisjob.yaml",
        include_str!("skeleton/synthesisjob.yaml"),
    ),
    (
        "checkersuite.yaml",
        include_str!("skeleton/checkersuite.yaml"),
    ),
    ("grporun.yaml", include_str!("skeleton/grporun.yaml")),
    (
        "domain/domain.yaml",
        include_str!("skeleton/domain/domain.yaml"),
    ),
    (
        "domain/policy.md",
        include_str!("skeleton/domain/policy.md"),
    ),
    (
        "domain/schema.json",
        include_str!("skeleton/domain/schema.json"),
    ),
    ("domain/tools.py", include_str!("skeleton/domain/tools.py")),
    (
        "domain/templates/renew.yaml",
        include_str!("skeleton/domain/templates/renew.yaml"),
    ),
    (
        "domain/templates/upgrade.yaml",
        include_str!("skeleton/domain/templates/upgrade.yaml"),
    ),
];
const MEMBERS: usize = 600;

/// The errors of writing a skeleton.
#[derive(Debug, thiserror::Error)]
pub enum SkeletonError {
    /// A file that exists already.
    #[error("{0} is there already; choose another folder, or remove it")]
    Exists(PathBuf),
    /// A name that manifests do not allow.
    #[error(
        "`{0}` is not a valid name; use lower-case letters, digits and `-`, beginning with a letter"
    )]
    Name(String),
    /// A file that cannot be written.
    #[error("writing {path}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
}

impl Domain {
    /// Writes the three manifests and the domain's folder into `dir`; returns the files.
    ///
    /// # Errors
    /// [`SkeletonError`]; nothing that exists is overwritten.
    pub fn new_skeleton(dir: &Path, name: &str) -> Result<Vec<PathBuf>, SkeletonError> {
        let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let begins = name.starts_with(|c: char| c.is_ascii_lowercase()) && !name.ends_with('-');
        if !begins || !name.chars().all(fine) || name.len() > 40 {
            return Err(SkeletonError::Name(name.to_owned()));
        }
        let state = format!("{:#}\n", state());
        let files = FILES
            .iter()
            .map(|(file, text)| (*file, text.replace("NAME", name)));
        let files: Vec<(PathBuf, String)> = files
            .chain([("domain/state.json", state)])
            .map(|(file, text)| (dir.join(file), text))
            .collect();
        if let Some((path, _)) = files.iter().find(|(path, _)| path.exists()) {
            return Err(SkeletonError::Exists(path.clone()));
        }
        for (path, text) in &files {
            let failed = |source| SkeletonError::Write {
                path: path.clone(),
                source,
            };
            std::fs::create_dir_all(path.parent().unwrap_or(dir)).map_err(failed)?;
            std::fs::write(path, text).map_err(failed)?;
        }
        Ok(files.into_iter().map(|(path, _)| path).collect())
    }
}

fn state() -> Value {
    let mut rng = Rng::keyed_le(1, "members");
    let mut members = Map::new();
    while members.len() < MEMBERS {
        let id = (10_000 + rng.below(90_000)).to_string();
        let plan = if rng.below(2) == 0 { "basic" } else { "plus" };
        members.insert(
            id,
            json!({"plan": plan, "owes": rng.below(3) == 0, "years": rng.below(9)}),
        );
    }
    json!({"members": members})
}
