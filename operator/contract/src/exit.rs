//! The end of a worker: the reasons it may give, their exit codes, and the end of a process as a driver observes it.

/// The reason that a worker gives for its failure. One that is killed or panics gives none: its driver does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// No server listens at an endpoint, or its name is unknown.
    EndpointDown,
    /// An endpoint refuses the key.
    EndpointUnauthorized,
    /// An endpoint stalls, breaks off, stays overloaded, or goes on failing.
    EndpointBusy,
    /// An endpoint refuses the request for good: the address, the model or a field is wrong.
    EndpointWrong,
    /// The store does not answer.
    StoreUnreachable,
    /// The store refuses the credentials.
    StoreUnauthorized,
    /// The store has no such bucket.
    StoreMissing,
    /// The disk is full.
    DiskFull,
    /// Tokens or dollars are used up.
    BudgetExhausted,
    /// No answer is recorded for a request.
    RecordingMissing,
    /// Another rank of the same training is gone or silent.
    RankLost,
    /// No rollout server plays.
    RolloutsDown,
    /// Gradients of a training stay infinite or NaN.
    TrainingDiverged,
    /// Steps of a training pass without an update.
    NoLearningSignal,
    /// Limits end the rollouts of a training before they can pass.
    TrajectoriesCut,
    /// Another worker continues the same work.
    TakenOver,
    /// Manifest, domain or assignment is wrong.
    BadInput,
    /// The assignment was written by another version.
    VersionMismatch,
    /// The user model made more mistakes than allowed.
    UserModelNotCertified,
    /// The worker was asked to stop.
    Stopped,
    /// Anything else in the worker's surroundings.
    Infrastructure,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 21] = [
        Self::EndpointDown,
        Self::EndpointUnauthorized,
        Self::EndpointBusy,
        Self::EndpointWrong,
        Self::StoreUnreachable,
        Self::StoreUnauthorized,
        Self::StoreMissing,
        Self::DiskFull,
        Self::BudgetExhausted,
        Self::RecordingMissing,
        Self::RankLost,
        Self::RolloutsDown,
        Self::TrainingDiverged,
        Self::NoLearningSignal,
        Self::TrajectoriesCut,
        Self::TakenOver,
        Self::BadInput,
        Self::VersionMismatch,
        Self::UserModelNotCertified,
        Self::Stopped,
        Self::Infrastructure,
    ];

    /// Returns the word, in CamelCase.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
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
            Self::TrainingDiverged => "TrainingDiverged",
            Self::NoLearningSignal => "NoLearningSignal",
            Self::TrajectoriesCut => "TrajectoriesCut",
            Self::TakenOver => "TakenOver",
            Self::BadInput => "BadInput",
            Self::VersionMismatch => "VersionMismatch",
            Self::UserModelNotCertified => "UserModelNotCertified",
            Self::Stopped => "Stopped",
            Self::Infrastructure => "Infrastructure",
        }
    }

    /// Returns the exit code: 2 the input is wrong, 3 the surroundings are, 4 the user model is not certified, 130 stopped
    /// on request.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::EndpointUnauthorized
            | Self::EndpointWrong
            | Self::BudgetExhausted
            | Self::RecordingMissing
            | Self::TrainingDiverged
            | Self::NoLearningSignal
            | Self::TrajectoriesCut
            | Self::BadInput => 2,
            Self::UserModelNotCertified => 4,
            Self::Stopped => 130,
            _ => 3,
        }
    }

    /// Returns whether another attempt may help.
    #[must_use]
    pub const fn retryable(self) -> bool {
        !final_code(self.exit_code() as i32)
    }
}

/// Returns whether a worker that ends with this code would end the same way again.
pub(crate) const fn final_code(code: i32) -> bool {
    matches!(code, 2 | 4)
}

/// Returns whether this is the exit code of a worker that was asked to stop.
#[must_use]
pub const fn stopped(code: i32) -> bool {
    matches!(code, 130 | 143)
}

/// Returns an exit code as shells and container runtimes count it: 128 and the signal for a process that a signal ended.
#[must_use]
pub fn exit_code(code: Option<i32>, signal: Option<i32>) -> Option<i32> {
    code.or_else(|| signal.map(|signal| 128 + signal))
}

/// The end of a process or container, as its driver observes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exit {
    /// Exit code, with 128 and the signal for a process that a signal ended; absent where nothing ran.
    pub code: Option<i32>,
    /// The observer's own word, such as `OOMKilled` or `Hung`. Only some of them decide: see [`crate::classify`].
    pub word: Option<String>,
    /// True when it was moved away (eviction, preemption, a node gone).
    pub disrupted: bool,
    /// Where it ran and where to read more, such as `pod courier-grpo-0-x7k2p`.
    pub place: String,
}

/// Returns the line of a log that tells why its process ended: the message of a panic, else the last line.
#[must_use]
pub fn last_line(log: &str) -> String {
    let lines: Vec<&str> = log
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let panic = lines.iter().rposition(|line| line.contains("panicked at"));
    let line = panic
        .and_then(|at| lines.get(at + 1))
        .or_else(|| lines.last());
    line.map_or_else(
        || "it wrote no message".to_owned(),
        |line| line.trim_start_matches("error: ").to_owned(),
    )
}
