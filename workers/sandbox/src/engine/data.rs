//! The host functions: tools read and write one overlay, checkers read two.

use serde_json::{Value, json};

use super::Host;
use crate::{Overlay, State, View};

/// A tool's reach: the data through its episode's overlay.
#[derive(Debug)]
pub struct ToolData<'a> {
    /// The base.
    pub base: &'a State,
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
    /// The state at the start.
    pub initial: &'a Overlay,
    /// The state at the end.
    pub last: &'a Overlay,
    /// The episode's clock.
    pub now: &'a str,
}

/// Read access that both kinds share.
#[derive(Debug)]
pub struct Data<'a>(View<'a>);

impl Data<'_> {
    /// Calls the function of this name; what comes before its `_` says which data it reads.
    fn call(&self, name: &str, arguments: &[Value]) -> Result<Value, String> {
        let function = name.split_once('_').map_or(name, |(_, function)| function);
        Ok(match (function, arguments) {
            ("get", [collection, id]) => self
                .0
                .get(text(collection)?, &key(id)?)
                .cloned()
                .unwrap_or_default(),
            ("ids", [collection]) => json!(self.0.ids(text(collection)?)),
            ("find", [collection, field, value]) => {
                json!(self.0.find(text(collection)?, text(field)?, value))
            }
            _ => {
                let given = arguments.len();
                return Err(format!(
                    "{name} was given {given} arguments; call it as {name}({})",
                    parameters(function)
                ));
            }
        })
    }
}

/// The parameters of a host function, for a message.
fn parameters(function: &str) -> &'static str {
    match function {
        "get" | "delete" => "collection, id",
        "ids" => "collection",
        "find" => "collection, field, value",
        "put" => "collection, id, record",
        _ => "",
    }
}

impl Host for ToolData<'_> {
    fn names(&self) -> &'static [&'static str] {
        &["db_get", "db_put", "db_delete", "db_ids", "db_find", "now"]
    }

    fn call(&mut self, name: &str, arguments: &[Value]) -> Result<Value, String> {
        match (name, arguments) {
            ("db_put", [collection, id, record @ Value::Object(_)]) => {
                self.overlay
                    .put(self.base, text(collection)?, &key(id)?, record.clone());
                Ok(Value::Null)
            }
            ("db_put", [_, _, _]) => Err("db_put takes a dict as the record".into()),
            ("db_delete", [collection, id]) => Ok(json!(self.overlay.delete(
                self.base,
                text(collection)?,
                &key(id)?
            ))),
            ("now", []) => {
                self.reads += 1;
                Ok(json!(self.now))
            }
            _ => {
                self.reads += 1;
                let view = View {
                    base: self.base,
                    overlay: &self.overlay,
                };
                Data(view).call(name, arguments)
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

    fn call(&mut self, name: &str, arguments: &[Value]) -> Result<Value, String> {
        let overlay = match (name, arguments) {
            ("now", []) => return Ok(json!(self.now)),
            ("diff", []) => return Ok(json!(self.last.diff(self.base))),
            _ if name.starts_with("initial_") => self.initial,
            _ => self.last,
        };
        let view = View {
            base: self.base,
            overlay,
        };
        Data(view).call(name, arguments)
    }
}

fn text(value: &Value) -> Result<&str, String> {
    value
        .as_str()
        .ok_or_else(|| format!("expected a string, got {value}"))
}

/// An id: a string, or a number that is written as one.
fn key(value: &Value) -> Result<String, String> {
    match value {
        Value::String(id) => Ok(id.clone()),
        Value::Number(id) => Ok(id.to_string()),
        other => Err(format!("an id is a string, got {other}")),
    }
}
