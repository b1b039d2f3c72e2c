//! Why a command ended, and its exit code: 1 something failed, 2 the input (or the machine) must be changed, 3 the
//! surroundings failed, such as an endpoint, 130 interrupted.

use std::path::Path;
use std::process::ExitCode;

use agoge_forms::tau2::Tau2Error;
use agoge_world::{StartError, WorldError};

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

impl From<WorldError> for Failure {
    fn from(error: WorldError) -> Self {
        match error.is_final() {
            true => Self::Input(error.to_string()),
            false => Self::Infra(error.to_string()),
        }
    }
}

impl From<Tau2Error> for Failure {
    fn from(error: Tau2Error) -> Self {
        match error {
            Tau2Error::World(error) => error.into(),
            Tau2Error::Stopped { .. }
            | Tau2Error::Begin {
                source: StartError::Lost(_),
                ..
            } => Self::Infra(error.to_string()),
            error => Self::input(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use agoge_world::Lost;

    use super::*;

    #[test]
    fn a_lost_sandbox_is_a_fault_of_the_surroundings_and_unusable_tools_are_input() {
        let lost = || Lost("the machine is too busy".into());
        let begin = Tau2Error::Begin {
            id: "7".into(),
            source: lost().into(),
        };
        let all: [Failure; 3] = [
            WorldError::from(lost()).into(),
            Tau2Error::from(WorldError::from(lost())).into(),
            begin.into(),
        ];
        for failure in all {
            assert!(matches!(failure, Failure::Infra(_)), "{failure}");
        }
        let unserved = WorldError::Unserved("rooms".into());
        assert!(matches!(Failure::from(unserved), Failure::Input(_)));
    }
}
