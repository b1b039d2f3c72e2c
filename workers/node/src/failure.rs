//! The failure of a worker as its driver reads it: an exit code, a reason, and a message that says what to do.

use std::process::ExitCode;

use agoge_contract::{ContractError, Reason, Termination};
use agoge_llm::{Because, Fault, Kind, LlmError, RecordError};
use agoge_store::StoreError;

/// A failure with its class.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The input is wrong; another attempt would end the same way. Exit code 2.
    #[error("{0}")]
    Input(String),
    /// The surroundings are at fault; another attempt may help. Exit code 3.
    #[error("{0}")]
    Infra(String),
    /// A failure with a reason of its own, which determines the exit code.
    #[error("{1}")]
    Known(Reason, String),
    /// Asked to stop; what was done is kept. Exit code 130.
    #[error("stopped on request; run the same command again to go on")]
    Stopped,
}

impl Failure {
    /// Returns the process's exit code.
    #[must_use]
    pub fn code(&self) -> ExitCode {
        ExitCode::from(self.reason().exit_code())
    }

    /// Returns the termination message.
    #[must_use]
    pub fn termination(&self) -> String {
        let reason = self.reason();
        Termination::failure(reason.as_str(), &self.to_string(), reason.retryable())
    }

    /// Returns the reason.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Known(reason, _) => *reason,
            Self::Stopped => Reason::Stopped,
            // Every error of a full disk has these words, whatever wraps it.
            Self::Infra(said) | Self::Input(said) if said.contains("disk full while") => {
                Reason::DiskFull
            }
            Self::Infra(_) => Reason::Infrastructure,
            Self::Input(_) => Reason::BadInput,
        }
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

impl From<ContractError> for Failure {
    fn from(error: ContractError) -> Self {
        let reason = match &error {
            ContractError::Json(_) => Reason::BadInput,
            ContractError::Field(_) => Reason::VersionMismatch,
        };
        Self::Known(reason, error.to_string())
    }
}

impl From<agoge_learner::LearnerError> for Failure {
    fn from(error: agoge_learner::LearnerError) -> Self {
        match error {
            agoge_learner::LearnerError::Stopped => Self::Stopped,
            agoge_learner::LearnerError::NoTasks | agoge_learner::LearnerError::NoRoom { .. } => {
                Self::Input(error.to_string())
            }
            agoge_learner::LearnerError::Diverged { .. } => {
                Self::Known(Reason::TrainingDiverged, error.to_string())
            }
            agoge_learner::LearnerError::NoUpdate(ref idle) => {
                let reason = match idle.is_cut() {
                    true => Reason::TrajectoriesCut,
                    false => Reason::NoLearningSignal,
                };
                Self::Known(reason, error.to_string())
            }
            agoge_learner::LearnerError::DoNotFit { .. } => {
                Self::Known(Reason::TrajectoriesCut, error.to_string())
            }
            agoge_learner::LearnerError::Ranks(lost) => lost.into(),
            agoge_learner::LearnerError::Rollouts(why) => Self::Known(Reason::RolloutsDown, why),
            agoge_learner::LearnerError::Model(_) | agoge_learner::LearnerError::Message(_) => {
                Self::Infra(error.to_string())
            }
        }
    }
}

impl From<agoge_c10d::RanksError> for Failure {
    fn from(error: agoge_c10d::RanksError) -> Self {
        Self::Known(Reason::RankLost, error.to_string())
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let reason = match &error {
            StoreError::Unreachable { .. } => Reason::StoreUnreachable,
            StoreError::Unauthorized { .. } => Reason::StoreUnauthorized,
            StoreError::NoBucket { .. } => Reason::StoreMissing,
            StoreError::TakenOver { .. } => Reason::TakenOver,
            StoreError::Address(_) => Reason::BadInput,
            error if error.is_full() => Reason::DiskFull,
            _ => Reason::Infrastructure,
        };
        Self::Known(reason, error.to_string())
    }
}

impl From<&LlmError> for Failure {
    fn from(error: &LlmError) -> Self {
        let reason = match &error.kind {
            Kind::Lasting { fault, .. } => match fault {
                Fault::Down { .. } => Reason::EndpointDown,
                _ => Reason::EndpointBusy,
            },
            Kind::Refused(refusal) => match refusal.because {
                Because::Key | Because::Credit => Reason::EndpointUnauthorized,
                _ => Reason::EndpointWrong,
            },
            Kind::Budget(_) => Reason::BudgetExhausted,
            Kind::Record(RecordError::DiskFull { .. }) => Reason::DiskFull,
            Kind::Record(RecordError::Io { .. }) => Reason::Infrastructure,
            Kind::Record(_) => Reason::RecordingMissing,
            Kind::Url(_) => Reason::BadInput,
        };
        Self::Known(reason, error.to_string())
    }
}
