//! The stages of a GRPORun and their settings; the defaults are the ones to ship.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::objective::ObjectiveSpec;
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
    /// Evaluation on held-out tasks.
    pub evaluation: EvaluationSpec,
}

/// Supervised learning, to the validation plateau.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SftSpec {
    /// Peak learning rate of AdamW.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub learning_rate: f64,
    /// Decoupled weight decay of AdamW, on matrices.
    #[schemars(range(min = 0.0, max = 10.0))]
    pub weight_decay: f64,
    /// Dialogues per step.
    #[schemars(range(min = 1, max = 65_536))]
    pub batch: u32,
    /// Epochs without a lower validation loss before training stops.
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
            weight_decay: 0.01,
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
    /// Supervised learning.
    #[serde(flatten)]
    pub sft: SftSpec,
}

impl Default for AgentSftSpec {
    fn default() -> Self {
        Self {
            demonstrations: 512,
            corner_share: 0.15,
            sft: SftSpec::default(),
        }
    }
}

/// Group-relative policy optimisation over whole trajectories.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = cel(&[
    ("self.steps > 0 || has(self.wallClock)", "the stage would never end; set steps or wallClock", ".steps"),
    ("self.maxTokensPerTurn <= self.maxTrajectoryTokens", "a turn is longer than its trajectory; lower maxTokensPerTurn or raise maxTrajectoryTokens", ".maxTokensPerTurn"),
    ("self.minibatches <= self.groupSize * self.groupsPerStep", "a step has fewer trajectories than minibatches; lower it", ".minibatches"),
])))]
pub struct GrpoSpec {
    /// Objective of an update.
    #[serde(flatten)]
    pub objective: ObjectiveSpec,
    /// Trajectories of a group.
    #[schemars(range(min = 2, max = 1024))]
    pub group_size: u32,
    /// Groups that a step trains on.
    #[schemars(range(min = 1, max = 65_536))]
    pub groups_per_step: u32,
    /// Learning rate of AdamW.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub learning_rate: f64,
    /// Decoupled weight decay of AdamW, on matrices.
    #[schemars(range(min = 0.0, max = 10.0))]
    pub weight_decay: f64,
    /// Updates over which the learning rate rises to its value: the first ones know little of the gradient's size.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub warmup: u32,
    /// Optimiser updates per step.
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
    /// Groups that are trained on.
    pub filter: FilterSpec,
    /// Steps between checkpoints.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub checkpoint_every: u32,
}

impl Default for GrpoSpec {
    fn default() -> Self {
        Self {
            objective: ObjectiveSpec::default(),
            group_size: 8,
            groups_per_step: 16,
            learning_rate: 2e-4,
            weight_decay: 0.01,
            warmup: 0,
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

/// Dynamic filtering, with refill.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = cel(&[
    ("self.rule != 'band' || self.min < self.max", "a band's min is not below its max; change one of them", ".min"),
])))]
pub struct FilterSpec {
    /// Groups that are kept.
    pub rule: FilterRule,
    /// `band`: the group's mean reward is above.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub min: f64,
    /// `band`: the group's mean reward is below.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max: f64,
    /// Behaviour when too few groups are kept.
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

/// Groups that are kept.
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

/// Behaviour when too few groups are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum OnInsufficient {
    /// More are generated, up to maxGenBatches; then the step trains on what there is.
    #[default]
    Backfill,
    /// Groups without a signal fill the step.
    KeepZeroStd,
}

/// Evaluation on held-out tasks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct EvaluationSpec {
    /// Held-out tasks.
    #[schemars(range(min = 1, max = 100_000))]
    pub tasks: u32,
    /// Trajectories per task: n of pass^1 to pass^n.
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
    /// SFT continued for as long as GRPO took.
    SftContinued,
    /// After GRPO.
    Grpo,
    /// After GRPO without dynamic filtering.
    GrpoUnfiltered,
}
