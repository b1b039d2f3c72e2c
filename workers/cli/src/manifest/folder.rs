//! The files of a folder that may hold manifests, and those that do not although they look like it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use agoge_crds::{Problem, documents};

use super::{folder_of, problem};

/// The reach of a search for manifests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Its own files.
    Folder,
    /// Its subfolders too, except hidden ones and the folders of domains.
    Tree,
}

/// A file that may hold manifests.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    /// The file.
    pub(super) file: PathBuf,
    /// True if somebody named it; false if it was found in a folder.
    pub(super) named: bool,
    /// True if a kustomization of its folder names it as a patch.
    patch: bool,
}

/// The content of a candidate.
pub(super) enum Kind {
    /// A template of a chart, which is no YAML before it is rendered.
    Template,
    /// A part of a manifest, which a kustomization merges.
    Patch,
    /// Anything else.
    Text(String),
}

/// The files that make a folder a kustomization.
const KUSTOMIZATION: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

impl Candidate {
    /// Reads the file as far as it may hold manifests.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn kind(&self) -> std::io::Result<Kind> {
        if self.patch {
            return Ok(Kind::Patch);
        }
        let text = std::fs::read_to_string(&self.file)?;
        let is_template = text.contains("{{") && is_in_templates(&self.file);
        Ok(match is_template {
            true => Kind::Template,
            false => Kind::Text(text),
        })
    }
}

/// Tells whether a file lies in the folder `templates` of a chart.
fn is_in_templates(file: &Path) -> bool {
    let file = file.canonicalize().unwrap_or_else(|_| file.to_owned());
    file.ancestors().skip(1).any(|folder| {
        folder.file_name() == Some("templates".as_ref())
            && folder_of(folder).join("Chart.yaml").is_file()
    })
}

/// Returns the file itself, or the files of a folder by name.
///
/// # Errors
/// When the path cannot be read, or the folder has no file that could be a manifest.
pub(super) fn candidates(path: &Path, depth: Depth) -> Result<Vec<Candidate>, Problem> {
    let unreadable = |error: std::io::Error| {
        let remedy = "give a manifest, or a folder that has some";
        problem(path, "", &format!("cannot be read: {error}"), remedy)
    };
    if !std::fs::metadata(path).map_err(unreadable)?.is_dir() {
        return Ok(vec![Candidate {
            file: path.to_owned(),
            named: true,
            patch: false,
        }]);
    }
    let mut files = vec![];
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        let patches = patches_in(&folder);
        for entry in std::fs::read_dir(&folder).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?.path();
            if is_hidden(&entry) {
                continue;
            }
            if entry.is_dir() {
                if depth == Depth::Tree && !is_domain(&entry) && !entry.is_symlink() {
                    folders.push(entry);
                }
            } else if entry.is_file() && is_manifest(&entry) {
                let patch = entry
                    .canonicalize()
                    .is_ok_and(|file| patches.contains(&file));
                files.push(Candidate {
                    file: entry,
                    named: false,
                    patch,
                });
            }
        }
    }
    files.sort_by(|a, b| a.file.cmp(&b.file));
    if files.is_empty() {
        let message = "there is no manifest in this folder";
        let remedy = "name a folder that has some; `agoge domain new NAME` writes them";
        return Err(problem(path, "", message, remedy));
    }
    Ok(files)
}

fn is_hidden(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().starts_with('.')
}

fn is_domain(folder: &Path) -> bool {
    folder.join("domain.yaml").is_file() && folder.join("tools.py").is_file()
}

fn is_manifest(file: &Path) -> bool {
    let extension = file.extension().unwrap_or_default();
    ["yaml", "yml", "json"]
        .iter()
        .any(|known| extension == *known)
}

/// Returns the files that the kustomization of a folder names as patches.
fn patches_in(folder: &Path) -> BTreeSet<PathBuf> {
    let mut patches = BTreeSet::new();
    for name in KUSTOMIZATION {
        let Ok(text) = std::fs::read_to_string(folder.join(name)) else {
            continue;
        };
        for document in documents(&text, name) {
            for field in ["patches", "patchesStrategicMerge", "patchesJson6902"] {
                let listed = document.value[field].as_array();
                for patch in listed.into_iter().flatten() {
                    let path = patch.as_str().or_else(|| patch.get("path")?.as_str());
                    // A patch that is written inline is no path.
                    patches.extend(path.and_then(|path| folder.join(path).canonicalize().ok()));
                }
            }
        }
    }
    patches
}
