//! Why a command ended, and its exit code: 1 something failed, 2 the input (or the machine) must be changed, 3 the
//! surroundings failed, such as an endpoint, 130 interrupted.

use std::path::Path;
use std::process::ExitCode;

/// A command's end that is not the good one.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The request could not be fulfilled. Exit code 1.
    #[error("{0}")]
    Failed(String),
    /// Something must be changed before it can go on: a manifest, a file, an address, room on a disk. Exit code 2.
    #[error("{0}")]
    Input(String),
    /// The surroundings failed; what is finished is kept, and the same command goes on later. Exit code 3, as a worker's.
    #[error("{0}")]
    Infra(String),
    /// Asked to stop. Exit code 130.
    #[error(
        "interrupted; nothing that is finished is lost, and the same command goes on from here"
    )]
    Interrupted,
}

impl Failure {
    /// The process's exit code.
    #[must_use]
    pub fn code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Failed(_) => 1,
            Self::Input(_) => 2,
            Self::Infra(_) => 3,
            Self::Interrupted => 130,
        })
    }

    /// Something must be changed first.
    pub fn input(what: impl std::fmt::Display) -> Self {
        Self::Input(what.to_string())
    }

    /// One line for each of several problems.
    pub fn problems<P: std::fmt::Display>(problems: &[P]) -> Self {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        Self::Input(lines.join("\n"))
    }

    /// A file operation that failed.
    pub fn file<'a>(
        doing: &'static str,
        path: &'a Path,
    ) -> impl FnOnce(std::io::Error) -> Self + 'a {
        move |error| Self::Input(format!("cannot {doing} {}: {error}", path.display()))
    }
}

impl From<agoge_store::StoreError> for Failure {
    fn from(error: agoge_store::StoreError) -> Self {
        Self::Input(error.to_string())
    }
}

impl From<agoge_store::WriteError> for Failure {
    fn from(error: agoge_store::WriteError) -> Self {
        Self::Input(error.to_string())
    }
}
