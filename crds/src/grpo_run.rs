//! GRPORun: a policy learns a domain - user model, demonstrations, GRPO, evaluation.

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rules::{DIGEST, NAME, cel};
use crate::shared::{EndpointBinding, RunPolicy, WorkerTemplate};
use crate::status::RunStatus;

pub use crate::grpo_stages::*;
pub use crate::objective::*;

/// The specification of a GRPORun.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "agoge.dev", version = "v1alpha1", kind = "GRPORun", plural = "grporuns", shortname = "grpo",
    namespaced, status = "GRPORunStatus", category = "agoge", derive = "PartialEq",
    doc = "Trains a policy on a domain with verifiable rewards, and evaluates it.",
    selectable = ".spec.runPolicy.suspend", selectable = ".status.phase",
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Stage", type_ = "string", json_path = ".status.stage"),
    printcolumn(name = "Step", type_ = "integer", json_path = ".status.step"),
    printcolumn(name = "Total", type_ = "integer", json_path = ".status.total"),
    printcolumn(name = "Reward", type_ = "string", json_path = ".status.reward"),
    printcolumn(name = "Pass^1", type_ = "string", json_path = ".status.pass1"),
    printcolumn(name = "Tok/s", type_ = "integer", json_path = ".status.tokensPerSecond"),
    printcolumn(name = "Ckpt", type_ = "integer", json_path = ".status.checkpoint"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Kl", type_ = "string", json_path = ".status.kl", priority = 1),
    printcolumn(name = "Entropy", type_ = "string", json_path = ".status.entropy", priority = 1),
    printcolumn(name = "Mixed", type_ = "string", json_path = ".status.mixed", priority = 1),
    printcolumn(name = "Staleness", type_ = "integer", json_path = ".status.staleness", priority = 1),
    printcolumn(name = "Restarts", type_ = "integer", json_path = ".status.restarts", priority = 1),
    printcolumn(name = "Best", type_ = "string", json_path = ".status.best", priority = 1),
    cel,
    validation = Rule::new("size(self.metadata.name) <= 63").message("the name is longer than the value of a label may be; use at most 63 characters")
)]
#[x_kube(
    validation = Rule::new("self.user.model != 'scripted' || !has(self.stages.userSFT)")
        .message("a scripted user is not trained; leave stages.userSFT out, or choose user.model: sft").field_path(".stages.userSFT"),
    validation = Rule::new("has(self.store) == has(oldSelf.store) && (!has(self.store) || self.store == oldSelf.store)")
        .message("the store cannot be changed; make a new GRPORun").field_path(".store")
)]
#[serde(rename_all = "camelCase")]
pub struct GRPORunSpec {
    /// The suite whose checkers are the reward.
    #[x_kube(validation = Rule::new("self == oldSelf").message("the suite cannot be changed; make a new GRPORun"))]
    pub suite: SuiteRef,
    /// The domain's name, resolved by the driver.
    #[schemars(length(min = 1, max = 63), regex(pattern = NAME))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("the domain cannot be changed; make a new GRPORun"))]
    pub domain: String,
    /// The model to train.
    #[x_kube(validation = Rule::new("self == oldSelf").message("the policy cannot be changed; make a new GRPORun"))]
    pub policy: PolicySpec,
    /// The user in rollouts.
    #[serde(default)]
    #[x_kube(validation = Rule::new("self == oldSelf").message("the user cannot be changed; make a new GRPORun"))]
    pub user: UserSpec,
    /// The stages, in order of execution.
    #[serde(default)]
    #[x_kube(validation = Rule::new("self == oldSelf").message("stages cannot be changed; make a new GRPORun"))]
    pub stages: Stages,
    /// Makes the loss trace bit-identical, also across kills: counter-based random numbers, fixed batches, one rank.
    #[serde(default)]
    #[x_kube(validation = Rule::new("self == oldSelf").message("deterministic cannot be changed; make a new GRPORun"))]
    pub deterministic: bool,
    /// Number of lanes, only with `deterministic: true`. The work of a step is divided among the lanes, and each is one batch
    /// that keeps one core busy: more lanes use more cores. Results depend on this number and not on the number of cores.
    /// Without `deterministic` it is ignored: there is a lane for each core.
    #[serde(default = "default_lanes")]
    #[schemars(range(min = 1, max = 64))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("lanes cannot be changed; make a new GRPORun"))]
    pub lanes: u32,
    /// Seed of weights, task order and sampling.
    #[serde(default)]
    #[schemars(range(min = 0, max = 9_007_199_254_740_991_i64))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("the seed cannot be changed; make a new GRPORun"))]
    pub seed: u64,
    /// The store's name; unset takes the driver's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = NAME))]
    pub store: Option<String>,
    /// Placement of rollouts and training.
    #[serde(default)]
    #[x_kube(validation = Rule::new("self == oldSelf").message("the topology cannot be changed; make a new GRPORun"))]
    pub topology: Topology,
    /// Suspension, deadlines and retries.
    #[serde(default)]
    pub run_policy: RunPolicy,
    /// Pod settings of its workers.
    #[serde(default)]
    pub worker: WorkerTemplate,
}

/// The lanes of a deterministic run that names no other number.
pub const DEFAULT_LANES: u32 = 4;

fn default_lanes() -> u32 {
    DEFAULT_LANES
}

/// A reference to a suite, with the requirements it must meet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SuiteRef {
    /// A CheckerSuite of the same namespace. The run waits until it is ready.
    #[schemars(length(min = 1, max = 63), regex(pattern = NAME))]
    pub name: String,
    /// The digest it must have; unset pins the digest found at the start in the status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = DIGEST))]
    pub digest: Option<String>,
    /// The run refuses a suite with a mutation score below this.
    #[serde(default = "min_mutation_score")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub min_mutation_score: f64,
}

fn min_mutation_score() -> f64 {
    0.9
}

/// The model to train: exactly one field is set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = cel(&[
    ("has(self.fresh) != has(self.path)", "exactly one policy must be set; set fresh or path", ""),
])))]
pub struct PolicySpec {
    /// A new model of this shape, with a tokenizer trained on the training split.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fresh: Option<FreshModel>,
    /// One there is: a folder of `config.json`, safetensors and `tokenizer.json`, resolved by the driver.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub path: Option<String>,
}

/// The shape of a new model, in the words of Hugging Face's `config.json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = cel(&[
    ("self.hiddenSize % self.heads == 0", "hiddenSize is not a multiple of heads; change one of them", ".hiddenSize"),
    ("self.heads % self.kvHeads == 0", "heads is not a multiple of kvHeads; change one of them", ".kvHeads"),
    ("(self.hiddenSize / self.heads) % 2 == 0", "hiddenSize / heads is odd, which rotary positions cannot use; change one of them", ".hiddenSize"),
])))]
pub struct FreshModel {
    /// Width of the residual stream.
    #[schemars(range(min = 16, max = 16_384))]
    pub hidden_size: u32,
    /// Number of layers.
    #[schemars(range(min = 1, max = 256))]
    pub layers: u32,
    /// Attention heads.
    #[schemars(range(min = 1, max = 256))]
    pub heads: u32,
    /// Key and value heads, each shared by a group of attention heads.
    #[schemars(range(min = 1, max = 256))]
    pub kv_heads: u32,
    /// Width of the feed-forward layers.
    #[schemars(range(min = 16, max = 65_536))]
    pub intermediate_size: u32,
    /// Vocabulary size in tokens.
    #[schemars(range(min = 300, max = 262_144))]
    pub vocab_size: u32,
    /// Maximum sequence length in tokens.
    #[schemars(range(min = 64, max = 131_072))]
    pub max_length: u32,
}

impl Default for FreshModel {
    fn default() -> Self {
        Self {
            hidden_size: 160,
            layers: 4,
            heads: 4,
            kv_heads: 2,
            intermediate_size: 448,
            vocab_size: 2048,
            max_length: 512,
        }
    }
}

/// The user in rollouts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct UserSpec {
    /// The kind of user.
    pub model: UserModel,
    /// Maximum share of turns that break the instruction, invent, leak or stop early. Above it the run fails with the
    /// reason UserModelNotCertified.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max_error_rate: f64,
    /// Number of held-out dialogues in the certification.
    #[schemars(range(min = 10, max = 100_000))]
    pub certification: u32,
    /// Number of dialogues it learns from.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub demonstrations: u32,
    /// Its shape; unset uses the policy's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fresh: Option<FreshModel>,
}

impl Default for UserSpec {
    fn default() -> Self {
        Self {
            model: UserModel::Sft,
            max_error_rate: 0.05,
            certification: 500,
            demonstrations: 2000,
            fresh: None,
        }
    }
}

/// The kind of user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum UserModel {
    /// A model trained on dialogues, and certified.
    #[default]
    Sft,
    /// The domain's script, which needs no certification.
    Scripted,
}

/// Placement of rollouts and training.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = cel(&[
    ("self.mode != 'disaggregated' || self.rollouts >= 1", "no rollout server is configured; set rollouts to 1 or more, or use mode: colocated", ".rollouts"),
    ("self.mode == 'disaggregated' || self.rollouts == 0", "the trainers play their own rollouts; set rollouts: 0, or use mode: disaggregated", ".rollouts"),
    ("self.mode != 'disaggregated' || self.trainers == 1", "several trainers cannot share rollout servers yet; set trainers: 1, or use mode: colocated", ".trainers"),
])))]
pub struct Topology {
    /// Colocated or disaggregated.
    pub mode: TopologyMode,
    /// Number of trainer ranks.
    #[schemars(range(min = 1, max = 1024))]
    pub trainers: u32,
    /// Number of rollout servers, in mode disaggregated.
    #[schemars(range(min = 0, max = 1024))]
    pub rollouts: u32,
}

impl Default for Topology {
    fn default() -> Self {
        Self {
            mode: TopologyMode::Colocated,
            trainers: 1,
            rollouts: 0,
        }
    }
}

/// Colocated or disaggregated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum TopologyMode {
    /// Each trainer plays its own rollouts.
    #[default]
    Colocated,
    /// Separate rollout servers play; one that fails is replaced while the trainer continues. On a laptop the trainer
    /// plays its own rollouts.
    Disaggregated,
}

/// The observed state of a GRPORun.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct GRPORunStatus {
    /// The part that all kinds share.
    #[serde(flatten)]
    pub run: RunStatus,
    /// The current stage.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub stage: Option<String>,
    /// Finished steps of the current stage.
    pub step: u64,
    /// Total steps of the current stage; 0 when unknown.
    pub total: u64,
    /// Mean reward of the last step over all trajectories.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub reward: Option<String>,
    /// pass^1 of the trained policy on held-out tasks.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub pass1: Option<String>,
    /// Trained tokens per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_per_second: Option<u64>,
    /// Step of the last checkpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<u64>,
    /// KL divergence from the policy that sampled.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub kl: Option<String>,
    /// Entropy of the sampling distribution, in nats per token.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub entropy: Option<String>,
    /// Share of groups whose rewards differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub mixed: Option<String>,
    /// Share of the last step's rollouts that `maxTurns`, `maxTokensPerTurn` or `maxTrajectoryTokens` ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub truncated: Option<String>,
    /// Policy versions between sampling and training.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub staleness: Option<u64>,
    /// Number of restarted children.
    pub restarts: u32,
    /// The best evaluation: arm and pass^1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub best: Option<String>,
    /// The suite's digest, pinned at the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 80))]
    pub suite_digest: Option<String>,
    /// Finished stages with their results.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub stages: BTreeMap<String, StageStatus>,
    /// The table: pass^k of each arm.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub arms: BTreeMap<String, ArmStatus>,
    /// Digest of the trained policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 80))]
    pub digest: Option<String>,
}

/// The result of a finished stage.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct StageStatus {
    /// Digest of its artifact.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 80))]
    pub digest: Option<String>,
    /// Seconds it took.
    pub seconds: f64,
    /// Steps it took.
    pub steps: u64,
    /// Tokens it trained.
    pub trained_tokens: u64,
    /// The user model's share of faulty turns, where the stage is its certification.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_rate: Option<f64>,
}

/// One row of the table.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ArmStatus {
    /// pass^1 to pass^n.
    #[schemars(length(max = 8))]
    pub pass: Vec<f64>,
    /// Lower end of pass^1's 95 % interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Number of tasks.
    pub tasks: u64,
}

impl GRPORunSpec {
    /// Endpoints that the evaluation scores.
    #[must_use]
    pub fn evaluated_endpoints(&self) -> &[EndpointBinding] {
        &self.stages.evaluation.endpoints
    }
}
