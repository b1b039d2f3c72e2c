//! Rows of JSON as a Parquet file, and back: nested lists and structs as groups, as pyarrow and pandas read them.
//!
//! A table has a schema of five kinds. Every value may be null, and a key that a row does not have is null. The same rows give
//! the same bytes. A build without the feature `parquet` has the schema and neither reads nor writes.

#[cfg(feature = "parquet")]
mod shred;
#[cfg(feature = "parquet")]
mod table;

#[cfg(feature = "parquet")]
pub use table::{read, write};

/// The kind of a column's values.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// A string.
    Text,
    /// A signed number of 64 bits.
    Int,
    /// A double.
    Float,
    /// True or false.
    Bool,
    /// A list.
    List(Box<Kind>),
    /// An object with these fields.
    Struct(Vec<Field>),
}

/// A column, or a field of a struct.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Its name: letters, digits and `_`.
    pub name: String,
    /// The kind of its values.
    pub kind: Kind,
}

impl Kind {
    /// A list of values of this kind.
    #[must_use]
    pub fn list(of: Self) -> Self {
        Self::List(Box::new(of))
    }

    /// An object.
    #[must_use]
    pub fn of_fields<const N: usize>(fields: [(&str, Self); N]) -> Self {
        Self::Struct(columns(fields))
    }
}

/// Returns columns of these names and kinds.
#[must_use]
pub fn columns<const N: usize>(fields: [(&str, Kind); N]) -> Vec<Field> {
    let field = |(name, kind): (&str, Kind)| Field {
        name: name.to_owned(),
        kind,
    };
    fields.into_iter().map(field).collect()
}

/// The reason why a Parquet file cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum ParquetError {
    /// This build has no Parquet.
    #[error(
        "this build of agoge has no Parquet; a build with the default features has it (`cargo build -p agoge-cli`), or take \
         JSON lines"
    )]
    Missing,
    /// A value is not of its column's kind.
    #[error("row {row}: `{column}` is {found}, and the column holds {kind}")]
    Kind {
        /// The row, from 1.
        row: usize,
        /// The column, with its fields.
        column: String,
        /// The kind of the column.
        kind: &'static str,
        /// The value, shortened.
        found: String,
    },
    /// The library's reason.
    #[error("{0}")]
    File(String),
}

/// Returns the Parquet file of rows.
///
/// # Errors
/// [`ParquetError::Missing`], always.
#[cfg(not(feature = "parquet"))]
pub fn write(_schema: &[Field], _rows: &[serde_json::Value]) -> Result<Vec<u8>, ParquetError> {
    Err(ParquetError::Missing)
}

/// Returns the rows of a Parquet file.
///
/// # Errors
/// [`ParquetError::Missing`], always.
#[cfg(not(feature = "parquet"))]
pub fn read(_file: std::fs::File) -> Result<Vec<serde_json::Value>, ParquetError> {
    Err(ParquetError::Missing)
}
