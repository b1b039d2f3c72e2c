//! Problems of manifests: where, what, and the suggested fix.

use std::fmt;

/// A problem of a manifest, with its place and a suggested fix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub file: String,
    /// The document in it, from 1.
    pub document: usize,
    /// The field, such as `spec.strategies[0].target`; empty for the document as a whole.
    pub field: String,
    /// The problem.
    pub message: String,
    /// The suggested fix.
    pub remedy: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if self.document > 1 {
            write!(f, " (document {})", self.document)?;
        }
        if !self.field.is_empty() {
            write!(f, ": {}", self.field)?;
        }
        write!(f, ": {}", self.message)?;
        if !self.remedy.is_empty() {
            write!(f, "; {}", self.remedy)?;
        }
        Ok(())
    }
}

/// A problem without its place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The field; empty for the object as a whole.
    pub field: String,
    /// The problem.
    pub message: String,
    /// The suggested fix.
    pub remedy: String,
}

impl Finding {
    pub(crate) fn new(
        field: impl Into<String>,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            field: field.into(),
            message: message.into(),
            remedy: remedy.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let colon = if self.field.is_empty() { "" } else { ": " };
        write!(f, "{}{colon}{}; {}", self.field, self.message, self.remedy)
    }
}

/// Returns a finding as the problem of a place in a file.
pub(super) fn problem(finding: Finding, file: &str, document: usize, place: &str) -> Problem {
    let parts = [place, finding.field.as_str()];
    let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    Problem {
        file: file.to_owned(),
        document,
        field: parts.join("."),
        message: finding.message,
        remedy: finding.remedy,
    }
}
