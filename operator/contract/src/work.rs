//! The work of a child: one variant for each role, with all that determines its result except what the driver resolves.

use std::collections::BTreeMap;

use agoge_crds::checker_suite::{QualificationSpec, SandboxLimits, Source};
use agoge_crds::grpo_run::{AgentSftSpec, EvaluationSpec, GrpoSpec, PolicySpec, SftSpec, UserSpec};
use agoge_crds::lineage::Decision;
use agoge_crds::report::{self, Report};
use agoge_crds::shared::{Budget, EndpointBinding, Models};
use agoge_crds::suite_evaluation::SuiteEvaluation;
use agoge_crds::synthesis_job::{Evolution, StrategySpec};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The port at which a rollout server listens.
pub const ROLLOUT_PORT: u16 = 29_500;

/// One piece of work. It is plain data and the same for every attempt.
#[allow(
    clippy::large_enum_variant,
    reason = "a process holds one of them, a plan a few"
)]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "role", rename_all = "camelCase")]
pub enum Work {
    /// Make instances by one strategy.
    Synthesize(SynthesizeWork),
    /// Qualify checkers.
    Qualify(QualifyWork),
    /// Score endpoints on a qualified suite.
    Score(ScoreWork),
    /// One stage of training.
    Train(TrainWork),
    /// Play rollouts for a stage of training until asked to stop. Its shards are servers of their own, and any of them can
    /// be replaced.
    Rollout(TrainWork),
}

/// The role of a worker: its subcommand, and the component label of its pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// See [`Work::Synthesize`].
    Synthesize,
    /// See [`Work::Qualify`].
    Qualify,
    /// See [`Work::Score`].
    Score,
    /// See [`Work::Train`].
    Train,
    /// See [`Work::Rollout`].
    Rollout,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 5] = [
        Self::Synthesize,
        Self::Qualify,
        Self::Score,
        Self::Train,
        Self::Rollout,
    ];

    /// Returns the worker's subcommand.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Synthesize => "synthesize",
            Self::Qualify => "qualify",
            Self::Score => "score",
            Self::Train => "train",
            Self::Rollout => "rollout",
        }
    }

    /// Returns the role of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == name)
    }

    /// Reads a report of this role's workers.
    ///
    /// # Errors
    /// When a field has the wrong type.
    pub fn report(self, value: &Value) -> Result<Report, serde_json::Error> {
        Ok(match self {
            Self::Synthesize => Report::Synthesis(Box::new(report::read(value)?)),
            Self::Qualify | Self::Score => Report::Qualify(Box::new(report::read(value)?)),
            Self::Train | Self::Rollout => Report::Train(Box::new(report::read(value)?)),
        })
    }

    /// Reads the progress of one of this role's workers. Returns none where there is no report yet, or none that can be read.
    #[must_use]
    pub fn progress(self, value: &Value) -> Option<Report> {
        if value.is_null() {
            return None;
        }
        self.report(value).ok()
    }
}

impl Work {
    /// Returns the role that does this work.
    #[must_use]
    pub const fn role(&self) -> Role {
        match self {
            Self::Synthesize(_) => Role::Synthesize,
            Self::Qualify(_) => Role::Qualify,
            Self::Score(_) => Role::Score,
            Self::Train(_) => Role::Train,
            Self::Rollout(_) => Role::Rollout,
        }
    }

    /// Returns a digest of the work and the number of its shards: equal for equal work, whatever the attempt.
    #[must_use]
    pub fn digest(&self, shards: u32) -> String {
        agoge_crds::digest(&serde_json::json!([self, shards]).to_string())
    }
}

/// The work of one strategy of a SynthesisJob.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SynthesizeWork {
    /// Name of the dataset.
    pub dataset: String,
    /// The strategy with its target and parameters.
    pub strategy: StrategySpec,
    /// Models by part; absent for a strategy that asks none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub models: Option<Models>,
    /// Evolution of plan pairs; absent for a strategy without plans.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evolution: Option<Evolution>,
    /// Tokens and dollars that may be spent. Time is bounded by the assignment.
    pub budget: Budget,
    /// Digests of what the job's earlier strategies made: an instance that asks for the same as one of theirs is not new.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub known: Vec<String>,
    /// Instances in flight at once; absent: as many as the writer's endpoint takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parallelism: Option<u32>,
    /// True when the dataset must be the same in every run.
    pub deterministic: bool,
    /// A person's decision about the plan pair that waited for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
}

/// The qualification of a CheckerSuite.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct QualifyWork {
    /// Name of the suite.
    pub suite: String,
    /// Source of its tasks.
    pub source: Source,
    /// Digests of the datasets of a SynthesisJob, by strategy; absent where the source is another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parts: Option<BTreeMap<String, String>>,
    /// Limits of one run of generated code.
    pub sandbox: SandboxLimits,
    /// Requirements for a checker to be trusted.
    pub qualification: QualificationSpec,
}

/// The comparison of endpoints on a qualified suite.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ScoreWork {
    /// Name of the suite.
    pub suite: String,
    /// Digest of the suite.
    pub digest: String,
    /// Endpoints to score.
    pub endpoints: Vec<EndpointBinding>,
    /// Trials, user and judge; absent where each task is played once with its script.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluation: Option<SuiteEvaluation>,
}

impl ScoreWork {
    /// Every model that takes part.
    pub fn bindings(&self) -> impl Iterator<Item = &EndpointBinding> {
        let others = self
            .evaluation
            .iter()
            .flat_map(|one| [&one.user, &one.judge]);
        self.endpoints.iter().chain(others.flatten())
    }
}

/// One stage of a GRPORun, with the inputs it builds on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TrainWork {
    /// Name of the run.
    pub run: String,
    /// The suite that the run pinned.
    pub suite: SuiteInput,
    /// The model that learns.
    pub policy: PolicySpec,
    /// The user in rollouts.
    pub user: UserSpec,
    /// The stage and its settings.
    pub settings: StageSettings,
    /// Digests of the records of earlier stages.
    pub inputs: BTreeMap<TrainStage, String>,
    /// True when the loss trace must be the same in every run.
    pub deterministic: bool,
    /// Lanes of a deterministic run; absent where they are the default, and in any other run, whose lanes follow the cores.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lanes: Option<u32>,
    /// Seed of weights, order and sampling.
    pub seed: u64,
    /// Rollout servers; absent where the trainer plays its own rollouts. No record depends on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollouts: Option<RolloutHosts>,
}

impl TrainWork {
    /// Returns the stage.
    #[must_use]
    pub const fn stage(&self) -> TrainStage {
        self.settings.stage()
    }
}

/// A suite by name and digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SuiteInput {
    /// Its name.
    pub name: String,
    /// Its digest.
    pub digest: String,
}

/// Addresses of rollout servers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RolloutHosts {
    /// `host:port`. One host may stand for several servers, and for others later.
    pub hosts: Vec<String>,
    /// Number of servers.
    pub servers: u32,
}

/// A stage of training with its settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(
    tag = "stage",
    rename_all = "camelCase",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
pub enum StageSettings {
    /// See [`TrainStage::UserSft`].
    #[serde(rename = "userSFT")]
    UserSft {
        /// Settings of the training.
        sft: SftSpec,
    },
    /// See [`TrainStage::CertifyUser`].
    CertifyUser {
        /// Held-out dialogues to judge.
        dialogues: u32,
    },
    /// See [`TrainStage::AgentSft`].
    #[serde(rename = "agentSFT")]
    AgentSft {
        /// Settings of the training.
        sft: AgentSftSpec,
    },
    /// See [`TrainStage::Grpo`].
    Grpo {
        /// Settings of the training.
        grpo: GrpoSpec,
        /// Held-out tasks that the evaluation keeps for itself; the curve of pass^1 is drawn over others.
        evaluated: u32,
    },
    /// See [`TrainStage::GrpoUnfiltered`].
    GrpoUnfiltered {
        /// Settings of the training, whose filter is not used.
        grpo: GrpoSpec,
        /// See `Grpo`.
        evaluated: u32,
        /// Seconds that GRPO took; this stage takes as long.
        #[serde(skip_serializing_if = "Option::is_none")]
        seconds: Option<f64>,
    },
    /// See [`TrainStage::SftContinued`].
    SftContinued {
        /// Settings of the training.
        sft: AgentSftSpec,
        /// Seconds that GRPO took; this stage takes as long.
        #[serde(skip_serializing_if = "Option::is_none")]
        seconds: Option<f64>,
    },
    /// See [`TrainStage::Evaluate`].
    Evaluate {
        /// Tasks, trials and rows.
        evaluation: EvaluationSpec,
        /// Settings of GRPO, whose bounds of an episode hold here too.
        grpo: GrpoSpec,
    },
}

impl StageSettings {
    /// Returns the stage.
    #[must_use]
    pub const fn stage(&self) -> TrainStage {
        match self {
            Self::UserSft { .. } => TrainStage::UserSft,
            Self::CertifyUser { .. } => TrainStage::CertifyUser,
            Self::AgentSft { .. } => TrainStage::AgentSft,
            Self::Grpo { .. } => TrainStage::Grpo,
            Self::GrpoUnfiltered { .. } => TrainStage::GrpoUnfiltered,
            Self::SftContinued { .. } => TrainStage::SftContinued,
            Self::Evaluate { .. } => TrainStage::Evaluate,
        }
    }

    /// Returns the settings of GRPO, where the stage has them.
    #[must_use]
    pub const fn grpo(&self) -> Option<&GrpoSpec> {
        match self {
            Self::Grpo { grpo, .. }
            | Self::GrpoUnfiltered { grpo, .. }
            | Self::Evaluate { grpo, .. } => Some(grpo),
            _ => None,
        }
    }

    /// Returns the seconds that the stage is to take, where another stage's time decides it.
    #[must_use]
    pub const fn seconds(&self) -> Option<f64> {
        match self {
            Self::GrpoUnfiltered { seconds, .. } | Self::SftContinued { seconds, .. } => *seconds,
            _ => None,
        }
    }

    /// Returns the settings without measured time, as a deterministic run depends on them.
    #[must_use]
    pub fn without_time(&self) -> Self {
        let mut settings = self.clone();
        if let Self::GrpoUnfiltered { seconds, .. } | Self::SftContinued { seconds, .. } =
            &mut settings
        {
            *seconds = None;
        }
        settings
    }
}

/// A stage of training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum TrainStage {
    /// The user model learns from dialogues.
    #[serde(rename = "userSFT")]
    UserSft,
    /// The user model is judged.
    CertifyUser,
    /// The policy learns from demonstrations.
    #[serde(rename = "agentSFT")]
    AgentSft,
    /// The policy learns from its own rollouts.
    Grpo,
    /// The same without dynamic filtering, for comparison.
    GrpoUnfiltered,
    /// Demonstrations for as long again as GRPO took, for comparison.
    SftContinued,
    /// The table.
    Evaluate,
}

impl TrainStage {
    /// Every stage.
    pub const ALL: [Self; 7] = [
        Self::UserSft,
        Self::CertifyUser,
        Self::AgentSft,
        Self::Grpo,
        Self::GrpoUnfiltered,
        Self::SftContinued,
        Self::Evaluate,
    ];

    /// Returns the name in statuses and assignments.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UserSft => "userSFT",
            Self::CertifyUser => "certifyUser",
            Self::AgentSft => "agentSFT",
            Self::Grpo => "grpo",
            Self::GrpoUnfiltered => "grpoUnfiltered",
            Self::SftContinued => "sftContinued",
            Self::Evaluate => "evaluate",
        }
    }

    /// Returns the stage of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.as_str() == name)
    }

    /// Returns the name in the names of children.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::UserSft => "user-sft",
            Self::CertifyUser => "certify-user",
            Self::AgentSft => "agent-sft",
            Self::Grpo => "grpo",
            Self::GrpoUnfiltered => "grpo-unfiltered",
            Self::SftContinued => "sft-continued",
            Self::Evaluate => "evaluate",
        }
    }
}
