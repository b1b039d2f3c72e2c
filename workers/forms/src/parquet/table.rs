//! A table of rows as a Parquet file.

use std::fmt::Write as _;
use std::fs::File;
use std::sync::Arc;

use parquet::basic::Compression;
use parquet::data_type::{BoolType, ByteArrayType, DoubleType, Int64Type};
use parquet::errors::ParquetError as Cause;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::file::writer::SerializedFileWriter;
use parquet::record::{Field as Read, Row};
use parquet::schema::parser::parse_message_type;
use serde_json::{Map, Value};

use super::shred::{Values, shred};
use super::{Field, Kind, ParquetError};

/// Rows of a row group.
const GROUP: usize = 4096;

impl From<Cause> for ParquetError {
    fn from(cause: Cause) -> Self {
        Self::File(cause.to_string())
    }
}

/// Returns the Parquet file of rows.
///
/// # Errors
/// A value that is not of its column's kind.
pub fn write(schema: &[Field], rows: &[Value]) -> Result<Vec<u8>, ParquetError> {
    let message = Arc::new(parse_message_type(&message(schema))?);
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .build();
    let mut file = SerializedFileWriter::new(Vec::new(), message, Arc::new(properties))?;
    for (group, rows) in rows.chunks(GROUP).enumerate() {
        let leaves = shred(schema, rows).map_err(|error| error.after(group * GROUP))?;
        let mut out = file.next_row_group()?;
        for leaf in leaves {
            let Some(mut column) = out.next_column()? else {
                return Err(ParquetError::File("the schema has too few columns".into()));
            };
            let (definition, repetition) = (Some(&leaf.definition[..]), Some(&leaf.repetition[..]));
            match &leaf.values {
                Values::Text(values) => column
                    .typed::<ByteArrayType>()
                    .write_batch(values, definition, repetition)?,
                Values::Int(values) => column
                    .typed::<Int64Type>()
                    .write_batch(values, definition, repetition)?,
                Values::Float(values) => column
                    .typed::<DoubleType>()
                    .write_batch(values, definition, repetition)?,
                Values::Bool(values) => column
                    .typed::<BoolType>()
                    .write_batch(values, definition, repetition)?,
            };
            column.close()?;
        }
        out.close()?;
    }
    Ok(file.into_inner()?)
}

impl ParquetError {
    /// The error with its row counted from the beginning of the table.
    fn after(self, rows: usize) -> Self {
        match self {
            Self::Kind {
                row,
                column,
                kind,
                found,
            } => Self::Kind {
                row: row.saturating_add(rows),
                column,
                kind,
                found,
            },
            other => other,
        }
    }
}

/// Returns the schema in Parquet's notation.
fn message(schema: &[Field]) -> String {
    let mut text = String::from("message rows {\n");
    for field in schema {
        declare(&field.name, &field.kind, &mut text);
    }
    text.push('}');
    text
}

fn declare(name: &str, kind: &Kind, text: &mut String) {
    let scalar = match kind {
        Kind::Text => "BYTE_ARRAY",
        Kind::Int => "INT64",
        Kind::Float => "DOUBLE",
        Kind::Bool => "BOOLEAN",
        Kind::List(of) => {
            let _ = writeln!(
                text,
                "OPTIONAL group {name} (LIST) {{ REPEATED group list {{"
            );
            declare("element", of, text);
            text.push_str("} }\n");
            return;
        }
        Kind::Struct(fields) => {
            let _ = writeln!(text, "OPTIONAL group {name} {{");
            for field in fields {
                declare(&field.name, &field.kind, text);
            }
            text.push_str("}\n");
            return;
        }
    };
    let string = if *kind == Kind::Text { " (UTF8)" } else { "" };
    let _ = writeln!(text, "OPTIONAL {scalar} {name}{string};");
}

/// Returns the rows of a Parquet file. Values of kinds that JSON does not have become texts.
///
/// # Errors
/// A file that cannot be read.
pub fn read(file: File) -> Result<Vec<Value>, ParquetError> {
    let reader = SerializedFileReader::new(file)?;
    let rows = reader.get_row_iter(None)?;
    rows.map(|row| Ok(object(&row?))).collect()
}

fn object(row: &Row) -> Value {
    let fields = row.get_column_iter();
    let fields: Map<String, Value> = fields
        .map(|(name, field)| (name.clone(), value(field)))
        .collect();
    Value::Object(fields)
}

fn value(field: &Read) -> Value {
    match field {
        Read::Null => Value::Null,
        Read::Bool(is) => Value::from(*is),
        Read::Byte(n) => Value::from(*n),
        Read::Short(n) => Value::from(*n),
        Read::Int(n) => Value::from(*n),
        Read::Long(n) => Value::from(*n),
        Read::UByte(n) => Value::from(*n),
        Read::UShort(n) => Value::from(*n),
        Read::UInt(n) => Value::from(*n),
        Read::ULong(n) => Value::from(*n),
        Read::Float(n) => Value::from(f64::from(*n)),
        Read::Double(n) => Value::from(*n),
        Read::Str(text) => Value::from(text.as_str()),
        Read::Bytes(bytes) => Value::from(String::from_utf8_lossy(bytes.data())),
        Read::Group(row) => object(row),
        Read::ListInternal(list) => list.elements().iter().map(value).collect(),
        other => Value::from(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Seek as _, Write as _};

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::parquet::columns;

    /// Kinds of a few levels.
    fn kinds() -> impl Strategy<Value = Kind> {
        let scalar = prop_oneof![
            Just(Kind::Text),
            Just(Kind::Int),
            Just(Kind::Float),
            Just(Kind::Bool)
        ];
        scalar.prop_recursive(4, 16, 3, |inner| {
            prop_oneof![
                inner.clone().prop_map(Kind::list),
                prop::collection::vec(inner, 1..4).prop_map(|kinds| {
                    let names = (0..).map(|n| format!("f{n}"));
                    let fields = names.zip(kinds).map(|(name, kind)| Field { name, kind });
                    Kind::Struct(fields.collect())
                }),
            ]
        })
    }

    /// A value of a kind, from the numbers of a list. Nulls occur at every level.
    fn value_of(kind: &Kind, numbers: &mut impl Iterator<Item = u16>) -> Value {
        let n = numbers.next().unwrap_or_default();
        if n.is_multiple_of(5) {
            return Value::Null;
        }
        match kind {
            Kind::Text => json!(format!("t{n}\u{e9}")),
            Kind::Int => json!(i64::from(n) - 30_000),
            Kind::Float => json!(f64::from(n) / 8.0),
            Kind::Bool => json!(n.is_multiple_of(2)),
            Kind::List(of) => (0..n % 4).map(|_| value_of(of, numbers)).collect(),
            Kind::Struct(fields) => {
                let fields = fields
                    .iter()
                    .map(|field| (field.name.clone(), value_of(&field.kind, numbers)));
                Value::Object(fields.collect())
            }
        }
    }

    fn again(schema: &[Field], rows: &[Value]) -> Vec<Value> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&write(schema, rows).unwrap()).unwrap();
        file.rewind().unwrap();
        read(file).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]

        #[test]
        fn rows_of_any_nested_schema_come_back_as_they_were(
            kinds in prop::collection::vec(kinds(), 1..4),
            numbers in prop::collection::vec(any::<u16>(), 0..200),
            n in 1_usize..6,
        ) {
            let names = (0..).map(|n| format!("c{n}"));
            let schema: Vec<Field> = names.zip(kinds).map(|(name, kind)| Field { name, kind }).collect();
            let mut numbers = numbers.into_iter().cycle();
            let rows: Vec<Value> = (0..n)
                .map(|_| {
                    let fields = schema.iter();
                    let fields = fields.map(|field| (field.name.clone(), value_of(&field.kind, &mut numbers)));
                    Value::Object(fields.collect())
                })
                .collect();
            prop_assert_eq!(again(&schema, &rows), rows);
        }
    }

    #[test]
    fn more_rows_than_a_group_holds_keep_their_order_and_missing_keys_are_null() {
        let schema = columns([
            ("n", Kind::Int),
            (
                "messages",
                Kind::list(Kind::of_fields([("role", Kind::Text)])),
            ),
        ]);
        let rows: Vec<Value> = (0..GROUP + 10).map(|n| json!({"n": n})).collect();
        let read = again(&schema, &rows);
        assert_eq!(read.len(), rows.len());
        assert_eq!(read[GROUP + 9], json!({"n": GROUP + 9, "messages": null}));
    }

    #[test]
    fn a_value_of_another_kind_is_named_with_row_column_and_field() {
        let schema = columns([(
            "messages",
            Kind::list(Kind::of_fields([("role", Kind::Text)])),
        )]);
        let rows = [
            json!({"messages": []}),
            json!({"messages": [{"role": "user"}, {"role": 7}]}),
        ];
        let told = write(&schema, &rows).unwrap_err().to_string();
        assert_eq!(
            told,
            "row 2: `messages[1].role` is 7, and the column holds texts"
        );
    }
}
