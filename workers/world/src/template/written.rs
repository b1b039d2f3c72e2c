//! An expression of a template, with its text.

use serde::Deserialize;
use serde_json::Value;

use crate::expression::{Expression, Known, Names};

/// An expression as it is written, and as it is parsed once the names of its template are known.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(from = "Scalar")]
pub(crate) struct Written {
    /// The text.
    pub text: String,
    parsed: Option<Expression>,
}

/// A text, or a number that YAML reads as one.
#[derive(Deserialize)]
#[serde(untagged)]
enum Scalar {
    Text(String),
    Value(serde_json::Number),
}

impl From<Scalar> for Written {
    fn from(scalar: Scalar) -> Self {
        match scalar {
            Scalar::Text(text) => text.into(),
            Scalar::Value(number) => number.to_string().into(),
        }
    }
}

impl From<String> for Written {
    fn from(text: String) -> Self {
        Self { text, parsed: None }
    }
}

impl Written {
    pub(super) fn read(&mut self, known: Known<'_>) -> Result<(), String> {
        let parsed = Expression::parse(&self.text, known);
        self.parsed = Some(parsed.map_err(|why| format!("`{}`: {why}", self.text))?);
        Ok(())
    }

    /// Parses the list of a loop, `item in list where condition`.
    pub(super) fn read_list(&mut self, known: Known<'_>) -> Result<(), String> {
        let parsed = Expression::parse(&format!("list({})", self.text), known);
        self.parsed = Some(parsed.map_err(|why| format!("`{}`: {why}", self.text))?);
        Ok(())
    }

    pub(crate) fn expression(&self) -> Option<&Expression> {
        self.parsed.as_ref()
    }

    /// Returns its value; `None` where it is missing.
    ///
    /// # Errors
    /// The reason why it has none.
    pub(crate) fn value(&self, names: &dyn Names) -> Result<Option<Value>, String> {
        let parsed = self
            .parsed
            .as_ref()
            .ok_or_else(|| format!("`{}` was not read", self.text))?;
        parsed
            .value(names)
            .map_err(|why| format!("`{}`: {why}", self.text))
    }
}
