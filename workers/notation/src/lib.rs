//! JSON and YAML, read strictly: what a person wrote arrives as it was written, or is refused with its line.
//!
//! Three things are refused that the usual parsers let pass: a key that stands twice in one map (the last value would win), a
//! whole number that does not fit into 64 bits (it would be rounded to a float), and a key that is no text. A byte order mark
//! at the beginning is read over.
#![forbid(unsafe_code)]

mod json;
mod value;
mod words;
mod yaml;

use std::fmt;

use serde_json::Value;

pub use json::{json, json_documents};
pub use words::Words;
pub use yaml::{yaml, yaml_documents};

/// A place where a text cannot be taken as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// The line, from 1, where it is known.
    pub line: Option<usize>,
    /// The problem.
    pub message: String,
    /// The suggested fix.
    pub remedy: &'static str,
}

impl Flaw {
    /// Returns the problem with its line, without the suggested fix.
    #[must_use]
    pub fn problem(&self) -> String {
        match self.line {
            Some(line) => format!("line {line}: {}", self.message),
            None => self.message.clone(),
        }
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.problem(), self.remedy)
    }
}

impl std::error::Error for Flaw {}

/// One document of a text.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// Its value. Where it has a flaw, this is what a lenient parser reads: enough to tell whose document it is.
    pub value: Value,
    /// The first flaw in it.
    pub flaw: Option<Flaw>,
}

/// Returns a text without the byte order mark that some editors put first.
#[must_use]
pub fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}
