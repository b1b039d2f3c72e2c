//! The stages of a GRPORun and their settings; the defaults are the ones to ship.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::quantity::Span;
use crate::rules::cel;
use crate::shared::EndpointBinding;

/// The stages, in their order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Stages {
    /// The user model learns from dialogues. Unset takes the defaults; a scripted user has none.
    #[serde(rename = "userSFT", skip_serializing_if = "Option::is_none")]
    pub user_sft: Option<SftSpec>,
    /// The policy learns from demonstrations.
    #[serde(rename = "agentSFT")]
    pub agent_sft: AgentSftSpec,
    /// The policy learns from its own rollouts.
    pub grpo: GrpoSpec,
    /// What came of it, on held-out tasks.
    pub evaluation: EvaluationSpec,
}

/// Supervised learning, to the validation plateau.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SftSpec {
    /// Peak learning rate of AdamW.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub learning_rate: f64,
    /// Dialogues a step.
    #[schemars(range(min = 1, max = 65_536))]
    pub batch: u32,
    /// Epochs without a lower validation loss before it stops.
    #[schemars(range(min = 1, max = 1000))]
    pub patience: u32,
    /// Epochs at most.
    #[schemars(range(min = 1, max = 10_000))]
    pub max_epochs: u32,
    /// Time at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wall_clock: Option<Span>,
}

impl Default for SftSpec {
    fn default() -> Self {
        Self {
            learning_rate: 1e-3,
            batch: 16,
            patience: 3,
            max_epochs: 40,
            wall_clock: None,
        }
    }
}

/// The policy's demonstrations, and how it learns from them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AgentSftSpec {
    /// Demonstrations at most.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub demonstrations: u32,
    /// Share of demonstrations that are corners of the policy.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub corner_share: f64,
    /// Peak learning rate of AdamW.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub learning_rate: f64,
    /// Dialogues a step.
    #[schemars(range(min = 1, max = 65_536))]
    pub batch: u32,
    /// Epochs without a lower validation loss before it stops.
    #[schemars(range(min = 1, max = 1000))]
    pub patience: u32,
    /// Epochs at most.
    #[schemars(range(min = 1, max = 10_000))]
    pub max_epochs: u32,
    /// Time at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wall_clock: Option<Span>,
}

impl Default for AgentSftSpec {
    fn default() -> Self {
        let SftSpec {
            learning_rate,
            batch,
            patience,
            max_epochs,
            wall_clock,
        } = SftSpec::default();
        Self {
            demonstrations: 512,
            corner_share: 0.15,
            learning_rate,
            batch,
            patience,
            max_epochs,
            wall_clock,
        }
    }
}

impl AgentSftSpec {
    /// The part that every supervised stage has.
    #[must_use]
    pub fn sft(&self) -> SftSpec {
        let Self {
            learning_rate,
            batch,
            patience,
            max_epochs,
            wall_clock,
            ..
        } = *self;
        SftSpec {
            learning_rate,
            batch,
            patience,
            max_epochs,
            wall_clock,
        }
    }
}

/// Group-relative policy optimisation over whole trajectories.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = cel(&[
    ("self.steps > 0 || has(self.wallClock)", "it would never end; set steps or wallClock", ".steps"),
    ("self.maxTokensPerTurn <= self.maxTrajectoryTokens", "a turn is longer than its trajectory; lower maxTokensPerTurn or raise maxTrajectoryTokens", ".maxTokensPerTurn"),
    ("self.minibatches <= self.groupSize * self.groupsPerStep", "a step has fewer trajectories than minibatches; lower it", ".minibatches"),
])))]
pub struct GrpoSpec {
    /// Advantage.
    pub algorithm: Algorithm,
    /// Trajectories of a group.
    #[schemars(range(min = 2, max = 1024))]
    pub group_size: u32,
    /// Groups that a step trains on.
    #[schemars(range(min = 1, max = 65_536))]
    pub groups_per_step: u32,
    /// Learning rate of AdamW.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub learning_rate: f64,
    /// Updates over which the learning rate rises to that: the first ones know little of the gradient's size.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub warmup: u32,
    /// The ratio is clipped at 1 - clipLow.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub clip_low: f64,
    /// The ratio is clipped at 1 + clipHigh.
    #[schemars(range(min = 0.0, max = 10.0))]
    pub clip_high: f64,
    /// Weight of the KL to the policy as it was before GRPO; 0 loads no reference.
    #[schemars(range(min = 0.0, max = 10.0))]
    pub kl_coefficient: f64,
    /// Weight of an entropy bonus.
    #[schemars(range(min = 0.0, max = 10.0))]
    pub entropy_coefficient: f64,
    /// Updates a step.
    #[schemars(range(min = 1, max = 1024))]
    pub minibatches: u32,
    /// Sampling temperature; the loss scores at the same.
    #[schemars(range(min = 0.05, max = 5.0))]
    pub temperature: f64,
    /// Agent turns of a trajectory.
    #[schemars(range(min = 1, max = 1000))]
    pub max_turns: u32,
    /// Sampled tokens of one turn.
    #[schemars(range(min = 1, max = 131_072))]
    pub max_tokens_per_turn: u32,
    /// Tokens of a whole trajectory.
    #[schemars(range(min = 16, max = 1_048_576))]
    pub max_trajectory_tokens: u32,
    /// Steps; 0 leaves it to wallClock.
    #[schemars(range(min = 0, max = 10_000_000))]
    pub steps: u64,
    /// Time at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wall_clock: Option<Span>,
    /// Which groups are trained on.
    pub filter: FilterSpec,
    /// Steps between checkpoints.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub checkpoint_every: u32,
}

impl Default for GrpoSpec {
    fn default() -> Self {
        Self {
            algorithm: Algorithm::GroupMean,
            group_size: 8,
            groups_per_step: 16,
            learning_rate: 2e-4,
            warmup: 0,
            clip_low: 0.2,
            clip_high: 0.2,
            kl_coefficient: 0.0,
            entropy_coefficient: 0.0,
            minibatches: 1,
            temperature: 1.0,
            max_turns: 12,
            max_tokens_per_turn: 64,
            max_trajectory_tokens: 300,
            steps: 100,
            wall_clock: None,
            filter: FilterSpec::default(),
            checkpoint_every: 10,
        }
    }
}

/// Advantage of a trajectory from the rewards of its group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Algorithm {
    /// Reward minus the group's mean.
    #[default]
    GroupMean,
    /// The same, divided by the group's standard deviation.
    Grpo,
    /// Reward minus the mean of the others.
    Rloo,
}

/// Dynamic filtering, with refill.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = cel(&[
    ("self.rule != 'band' || self.min < self.max", "a band's min is not below its max; change one of them", ".min"),
])))]
pub struct FilterSpec {
    /// Which groups are kept.
    pub rule: FilterRule,
    /// `band`: the group's mean reward is above.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub min: f64,
    /// `band`: the group's mean reward is below.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max: f64,
    /// What happens when too few groups are kept.
    pub on_insufficient: OnInsufficient,
    /// Batches that may be generated for one step, refills included.
    #[schemars(range(min = 1, max = 1000))]
    pub max_gen_batches: u32,
}

impl Default for FilterSpec {
    fn default() -> Self {
        Self {
            rule: FilterRule::NonZeroStd,
            min: 0.0,
            max: 1.0,
            on_insufficient: OnInsufficient::Backfill,
            max_gen_batches: 10,
        }
    }
}

/// Which groups are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum FilterRule {
    /// Those whose rewards differ.
    #[default]
    NonZeroStd,
    /// Those whose mean reward lies between min and max.
    Band,
    /// All.
    None,
}

/// What happens when too few groups are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum OnInsufficient {
    /// More are generated, up to maxGenBatches; then the step trains on what there is.
    #[default]
    Backfill,
    /// Groups without a signal fill the step.
    KeepZeroStd,
}

/// What came of it, on held-out tasks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct EvaluationSpec {
    /// Held-out tasks.
    #[schemars(range(min = 1, max = 100_000))]
    pub tasks: u32,
    /// Trajectories a task: n of pass^1 to pass^n.
    #[schemars(range(min = 1, max = 8))]
    pub samples: u32,
    /// Rows of the table.
    #[schemars(length(min = 1, max = 16), extend("x-kubernetes-validations" = cel(&[
        ("self.all(a, self.exists_one(b, b == a))", "an arm is listed twice; list each once", ""),
    ])))]
    pub arms: Vec<Arm>,
    /// Endpoints that are rows too.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub endpoints: Vec<EndpointBinding>,
}

impl Default for EvaluationSpec {
    fn default() -> Self {
        Self {
            tasks: 200,
            samples: 4,
            arms: vec![
                Arm::Empty,
                Arm::Random,
                Arm::Sft,
                Arm::SftContinued,
                Arm::Grpo,
            ],
            endpoints: vec![],
        }
    }
}

/// A row of the table.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum Arm {
    /// Does nothing.
    Empty,
    /// Calls at random.
    Random,
    /// Refuses everything.
    AlwaysRefuse,
    /// After demonstrations.
    Sft,
    /// Demonstrations for as long again as GRPO took.
    SftContinued,
    /// After GRPO.
    Grpo,
    /// After GRPO without dynamic filtering.
    GrpoUnfiltered,
}
