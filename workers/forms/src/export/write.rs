//! A folder of an export: the files of its tables, a card, and the manifest.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;

use super::{Export, ExportError, Form, Source, Stored, Table};
use crate::card;
use crate::parquet::{self, ParquetError};
use crate::sign::{self, SecretKey};

/// The files of an export that was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// The files with their number of rows, where they have rows.
    pub files: Vec<(String, Option<usize>)>,
    /// Sentences for the person who exports.
    pub notes: Vec<String>,
}

/// Writes a source in this form into a folder, with a manifest that is signed where there is a key.
///
/// # Errors
/// Nothing to write, or a file that cannot be written. What was written until then stays.
pub fn write(
    form: &dyn Form,
    source: &Source<'_>,
    dir: &Path,
    key: Option<&SecretKey>,
) -> Result<Written, ExportError> {
    let export = form.export(source)?;
    let rows = export.tables.iter().any(|table| !table.rows.is_empty());
    if !rows && export.files.is_empty() {
        let lacks: Vec<&str> = export.tables.iter().map(|table| table.lack).collect();
        return Err(ExportError::Nothing {
            suite: source.suite.to_owned(),
            lack: format!(
                "{}; raise the target of its SynthesisJob",
                lacks.join(", and ")
            ),
        });
    }
    let mut written = Written {
        notes: export.notes.clone(),
        ..Written::default()
    };
    // Made before anything is written: a table that does not fit leaves no folder.
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    let mut shown: Vec<card::Shown<'_>> = Vec::new();
    for table in &export.tables {
        if table.rows.is_empty() {
            if table.split == "train" {
                written
                    .notes
                    .push(format!("{} is not written: {}", table.path, table.lack));
            }
            continue;
        }
        let main = files.len();
        for (name, bytes) in table.files()? {
            written.files.push((name.clone(), Some(table.rows.len())));
            files.push((name, bytes));
        }
        shown.push(card::Shown {
            table,
            file: files
                .get(main)
                .map(|(name, _)| name.clone())
                .unwrap_or_default(),
        });
    }
    for (name, text) in &export.files {
        written.files.push((name.clone(), None));
        files.push((name.clone(), text.clone().into_bytes()));
    }
    if !export.bare {
        let text = card::text(source, form, &shown)?;
        written.files.push((card::FILE.into(), None));
        files.push((card::FILE.into(), text.into_bytes()));
    }
    for (name, bytes) in files {
        put(&dir.join(name), &bytes)?;
    }
    sign::seal(dir, source.made_all(form.name()), key)?;
    written.files.push((sign::MANIFEST.into(), None));
    Ok(written)
}

impl Table {
    /// Returns its files, the one that readers load first.
    fn files(&self) -> Result<Vec<(String, Vec<u8>)>, ExportError> {
        let lines = |rows: &[Value]| {
            let mut text = String::new();
            for row in rows {
                let _ = writeln!(text, "{row}");
            }
            text.into_bytes()
        };
        let json = (format!("{}.jsonl", self.path), lines(&self.rows));
        let name = format!("{}.parquet", self.path);
        let failed = |source| ExportError::Parquet {
            file: name.clone(),
            source,
        };
        Ok(match &self.stored {
            Stored::Lines => vec![json],
            Stored::Bare(made) => vec![json, ("provenance.jsonl".into(), lines(made))],
            Stored::Parquet(columns) => {
                let bytes = parquet::write(columns, &self.rows).map_err(failed)?;
                vec![(name, bytes)]
            }
            Stored::Both(columns) => match parquet::write(columns, &self.rows) {
                Ok(bytes) => vec![(name, bytes), json],
                Err(ParquetError::Missing) => vec![json],
                Err(error) => return Err(failed(error)),
            },
        })
    }
}

impl Export {
    /// An export of tables alone.
    #[must_use]
    pub fn of_tables(tables: Vec<Table>) -> Self {
        Self {
            tables,
            ..Self::default()
        }
    }
}

fn put(file: &Path, bytes: &[u8]) -> Result<(), ExportError> {
    let write = || {
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(file, bytes)
    };
    write().map_err(|source| ExportError::File {
        file: file.to_owned(),
        source,
    })
}
