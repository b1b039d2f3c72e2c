//! The files in which a server's state lies: their initial content, putting it back, and the records in them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use agoge_world::SeenState;
use serde_json::{Value, json};

use crate::records::{self, Records};

/// The most bytes that the files of a state may have together: copies of them are held in memory.
const MOST: u64 = 256 << 20;

/// The content of files, by their names in the folder.
pub(crate) type Contents = BTreeMap<String, Vec<u8>>;

/// Reads the files that the domain names.
///
/// # Errors
/// A file cannot be read, or they are too large.
pub(crate) fn read(seen: &SeenState, folder: &Path) -> Result<Contents, String> {
    let mut all = Contents::new();
    let mut size = 0_u64;
    for name in seen.found(folder) {
        let path = folder.join(&name);
        let fail = |error: std::io::Error| format!("reading {}: {error}", path.display());
        size = size.saturating_add(std::fs::metadata(&path).map_err(fail)?.len());
        if size > MOST {
            return Err(format!(
                "the files of the state are larger than {} MiB; keep the records that tasks need",
                MOST >> 20
            ));
        }
        all.insert(name, std::fs::read(&path).map_err(fail)?);
    }
    Ok(all)
}

/// Writes the contents into the files, in place, and removes the other files of the state. A server that has a file open sees
/// the new content.
///
/// # Errors
/// A file cannot be written.
pub(crate) fn put_back(seen: &SeenState, folder: &Path, contents: &Contents) -> Result<(), String> {
    for name in seen.found(folder) {
        if !contents.contains_key(&name) {
            remove(&folder.join(name))?;
        }
    }
    for (name, bytes) in contents {
        let path = folder.join(name);
        for suffix in ["-journal", "-wal", "-shm"] {
            if is_sqlite(name) {
                remove(&beside(&path, suffix))?;
            }
        }
        if std::fs::read(&path).is_ok_and(|now| now == *bytes) {
            continue;
        }
        let parent = path.parent().unwrap_or(folder);
        std::fs::create_dir_all(parent)
            .and_then(|()| std::fs::write(&path, bytes))
            .map_err(|error| format!("writing {}: {error}", path.display()))?;
    }
    Ok(())
}

fn remove(path: &Path) -> Result<(), String> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(format!("removing {}: {error}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Returns true when a database has a write-ahead log, so that its file must not be replaced under a running server.
pub(crate) fn logged(seen: &SeenState, folder: &Path) -> bool {
    let found = seen.found(folder);
    let mut databases = found.iter().filter(|name| is_sqlite(name));
    databases.any(|name| beside(&folder.join(name), "-wal").exists())
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn is_sqlite(name: &str) -> bool {
    let extension = Path::new(name).extension().and_then(|one| one.to_str());
    matches!(extension, Some("db" | "sqlite" | "sqlite3"))
}

/// Returns the records in the files: tables of SQLite files, documents of JSON files, the text of any other file.
///
/// # Errors
/// A file is not what its name says.
pub(crate) fn records(
    seen: &SeenState,
    folder: &Path,
    contents: &Contents,
) -> Result<Records, String> {
    let mut all = Records::new();
    for (name, bytes) in contents {
        let path = folder.join(name);
        if is_sqlite(name) {
            tables(&path, &mut all)?;
            continue;
        }
        let stem = path
            .file_stem()
            .map(|stem| stem.to_string_lossy().into_owned());
        let stem = stem.unwrap_or_default();
        if name.ends_with(".json") {
            let document: Value = serde_json::from_slice(bytes)
                .map_err(|error| format!("{name} is not JSON: {error}"))?;
            let document = part(seen, &document).ok_or_else(|| missing(seen, name))?;
            records::add(&mut all, &stem, document);
        } else {
            let text = String::from_utf8_lossy(bytes);
            records::add(&mut all, &stem, &json!({ name.as_str(): { "text": text } }));
        }
    }
    Ok(all)
}

/// The part of a document that is the state.
pub(crate) fn part<'a>(seen: &SeenState, document: &'a Value) -> Option<&'a Value> {
    match &seen.part {
        Some(pointer) => document.pointer(pointer),
        None => Some(document),
    }
}

/// The error of a document without that part.
pub(crate) fn missing(seen: &SeenState, name: &str) -> String {
    let pointer = seen.part.as_deref().unwrap_or_default();
    format!("{name} has nothing at {pointer}; correct `part`")
}

#[cfg(feature = "sqlite")]
fn tables(path: &Path, all: &mut Records) -> Result<(), String> {
    crate::sqlite::add(all, path).map_err(|error| format!("reading {}: {error}", path.display()))
}

#[cfg(not(feature = "sqlite"))]
fn tables(path: &Path, _: &mut Records) -> Result<(), String> {
    Err(format!(
        "{} is a database, and this program was built without the feature `sqlite`",
        path.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(text: &str) -> SeenState {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn files_are_put_back_in_place_and_new_ones_removed() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let seen = seen(r#"{"files": ["data/*.json"], "part": "/db"}"#);
        std::fs::create_dir(at("data")).unwrap();
        std::fs::write(
            at("data/a.json"),
            r#"{"db": {"rooms": {"1": {"free": true}}}}"#,
        )
        .unwrap();
        std::fs::write(at("notes.json"), "{}").unwrap();
        let initial = read(&seen, folder.path()).unwrap();
        assert_eq!(initial.keys().collect::<Vec<_>>(), ["data/a.json"]);
        let before = records(&seen, folder.path(), &initial).unwrap();
        std::fs::write(at("data/a.json"), r#"{"db": {"rooms": {}}}"#).unwrap();
        std::fs::write(at("data/b.json"), r#"{"db": {}}"#).unwrap();
        let changed = read(&seen, folder.path()).unwrap();
        assert_ne!(records(&seen, folder.path(), &changed).unwrap(), before);
        put_back(&seen, folder.path(), &initial).unwrap();
        assert_eq!(read(&seen, folder.path()).unwrap(), initial);
        assert!(!at("data/b.json").exists() && at("notes.json").exists());
    }

    #[test]
    fn a_file_that_is_not_what_its_name_says_is_an_error_with_its_name() {
        let seen = seen(r#"{"files": ["a.json"], "part": "/db"}"#);
        let contents = |text: &str| Contents::from([("a.json".to_owned(), text.into())]);
        for (text, expected) in [("{", "a.json is not JSON"), ("{}", "nothing at /db")] {
            let error = records(&seen, Path::new("/nowhere"), &contents(text)).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
