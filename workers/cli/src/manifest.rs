//! The manifests of files and folders, checked as a cluster would check them; every problem at once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use agoge_crds::{Manifest, PatchError, Problem, check, patch};
use serde::Deserialize;

/// A manifest and where it was read.
#[derive(Clone, Debug)]
pub struct Source {
    /// The object, as it was asked for.
    pub manifest: Manifest,
    /// The file it is in.
    pub file: PathBuf,
}

impl Source {
    /// The folder that names are resolved against.
    #[must_use]
    pub fn folder(&self) -> &Path {
        folder_of(&self.file)
    }
}

/// The folder a file lies in, `.` for a bare name.
#[must_use]
pub fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Reads every manifest of these files and folders (their `.yaml` and `.yml`, not those of subfolders), with the patches of
/// these files merged in.
///
/// # Errors
/// Every problem that was found.
pub fn read(paths: &[PathBuf], patches: &[PathBuf]) -> Result<Vec<Source>, Vec<Problem>> {
    let (mut texts, mut sources, mut problems) = (vec![], vec![], vec![]);
    for path in paths {
        match files(path) {
            // A patch that lies beside what it patches is no manifest.
            Ok(files) => texts.extend(
                files
                    .into_iter()
                    .filter(|file| !patches.contains(file))
                    .map(|file| {
                        let text = std::fs::read_to_string(&file);
                        (file, text)
                    }),
            ),
            Err(problem) => problems.push(problem),
        }
    }
    for file in patches {
        if let Err(message) = merge(file, &mut texts) {
            problems.push(problem(
                file,
                "",
                &message,
                "a patch has kind, metadata.name and the fields that it changes",
            ));
        }
    }
    for (file, text) in texts {
        read_text(file, text, &mut sources, &mut problems);
    }
    let mut first: BTreeMap<(&str, String), &Path> = BTreeMap::new();
    for source in &sources {
        let id = (source.manifest.kind(), source.manifest.name());
        if let Some(other) = first
            .insert(id, &source.file)
            .filter(|other| *other != source.file)
        {
            let what = format!(
                "{} {} is in {} too",
                source.manifest.kind(),
                source.manifest.name(),
                other.display()
            );
            problems.push(problem(
                &source.file,
                "metadata.name",
                &what,
                "rename one of them",
            ));
        }
    }
    if problems.is_empty() {
        Ok(sources)
    } else {
        Err(problems)
    }
}

fn files(path: &Path) -> Result<Vec<PathBuf>, Problem> {
    let unreadable = |error: std::io::Error| {
        let remedy = "give a manifest, or a folder that has some";
        problem(path, "", &format!("cannot be read: {error}"), remedy)
    };
    if !std::fs::metadata(path).map_err(unreadable)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = std::fs::read_dir(path).map_err(unreadable)?;
    let yaml = |file: &PathBuf| {
        file.is_file()
            && file
                .extension()
                .is_some_and(|extension| extension == "yaml" || extension == "yml")
    };
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(yaml)
        .collect();
    files.sort();
    if files.is_empty() {
        return Err(problem(
            path,
            "",
            "there is no manifest in this folder",
            "`agoge domain new NAME` writes some",
        ));
    }
    Ok(files)
}

/// A file and its text, as far as it can be read.
type Text = (PathBuf, std::io::Result<String>);

/// Merges each document of a patch file into the file that has its target.
fn merge(patch_file: &Path, texts: &mut [Text]) -> Result<(), String> {
    let name = patch_file.display().to_string();
    let whole =
        std::fs::read_to_string(patch_file).map_err(|error| format!("cannot be read: {error}"))?;
    for document in serde_yaml::Deserializer::from_str(&whole) {
        let change = serde_yaml::Value::deserialize(document)
            .map_err(|error| format!("not YAML: {error}"))?;
        if change.is_null() {
            continue;
        }
        let change = serde_yaml::to_string(&change).map_err(|error| error.to_string())?;
        let mut last = "there is no manifest to patch".to_owned();
        let mut found = false;
        for (file, text) in texts.iter_mut() {
            let Ok(text) = text else { continue };
            match patch(text, &file.display().to_string(), &change, &name) {
                Ok(patched) => {
                    *text = patched;
                    found = true;
                }
                Err(PatchError::NoTarget { kind, name, .. }) => {
                    last = format!("patches {kind} {name}, which is not among the manifests");
                }
                // A manifest that is no YAML is told when it is read as one.
                Err(PatchError::Yaml { .. }) => {}
            }
        }
        if !found {
            return Err(last);
        }
    }
    Ok(())
}

fn read_text(
    file: PathBuf,
    text: std::io::Result<String>,
    sources: &mut Vec<Source>,
    problems: &mut Vec<Problem>,
) {
    match text {
        Ok(text) => match check(&text, &file.display().to_string()) {
            Ok(manifests) => {
                sources.extend(manifests.into_iter().map(|manifest| Source {
                    manifest,
                    file: file.clone(),
                }));
            }
            Err(found) => problems.extend(found),
        },
        Err(error) => problems.push(problem(
            &file,
            "",
            &format!("cannot be read: {error}"),
            "save it as UTF-8 text",
        )),
    }
}

/// A problem of a file's first document.
#[must_use]
pub fn problem(file: &Path, field: &str, message: &str, remedy: &str) -> Problem {
    Problem {
        file: file.display().to_string(),
        document: 1,
        field: field.to_owned(),
        message: message.to_owned(),
        remedy: remedy.to_owned(),
    }
}
