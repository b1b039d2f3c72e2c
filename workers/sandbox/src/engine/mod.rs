//! Runs Python over a view of the data. An engine is a small trait, so that the interpreter can be replaced.
//!
//! Host functions of tools: `db_get(collection, id)` (a record or None), `db_put(collection, id, record)`,
//! `db_delete(collection, id)`, `db_ids(collection)`, `db_find(collection, field, value)` (ids), `now()`.
//! Of checkers: `initial_get`, `initial_ids`, `initial_find`, `final_get`, `final_ids`, `final_find`, `diff()`, `now()`.

mod convert;
mod data;
mod python;

pub use data::{CheckData, Data, ToolData};
pub use python::Monty;

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
    fn call(&mut self, name: &str, arguments: &[Value]) -> Result<Value, String>;
}

/// A Python interpreter without any reach but its host's.
pub trait Engine {
    /// Runs `source`, then `function` with these arguments, in a fresh interpreter. `by_name` passes the arguments as
    /// one object of names and values, else they are positions.
    fn run(
        &mut self,
        source: &str,
        function: &str,
        arguments: &Value,
        by_name: bool,
        host: &mut dyn Host,
        limits: &Limits,
    ) -> Outcome;
}
