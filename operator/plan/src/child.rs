//! A child: one piece of work, said so that it can become a process as well as a Job.

use agoge_crds::API_VERSION;
use agoge_crds::report::SynthesisReport;
use agoge_crds::shared::{Resources, WorkerTemplate};
use kube::{Resource, ResourceExt};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One piece of work that should exist.
#[derive(Clone, Debug, PartialEq)]
pub struct Child {
    /// Its name, of this attempt alone.
    pub name: String,
    /// Its name over all attempts: where its checkpoints lie, and how it is observed.
    pub key: String,
    /// Which attempt, from 0.
    pub attempt: u32,
    /// Whose it is.
    pub owner: Owner,
    /// What it does.
    pub role: Role,
    /// What the worker reads: plain data, the same for every attempt, with names that the driver resolves.
    pub arguments: Value,
    /// What it needs.
    pub needs: Needs,
    /// Workers that share it, each with an index from 0.
    pub shards: u32,
    /// Active time that it has left; the driver asks it to stop by then. No part of `arguments`, since it shrinks.
    pub time_left: Option<std::time::Duration>,
}

impl Child {
    /// A digest of role, arguments and shards: two children with the same are the same work.
    #[must_use]
    pub fn digest(&self) -> String {
        let text = serde_json::json!([self.role, self.arguments, self.shards]).to_string();
        agoge_crds::digest(&text)
    }
}

/// The object a child belongs to, and goes with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Owner {
    /// API version.
    pub api_version: String,
    /// Kind.
    pub kind: String,
    /// Name.
    pub name: String,
    /// Namespace; none on a laptop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Uid; empty on a laptop.
    pub uid: String,
}

impl Owner {
    pub(crate) fn of<T: Resource<DynamicType = ()>>(object: &T) -> Self {
        Self {
            api_version: API_VERSION.to_owned(),
            kind: T::kind(&()).into_owned(),
            name: object.name_any(),
            namespace: object.namespace(),
            uid: object.uid().unwrap_or_default(),
        }
    }
}

/// What a child does. The worker has a subcommand for each.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Role {
    /// Makes instances by one strategy.
    Synthesize {
        /// Its name.
        strategy: String,
    },
    /// Qualifies checkers.
    Qualify,
    /// Scores endpoints on a qualified suite.
    Score,
    /// One stage of training.
    Train {
        /// Which.
        stage: TrainStage,
    },
    /// Plays rollouts for a stage of training until it is not wanted any more. Its shards are servers of their own: any of
    /// them can be replaced.
    Rollout,
}

/// The port at which a rollout server listens.
pub const ROLLOUT_PORT: u16 = 29_500;

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
    #[serde(rename = "sftContinued")]
    SftContinued,
    /// The table.
    Evaluate,
}

impl TrainStage {
    /// As statuses and arguments write it.
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

    /// As names of children write it.
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

/// What a child needs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Needs {
    /// Cores, memory, GPUs of each worker, where the manifest says.
    pub resources: Resources,
    /// Endpoints it talks to, by name.
    pub endpoints: Vec<String>,
    /// Its share of what siblings that run at the same time divide.
    pub weight: u32,
    /// The rest of the manifest's worker template: on a cluster its pod.
    pub template: WorkerTemplate,
}

/// The report of all shards: of synthesis the sum, of everything else the first shard's.
#[must_use]
pub fn together(role: &Role, mut reports: Vec<Value>) -> Value {
    if reports.len() > 1 && matches!(role, Role::Synthesize { .. }) {
        let each: Vec<SynthesisReport> = reports
            .iter()
            .filter_map(|report| agoge_crds::report::read(report).ok())
            .collect();
        return serde_json::to_value(SynthesisReport::of_shards(&each)).unwrap_or(Value::Null);
    }
    if reports.is_empty() {
        Value::Null
    } else {
        reports.swap_remove(0)
    }
}

impl Child {
    /// The name under which its shards are found, whatever the attempt.
    #[must_use]
    pub fn service(&self) -> String {
        name(&self.owner, &self.key, 0)
    }
}

/// `OBJECT-KEY`, and the attempt behind it from the second on.
pub(crate) fn name(owner: &Owner, key: &str, attempt: u32) -> String {
    match attempt {
        0 => format!("{}-{key}", owner.name),
        n => format!("{}-{key}-{n}", owner.name),
    }
}
