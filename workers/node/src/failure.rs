//! Why a worker ended, as its driver reads it: an exit code, and a last line on stderr that says what to do.

use std::process::ExitCode;

/// A failure with its class.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The input is at fault; trying again is of no use. Exit code 2.
    #[error("{0}")]
    Input(String),
    /// The world around is at fault; trying again may help. Exit code 3.
    #[error("{0}")]
    Infra(String),
    /// Asked to stop; what was done is kept. Exit code 130.
    #[error("stopped on request; run the same command again to go on")]
    Stopped,
}

impl Failure {
    /// The process's exit code.
    #[must_use]
    pub fn code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Input(_) => 2,
            Self::Infra(_) => 3,
            Self::Stopped => 130,
        })
    }

    /// An input failure from anything that says what is wrong.
    pub fn input(error: impl std::fmt::Display) -> Self {
        Self::Input(error.to_string())
    }

    /// An infrastructure failure from anything that says what is wrong.
    pub fn infra(error: impl std::fmt::Display) -> Self {
        Self::Infra(error.to_string())
    }
}

impl From<agoge_learner::LearnerError> for Failure {
    fn from(error: agoge_learner::LearnerError) -> Self {
        match error {
            agoge_learner::LearnerError::Stopped => Self::Stopped,
            agoge_learner::LearnerError::NoTasks => Self::Input(error.to_string()),
            agoge_learner::LearnerError::Model(_) => Self::Infra(error.to_string()),
        }
    }
}

impl From<agoge_store::StoreError> for Failure {
    fn from(error: agoge_store::StoreError) -> Self {
        Self::Infra(error.to_string())
    }
}
