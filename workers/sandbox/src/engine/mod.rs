//! Runs Python over a view of the data. An engine is a small trait, so that the interpreter can be replaced.
//!
//! Host functions of tools: `db_get(collection, id)` (a record or None), `db_get(collection, id, "a.b.0")` (a part of one, or
//! None), `db_put(collection, id, record)`, `db_delete(collection, id)`, `db_ids(collection)`,
//! `db_find(collection, field, value)` (ids), `now()`. A singleton has no id: `db_get(collection)`, `db_get(collection, "a.b")`,
//! `db_put(collection, record)`.
//! Of checkers: `initial_get`, `initial_ids`, `initial_find`, `final_get`, `final_ids`, `final_find`, `diff()`, `now()`.

mod convert;
mod data;
mod python;

pub use data::{CheckData, ToolData};
pub use python::Monty;

use std::borrow::Cow;

use serde_json::Value;

use crate::{Limits, Outcome};

/// The host functions that a program can reach.
pub trait Host {
    /// The names of the host functions.
    fn names(&self) -> &'static [&'static str];
    /// Returns true when this name is a host function.
    fn has(&self, name: &str) -> bool {
        self.names().contains(&name)
    }
    /// Calls it.
    ///
    /// # Errors
    /// The message of the `ValueError` that the program gets.
    fn call(&mut self, name: &str, arguments: &[Value]) -> Result<Cow<'_, Value>, String>;
}

/// One run of a program.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// The program.
    pub source: &'a str,
    /// The function that is called after the program's top level.
    pub function: &'a str,
    /// Its arguments: an object of names and values where `by_name`, else a list of positions.
    pub arguments: &'a Value,
    /// True when the arguments are passed by name.
    pub by_name: bool,
    /// A function without arguments that is called when the first returned; the value of the run is still the first one's.
    pub then: Option<&'a str>,
}

/// A Python interpreter without any reach but its host's.
pub trait Engine {
    /// Runs a program in a fresh interpreter.
    fn run(&mut self, run: &Run<'_>, host: &mut dyn Host, limits: &Limits) -> Outcome;
}
