//! SynthesisJob: a domain grows into tasks with checkers and dialogues, by strategies with a target each.

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::lineage::{Attribution, Generation};
use crate::rules::NAME;
use crate::shared::{Budget, Models, RunPolicy, WorkerTemplate};
use crate::status::RunStatus;
use crate::strategies::{asking, rules};

pub use crate::strategies::{Parameters, StrategyName};

/// The specification of a SynthesisJob.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "agoge.dev", version = "v1alpha1", kind = "SynthesisJob", plural = "synthesisjobs", shortname = "synth",
    namespaced, status = "SynthesisJobStatus", category = "agoge", derive = "PartialEq",
    doc = "Grows a domain into tasks with executable checkers and dialogues.",
    selectable = ".spec.runPolicy.suspend", selectable = ".status.phase",
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Gen", type_ = "integer", json_path = ".status.generation"),
    printcolumn(name = "Accepted", type_ = "integer", json_path = ".status.accepted"),
    printcolumn(name = "Target", type_ = "integer", json_path = ".status.target"),
    printcolumn(name = "Yield", type_ = "string", json_path = ".status.yield"),
    printcolumn(name = "Rate", type_ = "string", json_path = ".status.rate"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Plan", type_ = "string", json_path = ".status.plan", priority = 1),
    printcolumn(name = "Tokens", type_ = "integer", json_path = ".status.tokens", priority = 1),
    printcolumn(name = "Cost", type_ = "string", json_path = ".status.cost", priority = 1),
    printcolumn(name = "Eta", type_ = "string", json_path = ".status.eta", priority = 1),
    printcolumn(name = "Suite", type_ = "string", json_path = ".status.suite", priority = 1),
    cel,
    validation = Rule::new("size(self.metadata.name) <= 63").message("the name is longer than the value of a label may be; use at most 63 characters")
)]
#[x_kube(
    validation = Rule::new(asking(|names| format!("self.strategies.all(s, !(s.name in [{names}])) || has(self.models)")))
        .message(asking(|names| format!("the strategies {names} ask a model and there is none; bind one under models")).as_str()).field_path(".models"),
    validation = Rule::new("!has(self.budget.usd) || (has(self.models) && ((has(self.models.default) && has(self.models.default.price)) || (has(self.models.writer) && has(self.models.writer.price))))")
        .message("a budget in dollars needs prices; add a price to the default or the writer binding").field_path(".budget.usd"),
    validation = Rule::new("has(self.models) == has(oldSelf.models) && (!has(self.models) || self.models == oldSelf.models)")
        .message("models cannot be changed; make a new SynthesisJob").field_path(".models"),
    validation = Rule::new("has(self.store) == has(oldSelf.store) && (!has(self.store) || self.store == oldSelf.store)")
        .message("the store cannot be changed; make a new SynthesisJob").field_path(".store")
)]
#[serde(rename_all = "camelCase")]
pub struct SynthesisJobSpec {
    /// The domain's name. A laptop finds it as a folder beside the manifest, a cluster in a ConfigMap, an image or the store.
    #[schemars(length(min = 1, max = 63), regex(pattern = NAME))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("the domain cannot be changed; make a new SynthesisJob"))]
    pub domain: String,
    /// The strategies that make instances, each with a target of its own. They run one after another, those that ask no model
    /// first, and none makes an instance that an earlier one has made.
    #[schemars(length(min = 1, max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    #[x_kube(
        validation = Rule::new("self.all(a, self.exists_one(b, b.name == a.name))").message("a strategy is listed twice; list each once"),
        validation = Rule::new("self == oldSelf").message("strategies cannot be changed; make a new SynthesisJob")
    )]
    pub strategies: Vec<StrategySpec>,
    /// The models by role. Only strategies that ask a model need them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub models: Option<Models>,
    /// The evolution of plan pairs.
    #[serde(default)]
    #[x_kube(validation = Rule::new("self == oldSelf").message("evolution cannot be changed; make a new SynthesisJob"))]
    pub evolution: Evolution,
    /// The budget. When a bound is reached the job is Complete with reason BudgetExhausted and keeps what it has made. Tokens,
    /// dollars and time are divided by weight over the strategies that ask models; what one leaves over goes to the others.
    #[serde(default)]
    pub budget: Budget,
    /// Instances in flight at once, over all workers of a strategy; the dataset does not depend on it. Unset: as many as the
    /// writer's endpoint takes. A strategy that asks no model is divided over this many workers, each on all its cores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1024))]
    pub parallelism: Option<u32>,
    /// Replays model answers and commits in item order, so that the dataset's digest is the same every time.
    #[serde(default)]
    #[x_kube(validation = Rule::new("self == oldSelf").message("deterministic cannot be changed; make a new SynthesisJob"))]
    pub deterministic: bool,
    /// The store's name; unset takes the driver's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = NAME))]
    pub store: Option<String>,
    /// The dataset that the job leaves in the store.
    #[serde(default)]
    #[x_kube(validation = Rule::new("self == oldSelf").message("the output cannot be changed; make a new SynthesisJob"))]
    pub output: Output,
    /// Suspension, time limits and retries.
    #[serde(default)]
    pub run_policy: RunPolicy,
    /// Resources and pod settings of the workers.
    #[serde(default)]
    pub worker: WorkerTemplate,
}

fn one() -> u32 {
    1
}

/// One way to make instances.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-kubernetes-validations" = rules()))]
#[serde(rename_all = "camelCase")]
pub struct StrategySpec {
    /// The strategy.
    pub name: StrategyName,
    /// The number of instances at which it has made enough.
    pub target: Target,
    /// Its share of the budget beside the other strategies that ask models.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 100))]
    pub weight: u32,
    /// Its own parameters.
    #[serde(default)]
    pub parameters: Parameters,
}

/// When a strategy has made enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// Accepted instances: valid, and a rollout passed the checker.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub accepted: u64,
}

/// The share of one part of the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SplitShare {
    /// The part.
    pub split: Split,
    /// The frequency of each branch of the policy.
    #[serde(default)]
    pub mix: Mix,
    /// Its share: parts of the sum over all splits.
    #[schemars(range(min = 1, max = 10_000))]
    pub share: u32,
}

/// A part of the data. Records and combinations of intent, condition and wording of `heldout` occur in no other; `unseen`
/// is whole templates that occur in no other.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum Split {
    /// Demonstrations.
    TrainSft,
    /// Tasks of reinforcement learning.
    TrainRl,
    /// Evaluation.
    Heldout,
    /// Evaluation on templates never seen.
    Unseen,
}

impl Split {
    /// Every part of the data.
    pub const ALL: [Self; 4] = [Self::TrainSft, Self::TrainRl, Self::Heldout, Self::Unseen];

    /// Returns the name of the split, as manifests write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TrainSft => "trainSft",
            Self::TrainRl => "trainRl",
            Self::Heldout => "heldout",
            Self::Unseen => "unseen",
        }
    }
}

/// The frequency of each branch of the policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Mix {
    /// As in life: corner cases are rare.
    Natural,
    /// Every branch as often as the others.
    #[default]
    EvenBranches,
}

/// The evolution of plan pairs: a pilot, reflection, a child, and a promotion that the plan cannot grade itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Evolution {
    /// Generations at most, the first included.
    #[schemars(range(min = 1, max = 100))]
    pub max_generations: u32,
    /// Instances of a pilot.
    #[schemars(range(min = 1, max = 10_000))]
    pub pilot_size: u32,
    /// Stops evolving when this share of a pilot is accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub target_acceptance: Option<f64>,
    /// The probability that the comparison of child and parent must reach.
    #[schemars(range(min = 0.5, max = 0.9999))]
    pub confidence: f64,
    /// Generations without a promotion before evolution stops.
    #[schemars(range(min = 1, max = 100))]
    pub patience: u32,
    /// Promotion by the rule or by a person.
    pub promotion: Promotion,
    /// Plan pairs to begin with, by name or digest. Empty: the built-in pair.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(min = 1, max = 128)))]
    pub plans: Vec<String>,
}

impl Default for Evolution {
    fn default() -> Self {
        Self {
            max_generations: 2,
            pilot_size: 6,
            target_acceptance: None,
            confidence: 0.8,
            patience: 2,
            promotion: Promotion::Automatic,
            plans: vec![],
        }
    }
}

/// The way in which a child plan that its figures recommend is promoted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Promotion {
    /// The rule.
    #[default]
    Automatic,
    /// A person.
    Manual,
}

/// The dataset that a job leaves in the store.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Output {
    /// The dataset's name; unset takes the job's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = NAME))]
    pub dataset: Option<String>,
}

/// The status of a SynthesisJob.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SynthesisJobStatus {
    /// Life cycle.
    #[serde(flatten)]
    pub run: RunStatus,
    /// Generation of the plan pair at work.
    pub generation: u32,
    /// Digest of the plan pair at work.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 80))]
    pub plan: Option<String>,
    /// Accepted instances.
    pub accepted: u64,
    /// Accepted instances asked for.
    pub target: u64,
    /// Attempted instances.
    pub attempted: u64,
    /// Valid instances.
    pub valid: u64,
    /// Accepted of attempted, such as `62%`.
    #[serde(rename = "yield", skip_serializing_if = "Option::is_none")]
    pub yield_: Option<String>,
    /// Accepted a minute of active time, such as `12.5/min`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<String>,
    /// Time to the target at this rate, such as `4m`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eta: Option<String>,
    /// Model tokens spent.
    pub tokens: u64,
    /// Dollars spent, such as `1.25`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<String>,
    /// The CheckerSuite made from it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suite: Option<String>,
    /// Each strategy by itself.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 8))]
    pub strategies: BTreeMap<String, StrategyStatus>,
    /// The last generations, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub lineage: Vec<Generation>,
    /// A plan pair that is awaiting promotion or rollback by a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 80))]
    pub awaiting_promotion: Option<String>,
    /// The last decision of a person that was acted on: the digest it was about.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 80))]
    pub decided: Option<String>,
    /// Digest of the dataset.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 80))]
    pub digest: Option<String>,
}

/// The status of one strategy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct StrategyStatus {
    /// The reason it has ended; unset while it works.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub ended: Option<String>,
    /// Accepted instances asked for.
    pub target: u64,
    /// Attempted instances.
    pub attempted: u64,
    /// Valid instances.
    pub valid: u64,
    /// Accepted instances.
    pub accepted: u64,
    /// Model tokens spent.
    pub tokens: u64,
    /// Dollars spent.
    pub cost: f64,
    /// Rejected instances by the gate that stopped them; the eight most frequent.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 8))]
    pub rejected: BTreeMap<String, u64>,
    /// Failures by cause.
    pub attribution: Attribution,
    /// Failures of endpoints, processes and limits by what they said; the two most frequent.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 8))]
    pub faults: BTreeMap<String, u64>,
    /// Digest of its dataset.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 80))]
    pub digest: Option<String>,
}
