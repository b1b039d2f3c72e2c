//! Files of rows: JSON lines, a JSON array or object, or Parquet.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use agoge_world::numbered_rows;
use serde_json::Value;

use crate::parquet::{self, ParquetError};
use crate::sign::MANIFEST;

/// Endings of files that have rows.
const ENDINGS: [&str; 3] = ["jsonl", "json", "parquet"];
/// Files of an export that have no dialogues.
const BESIDE: [&str; 5] = [
    MANIFEST,
    "provenance.jsonl",
    "split_tasks.json",
    "db.json",
    "user_db.json",
];

/// A row with its place, such as `train.jsonl:3`.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// File and line, or the number of the row, from 1.
    pub place: String,
    /// The row, or the reason why it cannot be read.
    pub row: Result<Value, String>,
}

/// The reason why a file cannot be read at all.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The system cannot read it.
    #[error("{}: {source}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// It is not what its ending says.
    #[error("{}: it is not JSON: {source}; a file of one row a line ends in .jsonl", file.display())]
    Json {
        /// The file.
        file: PathBuf,
        /// The reason.
        source: serde_json::Error,
    },
    /// It is no Parquet file that can be read.
    #[error("{}: {source}", file.display())]
    Parquet {
        /// The file.
        file: PathBuf,
        /// The reason.
        source: ParquetError,
    },
    /// There is no file with rows.
    #[error("{} has no file that ends in .jsonl, .json or .parquet", .0.display())]
    None(PathBuf),
}

/// Reads the rows of a file, or of all files of a folder that have rows.
///
/// # Errors
/// [`LoadError`]
pub fn load(path: &Path) -> Result<Vec<Loaded>, LoadError> {
    if !path.is_dir() {
        return read(path);
    }
    let mut files = Vec::new();
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).map_err(|source| failed(&folder, source))?;
        for entry in entries {
            let file = entry.map_err(|source| failed(&folder, source))?.path();
            let name = file
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            if file.is_dir() {
                folders.push(file);
            } else if ending(&file).is_some() && !BESIDE.contains(&name.as_str()) {
                files.push(file);
            }
        }
    }
    files.sort();
    // A table that is there as Parquet and as lines is read once.
    let lines: Vec<PathBuf> = files
        .iter()
        .filter(|file| ending(file) == Some("jsonl"))
        .cloned()
        .collect();
    files.retain(|file| {
        ending(file) != Some("parquet") || !lines.contains(&file.with_extension("jsonl"))
    });
    if files.is_empty() {
        return Err(LoadError::None(path.to_owned()));
    }
    let mut rows = Vec::new();
    for file in &files {
        rows.extend(read(file)?);
    }
    Ok(rows)
}

fn ending(file: &Path) -> Option<&'static str> {
    let own = file.extension()?.to_str()?;
    ENDINGS.into_iter().find(|ending| *ending == own)
}

fn failed(file: &Path, source: io::Error) -> LoadError {
    LoadError::File {
        file: file.to_owned(),
        source,
    }
}

fn read(file: &Path) -> Result<Vec<Loaded>, LoadError> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let numbered = |rows: Vec<Value>| -> Vec<Loaded> {
        let rows = (1..).zip(rows);
        rows.map(|(n, row): (usize, Value)| Loaded {
            place: format!("{name}:{n}"),
            row: Ok(row),
        })
        .collect()
    };
    if ending(file) == Some("parquet") {
        let opened = File::open(file).map_err(|source| failed(file, source))?;
        let rows = parquet::read(opened).map_err(|source| LoadError::Parquet {
            file: file.to_owned(),
            source,
        })?;
        return Ok(numbered(rows));
    }
    let text = std::fs::read_to_string(file).map_err(|source| failed(file, source))?;
    if ending(file) == Some("json") {
        let whole: Value = serde_json::from_str(&text).map_err(|source| LoadError::Json {
            file: file.to_owned(),
            source,
        })?;
        return Ok(numbered(match whole {
            Value::Array(rows) => rows,
            row => vec![row],
        }));
    }
    let rows = numbered_rows(&text).map(|(n, line)| Loaded {
        place: format!("{name}:{n}"),
        row: serde_json::from_str(line).map_err(|error| format!("it is not JSON: {error}")),
    });
    Ok(rows.collect())
}
