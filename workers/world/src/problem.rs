//! The problems of a domain's folder: file, line, message and suggested fix.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// One problem.
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
    /// The suggested fix.
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
        write!(f, ": {}; {}", self.message, self.remedy)
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

/// The first line, from 1, that holds `needle`, at or after the line `from`.
pub(crate) fn line_of(text: &str, needle: &str, from: u32) -> Option<u32> {
    let skipped = from.saturating_sub(1) as usize;
    let found = text
        .lines()
        .skip(skipped)
        .position(|line| line.contains(needle))?;
    u32::try_from(found + skipped + 1).ok()
}
