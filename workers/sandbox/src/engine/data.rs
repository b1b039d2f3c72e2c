//! The host functions: tools read and write one overlay, checkers read two.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::Host;
use crate::schema::has_collection;
use crate::shape::{SINGLETON, id_of};
use crate::{Overlay, Shape, State, View, normalise_record};

/// A tool's reach: the data through its episode's overlay.
#[derive(Debug)]
pub struct ToolData<'a> {
    /// The base.
    pub base: &'a State,
    /// The schema by which records are normalised before they are written; `None` for a domain of format 1.
    pub schema: Option<&'a Value>,
    /// The episode's overlay, written to.
    pub overlay: Overlay,
    /// The episode's clock.
    pub now: &'a str,
    /// The number of times that it read the data or the clock.
    pub reads: u64,
}

/// A checker's reach: the state before and after, read only.
#[derive(Debug)]
pub struct CheckData<'a> {
    /// The base.
    pub base: &'a State,
    /// The schema; `None` for a domain of format 1.
    pub schema: Option<&'a Value>,
    /// The state at the start.
    pub initial: &'a Overlay,
    /// The state at the end.
    pub last: &'a Overlay,
    /// The episode's clock.
    pub now: &'a str,
}

/// Read access that both kinds share.
#[derive(Debug)]
struct Data<'a> {
    view: View<'a>,
    schema: Option<&'a Value>,
}

impl<'a> Data<'a> {
    /// Calls the function of this name; what comes before its `_` says which data it reads.
    fn call(&self, name: &str, arguments: &[Value]) -> Result<Cow<'a, Value>, String> {
        let function = verb(name);
        let collection = match (function, arguments.first()) {
            ("get" | "ids" | "find", Some(first)) => {
                collection(name, first, self.view.base, self.schema)?
            }
            _ => return Err(misused(name, arguments)),
        };
        let single = *self.view.base.shape(collection) == Shape::Singleton;
        Ok(match (function, arguments) {
            ("get", [_]) if single => self.read(collection, SINGLETON, None)?,
            ("get", [_]) => return Err(no_id(name, collection)),
            ("get", [_, part]) if single && part != SINGLETON => {
                self.read(collection, SINGLETON, Some((name, part)))?
            }
            ("get", [_, id]) => self.read(collection, &key(name, collection, id)?, None)?,
            ("get", [_, id, part]) => {
                let id = key(name, collection, id)?;
                self.read(collection, &id, Some((name, part)))?
            }
            ("ids", [_]) => Cow::Owned(json!(self.view.ids(collection))),
            ("find", [_, field, value]) => {
                let field = field.as_str().ok_or_else(|| {
                    format!(
                        "{name}: the field of `{collection}` must be named by a string, got {field}"
                    )
                })?;
                Cow::Owned(json!(self.view.find(collection, field, value)))
            }
            _ => return Err(misused(name, arguments)),
        })
    }

    /// Reads a record or, for a function of this name, a part of one. What is not there is null.
    fn read(
        &self,
        collection: &str,
        id: &str,
        part: Option<(&str, &Value)>,
    ) -> Result<Cow<'a, Value>, String> {
        let mut found = self.view.get(collection, id);
        if let Some((name, part)) = part {
            let steps = steps(part).ok_or_else(|| {
                format!(
                    "{name}: the part of a record of `{collection}` is a path such as \"a.b.0\", or a list of keys, got {part}"
                )
            })?;
            found = steps.iter().fold(found, |at, step| inner(at?, step));
        }
        Ok(found.map_or(Cow::Owned(Value::Null), Cow::Borrowed))
    }
}

/// The keys of a path: `"a.b.0"`, or `["a", "b", 0]` where keys have dots.
fn steps(path: &Value) -> Option<Vec<String>> {
    match path {
        Value::String(path) => Some(path.split('.').map(str::to_owned).collect()),
        Value::Array(keys) => keys.iter().map(id_of).collect(),
        Value::Number(index) => Some(vec![index.to_string()]),
        _ => None,
    }
}

fn inner<'a>(value: &'a Value, step: &str) -> Option<&'a Value> {
    match value {
        Value::Object(map) => map.get(step),
        Value::Array(items) => items.get(step.parse::<usize>().ok()?),
        _ => None,
    }
}

/// The name of a collection. With a schema, one that neither the state nor the schema has is refused.
fn collection<'v>(
    name: &str,
    given: &'v Value,
    base: &State,
    schema: Option<&Value>,
) -> Result<&'v str, String> {
    let Some(collection) = given.as_str() else {
        return Err(format!(
            "{name}: the collection must be named by a string, got {given}"
        ));
    };
    let Some(schema) = schema else {
        return Ok(collection);
    };
    let known =
        base.collections().any(|known| known == collection) || has_collection(schema, collection);
    if known {
        return Ok(collection);
    }
    let known: Vec<&str> = base.collections().collect();
    Err(format!(
        "{name}: there is no collection `{collection}`, only {}; correct the name, or add it to schema.json",
        known.join(", ")
    ))
}

/// An id: a string, or a number that is written as one.
fn key(name: &str, collection: &str, value: &Value) -> Result<String, String> {
    id_of(value).ok_or_else(|| {
        format!("{name}: an id of `{collection}` is a string or a number, got {value}")
    })
}

fn no_id(name: &str, collection: &str) -> String {
    format!(
        "{name}: `{collection}` has many records; name one, as {name}(\"{collection}\", id), or mark it as a singleton in schema.json"
    )
}

fn misused(name: &str, arguments: &[Value]) -> String {
    let parameters = match verb(name) {
        "get" => "collection, id[, \"a.b\" for a part of the record]",
        "delete" => "collection, id",
        "ids" => "collection",
        "find" => "collection, field, value",
        "put" => "collection, id, record",
        _ => "",
    };
    let given = arguments.len();
    format!("{name} was given {given} arguments; call it as {name}({parameters})")
}

/// A host function's name without the data that it reads: `get` of `final_get`.
fn verb(name: &str) -> &str {
    name.split_once('_').map_or(name, |(_, verb)| verb)
}

impl ToolData<'_> {
    fn put(&mut self, arguments: &[Value]) -> Result<Value, String> {
        let name = "db_put";
        let Some(first) = arguments.first() else {
            return Err(misused(name, arguments));
        };
        let collection = collection(name, first, self.base, self.schema)?;
        let shape = self.base.shape(collection);
        let (id, record) = match (shape, arguments) {
            (Shape::Singleton, [_, record]) => (SINGLETON.to_owned(), record),
            (Shape::Singleton, [_, id, record]) if id == SINGLETON => {
                (SINGLETON.to_owned(), record)
            }
            (Shape::Singleton, _) => {
                return Err(format!(
                    "db_put: `{collection}` is one record; call it as db_put(\"{collection}\", record)"
                ));
            }
            (_, [_, id, record]) => (key(name, collection, id)?, record),
            (_, [_, _]) => return Err(no_id(name, collection)),
            _ => return Err(misused(name, arguments)),
        };
        if !record.is_object() {
            return Err(format!(
                "db_put takes a dict as the record of `{collection}`; a value belongs into one of its fields"
            ));
        }
        let mut record = record.clone();
        if let Shape::List(field) = shape {
            named(collection, field, &id, &mut record)?;
        }
        if let Some(root) = self.schema {
            normalise_record(root, shape, collection, &id, &mut record);
        }
        self.overlay.put(self.base, collection, &id, record);
        Ok(Value::Null)
    }

    fn delete(&mut self, arguments: &[Value]) -> Result<Value, String> {
        let name = "db_delete";
        let Some(first) = arguments.first() else {
            return Err(misused(name, arguments));
        };
        let collection = collection(name, first, self.base, self.schema)?;
        if *self.base.shape(collection) == Shape::Singleton {
            return Err(format!(
                "db_delete: `{collection}` is a singleton, which stays; write it with db_put instead"
            ));
        }
        match arguments {
            [_, id] => {
                let id = key(name, collection, id)?;
                Ok(json!(self.overlay.delete(self.base, collection, &id)))
            }
            _ => Err(misused(name, arguments)),
        }
    }
}

/// Checks that an item of a list has its id in its field, and writes it there where it is missing.
fn named(collection: &str, field: &str, id: &str, record: &mut Value) -> Result<(), String> {
    match record.get(field).map(id_of) {
        Some(own) if own.as_deref() == Some(id) => Ok(()),
        Some(_) => Err(format!(
            "db_put: the record has another `{field}` than the id {id:?} under which it is written to `{collection}`; make them the same"
        )),
        None => {
            if let Some(map) = record.as_object_mut() {
                map.insert(field.to_owned(), json!(id));
            }
            Ok(())
        }
    }
}

impl Host for ToolData<'_> {
    fn names(&self) -> &'static [&'static str] {
        &["db_get", "db_put", "db_delete", "db_ids", "db_find", "now"]
    }

    fn call(&mut self, name: &str, arguments: &[Value]) -> Result<Cow<'_, Value>, String> {
        match (name, arguments) {
            ("db_put", _) => self.put(arguments).map(Cow::Owned),
            ("db_delete", _) => self.delete(arguments).map(Cow::Owned),
            ("now", []) => {
                self.reads += 1;
                Ok(Cow::Owned(json!(self.now)))
            }
            _ => {
                self.reads += 1;
                let view = View {
                    base: self.base,
                    overlay: &self.overlay,
                };
                let schema = self.schema;
                Data { view, schema }.call(name, arguments)
            }
        }
    }
}

impl Host for CheckData<'_> {
    fn names(&self) -> &'static [&'static str] {
        &[
            "initial_get",
            "initial_ids",
            "initial_find",
            "final_get",
            "final_ids",
            "final_find",
            "diff",
            "now",
        ]
    }

    fn call(&mut self, name: &str, arguments: &[Value]) -> Result<Cow<'_, Value>, String> {
        let overlay = match (name, arguments) {
            ("now", []) => return Ok(Cow::Owned(json!(self.now))),
            ("diff", []) => {
                let changes = match self.initial.is_empty() {
                    true => self.last.diff(self.base),
                    false => self.last.diff_from(self.initial, self.base),
                };
                return Ok(Cow::Owned(json!(changes)));
            }
            _ if name.starts_with("initial_") => self.initial,
            _ => self.last,
        };
        let view = View {
            base: self.base,
            overlay,
        };
        let schema = self.schema;
        Data { view, schema }.call(name, arguments)
    }
}

#[cfg(test)]
mod tests;
