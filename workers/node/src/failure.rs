//! Why a worker ended, as its driver reads it: an exit code, a last line on stderr that says what to do, and one word.

use std::process::ExitCode;

use agoge_llm::{Kind, LlmError};
use agoge_store::StoreError;

/// A failure with its class.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The input is at fault; trying again is of no use. Exit code 2.
    #[error("{0}")]
    Input(String),
    /// The world around is at fault; trying again may help. Exit code 3.
    #[error("{0}")]
    Infra(String),
    /// What has a name of its own; its exit code follows from that.
    #[error("{1}")]
    Known(Reason, String),
    /// Asked to stop; what was done is kept. Exit code 130.
    #[error("stopped on request; run the same command again to go on")]
    Stopped,
}

/// Every word that a worker says of its end. One that is killed or panics cannot speak: its driver says `Crashed`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Nobody listens at an endpoint, or its name is unknown.
    EndpointDown,
    /// An endpoint refuses the key.
    EndpointUnauthorized,
    /// An endpoint stalls, breaks off or is busy to the end.
    EndpointBusy,
    /// What answers there is no chat API, or refuses the question.
    EndpointWrong,
    /// Nobody answers at the store.
    StoreUnreachable,
    /// The store refuses the credentials.
    StoreUnauthorized,
    /// The store has no such bucket.
    StoreMissing,
    /// No room is left.
    DiskFull,
    /// Tokens or dollars are used up.
    BudgetExhausted,
    /// Nothing is recorded for a question.
    RecordingMissing,
    /// Another rank of the same training is gone, or nothing is heard of it.
    RankLost,
    /// No rollout server plays.
    RolloutsDown,
    /// Another worker goes on with the same work.
    TakenOver,
    /// Manifest, domain or assignment is at fault.
    BadInput,
    /// The user model failed its certificate.
    #[expect(
        dead_code,
        reason = "a driver reads it off the certificate; it is listed because its exit code is"
    )]
    UserModelNotCertified,
    /// Asked to stop.
    Stopped,
    /// Anything else around it.
    WorkerFailed,
}

impl Reason {
    /// The word, in CamelCase.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EndpointDown => "EndpointDown",
            Self::EndpointUnauthorized => "EndpointUnauthorized",
            Self::EndpointBusy => "EndpointBusy",
            Self::EndpointWrong => "EndpointWrong",
            Self::StoreUnreachable => "StoreUnreachable",
            Self::StoreUnauthorized => "StoreUnauthorized",
            Self::StoreMissing => "StoreMissing",
            Self::DiskFull => "DiskFull",
            Self::BudgetExhausted => "BudgetExhausted",
            Self::RecordingMissing => "RecordingMissing",
            Self::RankLost => "RankLost",
            Self::RolloutsDown => "RolloutsDown",
            Self::TakenOver => "TakenOver",
            Self::BadInput => "BadInput",
            Self::UserModelNotCertified => "UserModelNotCertified",
            Self::Stopped => "Stopped",
            Self::WorkerFailed => "WorkerFailed",
        }
    }

    fn code(self) -> u8 {
        match self {
            Self::EndpointUnauthorized
            | Self::EndpointWrong
            | Self::BudgetExhausted
            | Self::RecordingMissing
            | Self::BadInput => 2,
            Self::UserModelNotCertified => 4,
            Self::Stopped => 130,
            _ => 3,
        }
    }
}

impl Failure {
    /// The process's exit code.
    #[must_use]
    pub fn code(&self) -> ExitCode {
        ExitCode::from(self.reason().code())
    }

    /// Whether trying again may help.
    #[must_use]
    pub fn retryable(&self) -> bool {
        matches!(self.reason().code(), 3 | 130)
    }

    /// Its word.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Known(reason, _) => *reason,
            Self::Stopped => Reason::Stopped,
            // What met a full disk says so in these words, through whatever it came.
            Self::Infra(said) | Self::Input(said) if said.contains("disk full while") => {
                Reason::DiskFull
            }
            Self::Infra(_) => Reason::WorkerFailed,
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

impl From<agoge_learner::LearnerError> for Failure {
    fn from(error: agoge_learner::LearnerError) -> Self {
        match error {
            agoge_learner::LearnerError::Stopped => Self::Stopped,
            agoge_learner::LearnerError::NoTasks => Self::Input(error.to_string()),
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
            _ => Reason::WorkerFailed,
        };
        Self::Known(reason, error.to_string())
    }
}

impl From<&LlmError> for Failure {
    fn from(error: &LlmError) -> Self {
        let reason = match &error.kind {
            Kind::Down { .. } => Reason::EndpointDown,
            Kind::Key { .. } => Reason::EndpointUnauthorized,
            Kind::Stalled(_) | Kind::Cut { .. } | Kind::Busy { .. } => Reason::EndpointBusy,
            Kind::Html { .. } | Kind::Nonsense { .. } | Kind::Status { .. } => {
                Reason::EndpointWrong
            }
            Kind::Budget(_) => Reason::BudgetExhausted,
            Kind::Record(_) => Reason::RecordingMissing,
            Kind::Url(_) => Reason::BadInput,
        };
        Self::Known(reason, error.to_string())
    }
}
