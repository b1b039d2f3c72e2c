//! Rows as columns of values with definition and repetition levels: the record shredding of Dremel.
//!
//! Every field is optional and every list has three levels. A field adds one to the definition level where it is there, and a
//! list one more where it has an element.

use parquet::data_type::ByteArray;
use serde_json::Value;

use super::{Field, Kind, ParquetError};

/// A leaf's values, without its nulls.
#[derive(Debug)]
pub(super) enum Values {
    Text(Vec<ByteArray>),
    Int(Vec<i64>),
    Float(Vec<f64>),
    Bool(Vec<bool>),
}

/// A leaf of the schema.
#[derive(Debug)]
pub(super) struct Leaf {
    pub definition: Vec<i16>,
    pub repetition: Vec<i16>,
    pub values: Values,
}

/// The place of a value among its row's: the definition level of what holds it, the repetition level, and the number of lists
/// around it.
#[derive(Clone, Copy)]
struct At {
    definition: i16,
    repetition: i16,
    lists: i16,
}

impl At {
    fn inside(self, more: i16) -> Self {
        Self {
            definition: self.definition.saturating_add(more),
            ..self
        }
    }
}

/// Returns the leaves of rows, in the order of the schema.
pub(super) fn shred(schema: &[Field], rows: &[Value]) -> Result<Vec<Leaf>, ParquetError> {
    let mut leaves = Vec::new();
    schema
        .iter()
        .for_each(|field| begin(&field.kind, &mut leaves));
    for (number, row) in (1..).zip(rows) {
        let at = At {
            definition: 0,
            repetition: 0,
            lists: 0,
        };
        let mut rest = leaves.as_mut_slice();
        for field in schema {
            let (own, others) = rest.split_at_mut(count(&field.kind));
            rest = others;
            append(&field.kind, &row[field.name.as_str()], at, own).map_err(|wrong| {
                ParquetError::Kind {
                    row: number,
                    column: format!("{}{}", field.name, wrong.path),
                    kind: wrong.kind,
                    found: wrong.found,
                }
            })?;
        }
    }
    Ok(leaves)
}

/// Appends the empty leaves of a kind.
fn begin(kind: &Kind, leaves: &mut Vec<Leaf>) {
    let values = match kind {
        Kind::Text => Values::Text(Vec::new()),
        Kind::Int => Values::Int(Vec::new()),
        Kind::Float => Values::Float(Vec::new()),
        Kind::Bool => Values::Bool(Vec::new()),
        Kind::List(of) => return begin(of, leaves),
        Kind::Struct(fields) => return fields.iter().for_each(|field| begin(&field.kind, leaves)),
    };
    leaves.push(Leaf {
        definition: Vec::new(),
        repetition: Vec::new(),
        values,
    });
}

/// Returns the number of leaves of a kind.
fn count(kind: &Kind) -> usize {
    match kind {
        Kind::List(of) => count(of),
        Kind::Struct(fields) => fields.iter().map(|field| count(&field.kind)).sum(),
        _ => 1,
    }
}

/// A value that is not of its kind.
struct Wrong {
    path: String,
    kind: &'static str,
    found: String,
}

/// Appends one value to the leaves of its kind.
fn append(kind: &Kind, value: &Value, at: At, leaves: &mut [Leaf]) -> Result<(), Wrong> {
    if value.is_null() {
        leaves.iter_mut().for_each(|leaf| leaf.level(at));
        return Ok(());
    }
    match (kind, value) {
        (Kind::Struct(fields), Value::Object(map)) => {
            let mut rest = leaves;
            for field in fields {
                let (own, others) = rest.split_at_mut(count(&field.kind));
                rest = others;
                let value = map.get(&field.name).unwrap_or(&Value::Null);
                append(&field.kind, value, at.inside(1), own)
                    .map_err(|wrong| wrong.under(&format!(".{}", field.name)))?;
            }
            Ok(())
        }
        (Kind::List(of), Value::Array(items)) => {
            if items.is_empty() {
                leaves.iter_mut().for_each(|leaf| leaf.level(at.inside(1)));
            }
            let lists = at.lists.saturating_add(1);
            for (n, item) in items.iter().enumerate() {
                let repetition = if n == 0 { at.repetition } else { lists };
                let inner = At {
                    repetition,
                    lists,
                    ..at.inside(2)
                };
                append(of, item, inner, leaves).map_err(|wrong| wrong.under(&format!("[{n}]")))?;
            }
            Ok(())
        }
        _ => match leaves
            .first_mut()
            .is_some_and(|leaf| leaf.push(kind, value))
        {
            true => {
                leaves.iter_mut().for_each(|leaf| leaf.level(at.inside(1)));
                Ok(())
            }
            false => Err(Wrong {
                path: String::new(),
                kind: name(kind),
                found: value.to_string().chars().take(60).collect(),
            }),
        },
    }
}

impl Leaf {
    fn level(&mut self, at: At) {
        self.definition.push(at.definition);
        self.repetition.push(at.repetition);
    }

    /// Appends a scalar, and returns false where it is not of this kind.
    fn push(&mut self, kind: &Kind, value: &Value) -> bool {
        match (kind, &mut self.values, value) {
            (Kind::Text, Values::Text(all), Value::String(text)) => {
                all.push(ByteArray::from(text.as_str()));
                true
            }
            (Kind::Int, Values::Int(all), value) => value.as_i64().map(|n| all.push(n)).is_some(),
            (Kind::Float, Values::Float(all), value) => {
                value.as_f64().map(|n| all.push(n)).is_some()
            }
            (Kind::Bool, Values::Bool(all), Value::Bool(is)) => {
                all.push(*is);
                true
            }
            _ => false,
        }
    }
}

impl Wrong {
    fn under(mut self, part: &str) -> Self {
        self.path.insert_str(0, part);
        self
    }
}

fn name(kind: &Kind) -> &'static str {
    match kind {
        Kind::Text => "texts",
        Kind::Int => "integers of 64 bits",
        Kind::Float => "numbers",
        Kind::Bool => "true or false",
        Kind::List(_) => "lists",
        Kind::Struct(_) => "objects",
    }
}
