//! What the three kinds share in their specs: run policy, budget, endpoints, worker template.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Toleration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::quantity::Span;
use crate::rules::{NAME, cel};

/// When to run, how long, and how often to try again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RunPolicy {
    /// Stops all work and the clock; what was done is kept, and unsetting it goes on from there.
    pub suspend: bool,
    /// Seconds after its end when the object and its children are deleted; unset keeps them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 31_536_000))]
    pub ttl_seconds_after_finished: Option<u32>,
    /// Failures that are tried again before the whole is Failed.
    #[schemars(range(min = 0, max = 100))]
    pub backoff_limit: u32,
    /// Seconds of active time after which the whole is Failed. Suspended, waiting and queued time does not count.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 31_536_000))]
    pub active_deadline_seconds: Option<u32>,
}

impl Default for RunPolicy {
    fn default() -> Self {
        Self {
            suspend: false,
            ttl_seconds_after_finished: None,
            backoff_limit: 3,
            active_deadline_seconds: None,
        }
    }
}

/// What may be spent. The first bound that is reached ends the work, with what there is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Budget {
    /// Model tokens, prompt and answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000_000_i64))]
    pub tokens: Option<u64>,
    /// Generated tokens of one instance, over scenario, gold actions and checker.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 50, max = 1_000_000))]
    pub tokens_per_instance: Option<u32>,
    /// US dollars, by the prices of the model bindings.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 10_000_000.0))]
    pub usd: Option<f64>,
    /// Active time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wall_clock: Option<Span>,
}

/// A model behind an endpoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EndpointBinding {
    /// The endpoint's name. The driver resolves it: a laptop to a URL, a cluster to a Service or Secret.
    #[schemars(length(min = 1, max = 63), regex(pattern = NAME))]
    pub endpoint: String,
    /// The model, where the endpoint serves several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub model: Option<String>,
    /// Sampling temperature; unset leaves it to the stage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 2.0))]
    pub temperature: Option<f64>,
    /// Requests in flight at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 4096))]
    pub concurrency: Option<u32>,
    /// What tokens cost, for `budget.usd`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
}

/// US dollars for a million tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Price {
    /// Of the prompt.
    #[schemars(range(min = 0.0, max = 10_000.0))]
    pub input: f64,
    /// Of the answer.
    #[schemars(range(min = 0.0, max = 10_000.0))]
    pub output: f64,
}

/// Who plays which part. A part without a binding of its own is played by `default`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = cel(&[
    ("has(self.default) || (has(self.writer) && has(self.agent) && has(self.user) && has(self.reflector))",
        "a part has no binding; name a default, or each of writer, agent, user and reflector", ""),
])))]
pub struct Models {
    /// Every part that has no binding of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<EndpointBinding>,
    /// Writes scenario, gold actions and checker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub writer: Option<EndpointBinding>,
    /// Plays the agent in rollouts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<EndpointBinding>,
    /// Plays the user in rollouts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<EndpointBinding>,
    /// Reflects on failures and proposes child plans.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reflector: Option<EndpointBinding>,
}

/// A part that a model plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Part {
    /// Writes scenario, gold actions and checker.
    Writer,
    /// Plays the agent.
    Agent,
    /// Plays the user.
    User,
    /// Reflects on failures.
    Reflector,
}

impl Part {
    /// Every part.
    pub const ALL: [Self; 4] = [Self::Writer, Self::Agent, Self::User, Self::Reflector];
}

impl Models {
    /// Who plays this part.
    #[must_use]
    pub fn of(&self, part: Part) -> Option<&EndpointBinding> {
        match part {
            Part::Writer => self.writer.as_ref(),
            Part::Agent => self.agent.as_ref(),
            Part::User => self.user.as_ref(),
            Part::Reflector => self.reflector.as_ref(),
        }
        .or(self.default.as_ref())
    }

    /// The endpoints that are named, each once, in order of name.
    #[must_use]
    pub fn endpoints(&self) -> Vec<String> {
        let mut names: Vec<String> = Part::ALL
            .iter()
            .filter_map(|part| self.of(*part))
            .map(|b| b.endpoint.clone())
            .collect();
        names.sort();
        names.dedup();
        names
    }
}

/// What a worker gets: on a cluster its pod, on a laptop its share of the cores.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct WorkerTemplate {
    /// Image of the worker; unset takes the driver's own. A laptop needs none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub image: Option<String>,
    /// What one worker asks for and may use at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// Labels of the nodes it may run on.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub node_selector: BTreeMap<String, String>,
    /// Taints it tolerates.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub tolerations: Vec<Toleration>,
    /// Its priority class.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub priority_class_name: Option<String>,
    /// How pods of one stage come up together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gang: Option<Gang>,
    /// Kueue's local queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = NAME))]
    pub queue: Option<String>,
    /// A strategic merge over the pod template, for what has no field of its own; it may not touch protected fields.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_object")]
    pub overlay: Option<Value>,
    /// What becomes of a failure, the first rule that fits; without one, what a worker says of it decides.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub failure_rules: Vec<FailureRule>,
}

/// What becomes of a child's failure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = cel(&[
    ("has(self.exitCodes) || has(self.reasons)", "a rule that names neither exitCodes nor reasons would fit every failure; name some", ""),
])))]
pub struct FailureRule {
    /// Exit codes it is about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 64), inner(range(min = 1, max = 255)))]
    pub exit_codes: Vec<u8>,
    /// Reasons it is about, such as `OOMKilled` or `EndpointDown`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 64)))]
    pub reasons: Vec<String>,
    /// What becomes of it.
    pub action: FailureAction,
}

/// What becomes of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum FailureAction {
    /// Another attempt after a pause; counted against `backoffLimit`.
    Retry,
    /// The whole is Failed.
    Fail,
    /// Another attempt at once; not counted.
    Ignore,
}

impl FailureRule {
    /// Whether it is about a failure.
    #[must_use]
    pub fn matches(&self, exit_code: Option<i32>, reason: &str) -> bool {
        let code = exit_code.and_then(|code| u8::try_from(code).ok());
        code.is_some_and(|code| self.exit_codes.contains(&code))
            || self.reasons.iter().any(|named| named == reason)
    }
}

/// What one worker asks for and may use at most.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Resources {
    /// Cores, such as `2` or `500m`. A laptop rounds up to whole threads.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), regex(pattern = "^([0-9]{1,6}|[0-9]{1,9}m)$"))]
    pub cpu: Option<String>,
    /// Memory, such as `2Gi`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<crate::Size>,
    /// GPUs, whole.
    #[schemars(range(min = 0, max = 64))]
    pub gpus: u32,
}

/// How pods of one stage come up together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Gang {
    /// Each by itself.
    #[default]
    None,
    /// Kubernetes' own PodGroup.
    PodGroup,
    /// Volcano.
    Volcano,
}

/// An object of any shape.
pub(crate) fn any_object(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}
