//! Exports: the qualified instances of a suite in the forms that trainers, evaluators and other projects read.
//!
//! A form is one file here and one line of [`FORMS`]. It turns a [`Source`] into tables of rows and further files; [`write()`]
//! puts them into a folder, with a card for the tables and a signed manifest. Every row says what made it, in its column
//! `agoge` where the form's readers allow one, and else in the file `provenance.jsonl`, line by line.

mod atif;
mod dataset;
mod dpo;
mod messages;
mod nemo;
mod openai;
mod row;
mod sharegpt;
mod source;
pub mod tau2;
mod trl;
mod turns;
mod verl;
mod write;

use serde_json::Value;

use crate::parquet::{Field, ParquetError};
use crate::sign::SignError;

pub use source::{Origin, Source};
pub use write::{Written, write};

/// A form of exports.
pub trait Form: Sync {
    /// The name by which `agoge export --to` asks for it.
    fn name(&self) -> &'static str;

    /// One sentence that says which reader it is for.
    fn about(&self) -> &'static str;

    /// Returns the tables and files of a source.
    ///
    /// # Errors
    /// A source that the form cannot hold.
    fn export(&self, source: &Source<'_>) -> Result<Export, ExportError>;
}

/// All forms, in the order of the documentation.
pub const FORMS: &[&dyn Form] = &[
    &dataset::Dataset,
    &messages::Messages,
    &trl::Trl,
    &verl::Verl,
    &sharegpt::ShareGpt,
    &turns::Turns,
    &dpo::Dpo,
    &openai::OpenAi,
    &nemo::NemoGym,
    &tau2::Tau2,
    &atif::Atif,
];

/// Returns the form of this name.
#[must_use]
pub fn form(name: &str) -> Option<&'static dyn Form> {
    FORMS.iter().copied().find(|form| form.name() == name)
}

/// The content of an exported folder.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Export {
    /// Tables of rows, described by a card.
    pub tables: Vec<Table>,
    /// Further files, by their path in the folder.
    pub files: Vec<(String, String)>,
    /// Sentences for the person who exports: what could not be said in this form.
    pub notes: Vec<String>,
    /// True when the form has no place for a card, because its reader takes every file for its own.
    pub bare: bool,
}

/// A table of rows. One without rows is not written.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// The configuration of `datasets` that it belongs to.
    pub config: &'static str,
    /// Its split there.
    pub split: &'static str,
    /// Its path in the folder, without the ending.
    pub path: &'static str,
    /// The files that hold it.
    pub stored: Stored,
    /// The rows.
    pub rows: Vec<Value>,
    /// The columns in words, for the card.
    pub about: &'static str,
    /// The reason why there may be no row.
    pub lack: &'static str,
}

/// The files that hold a table.
#[derive(Clone, Debug, PartialEq)]
pub enum Stored {
    /// JSON lines.
    Lines,
    /// JSON lines whose readers allow no further column; what made each row stands in `provenance.jsonl`.
    Bare(Vec<Value>),
    /// Parquet with these columns.
    Parquet(Vec<Field>),
    /// Parquet with these columns where this build has it, and JSON lines beside it.
    Both(Vec<Field>),
}

/// The reason why an export is not written.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// Nothing is left to write.
    #[error("the suite {suite}: {lack}")]
    Nothing {
        /// The suite.
        suite: String,
        /// The reason.
        lack: String,
    },
    /// A table cannot be written as Parquet.
    #[error("{file}: {source}")]
    Parquet {
        /// The file.
        file: String,
        /// The reason.
        source: ParquetError,
    },
    /// A file cannot be written.
    #[error("{}: {source}", file.display())]
    File {
        /// The file.
        file: std::path::PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The folder cannot be sealed.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// The card cannot be written as YAML.
    #[error(
        "the license `{0}` is no text that a card can have; name it as SPDX does, such as Apache-2.0"
    )]
    License(String),
}

#[cfg(test)]
mod tests;
