//! The findings about a domain's folder: file, line, message and suggested fix.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// One finding: a problem, a warning or a note.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// The cause.
    pub message: String,
    /// The suggested fix; empty where nothing must be fixed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub remedy: String,
}

impl Problem {
    /// Returns a problem of a whole file.
    #[must_use]
    pub fn new(file: &Path, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            line: None,
            message: message.into(),
            remedy: remedy.into(),
        }
    }

    /// Returns the problem with its line.
    #[must_use]
    pub fn at(self, line: Option<u32>) -> Self {
        Self { line, ..self }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}", self.message)?;
        match self.remedy.is_empty() {
            true => Ok(()),
            false => write!(f, "; {}", self.remedy),
        }
    }
}

/// All problems of a folder, shown one a line.
#[derive(Clone, Debug, Default, PartialEq, Eq, thiserror::Error)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, problem) in self.0.iter().enumerate() {
            if n > 0 {
                writeln!(f)?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

/// Everything that a check found out about a domain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Findings {
    /// Faults that must be fixed before the domain is used.
    pub problems: Vec<Problem>,
    /// Things that work and are probably not meant so.
    pub warnings: Vec<Problem>,
    /// Things that a domain's author may want to know.
    pub notes: Vec<Problem>,
}

impl Findings {
    /// Adds other findings.
    pub fn extend(&mut self, other: Self) {
        self.problems.extend(other.problems);
        self.warnings.extend(other.warnings);
        self.notes.extend(other.notes);
    }
}

/// The first line, from 1, that holds `needle`, at or after the line `from`.
pub(crate) fn line_of(text: &str, needle: &str, from: u32) -> Option<u32> {
    let skipped = from.saturating_sub(1) as usize;
    let found = text
        .lines()
        .skip(skipped)
        .position(|line| line.contains(needle))?;
    u32::try_from(found + skipped + 1).ok()
}
