//! Parts of a spec that the three kinds share: run policy, budget, endpoints, worker template.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Toleration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::quantity::Span;
use crate::rules::{NAME, cel};

/// Suspension, deadlines and retries.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RunPolicy {
    /// Stops all work and the clock. Finished work is kept; unset this field to resume.
    pub suspend: bool,
    /// Seconds after the end until the object and its children are deleted; unset keeps them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 31_536_000))]
    pub ttl_seconds_after_finished: Option<u32>,
    /// Number of failures that are retried before the object is Failed.
    #[schemars(range(min = 0, max = 100))]
    pub backoff_limit: u32,
    /// Seconds of active time after which the object is Failed. Suspended, waiting and queued time does not count.
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

/// Spending limits. The first limit that is reached ends the work; finished items are kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Budget {
    /// Model tokens, prompt and answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000_000_i64))]
    pub tokens: Option<u64>,
    /// Maximum generated tokens per instance, for scenario, gold actions and checker together.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 50, max = 1_000_000))]
    pub tokens_per_instance: Option<u32>,
    /// US dollars, computed from the prices of the model bindings.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 10_000_000.0))]
    pub usd: Option<f64>,
    /// Active time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wall_clock: Option<Span>,
}

/// A model at an endpoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EndpointBinding {
    /// The endpoint's name. A laptop resolves it to a URL, a cluster to a ConfigMap with URL and Secret.
    #[schemars(length(min = 1, max = 63), regex(pattern = NAME))]
    pub endpoint: String,
    /// The model, where the endpoint serves several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub model: Option<String>,
    /// Sampling temperature; unset uses the stage's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 2.0))]
    pub temperature: Option<f64>,
    /// Maximum number of requests in flight.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 4096))]
    pub concurrency: Option<u32>,
    /// Token prices, for `budget.usd`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
    /// Path of the chat API at the endpoint, such as `/api/paas/v4`; `/chat/completions` is appended unless it ends so. Unset
    /// uses the URL's own path, or `/v1` where it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512), regex(pattern = "^/[^\\s#]*$"))]
    pub path: Option<String>,
    /// Field of a request that limits generated tokens. Unset uses `max_tokens`, and the other one where that is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_field: Option<TokenField>,
    /// Generated tokens of reasoning, added to the limit of every request. Reasoning models need them before they answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub reasoning_tokens: Option<u32>,
    /// Fields that are added to the body of every request, such as `top_p`. They replace fields of the same name, and null
    /// leaves one out; `model` and `messages` are never replaced.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "any_object")]
    pub extra_body: BTreeMap<String, Value>,
    /// Longest outage of the endpoint that a worker waits out before it fails with the endpoint's error; unset is 5m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patience: Option<Span>,
}

/// The field of a request that limits generated tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TokenField {
    /// `max_tokens`.
    #[serde(rename = "max_tokens")]
    MaxTokens,
    /// `max_completion_tokens`.
    #[serde(rename = "max_completion_tokens")]
    MaxCompletionTokens,
}

/// US dollars per million tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Price {
    /// Price of prompt tokens.
    #[schemars(range(min = 0.0, max = 10_000.0))]
    pub input: f64,
    /// Price of generated tokens.
    #[schemars(range(min = 0.0, max = 10_000.0))]
    pub output: f64,
}

/// Model bindings by role. A role without its own binding uses `default`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = cel(&[
    ("has(self.default) || (has(self.writer) && has(self.agent) && has(self.user) && has(self.reflector))",
        "a role has no binding; set a default, or each of writer, agent, user and reflector", ""),
])))]
pub struct Models {
    /// The binding of every role that has none of its own.
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

/// The role of a model.
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
    /// Every role.
    pub const ALL: [Self; 4] = [Self::Writer, Self::Agent, Self::User, Self::Reflector];
}

impl Models {
    /// Returns the binding of a role.
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

    /// Returns the names of all bound endpoints, sorted and without duplicates.
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

/// Worker settings: the pod on a cluster, the share of the cores on a laptop.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct WorkerTemplate {
    /// Image of the worker; unset uses the operator's default. A laptop needs none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub image: Option<String>,
    /// Resource requests and limits of one worker.
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
    /// The gang scheduler that starts the pods of one stage together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gang: Option<Gang>,
    /// Kueue's local queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = NAME))]
    pub queue: Option<String>,
    /// Server of the tools that the domain has outside of the sandbox, as a sidecar of each worker. A laptop starts the command
    /// of the domain's `tools:` instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_server: Option<ToolServer>,
    /// A strategic merge patch over the pod template, for settings without a field of their own. It must not change
    /// protected fields.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_object")]
    pub overlay: Option<Value>,
    /// Rules for failures; the first rule that matches decides. Without a match the worker's own classification decides.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub failure_rules: Vec<FailureRule>,
}

/// Server of a domain's tools, as a sidecar of each worker. It has no privileges, no token, and the worker's NetworkPolicy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ToolServer {
    /// Image of the server.
    #[schemars(length(min = 1, max = 512))]
    pub image: String,
    /// Command that starts it, with its arguments; unset is the image's own. It must listen on `$PORT` of the loopback, and keep its
    /// state in the folder `$STATE`; both are variables of its environment, and are replaced in arguments as `$(PORT)` and
    /// `$(STATE)`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 1024)))]
    pub command: Vec<String>,
    /// Port on which it listens.
    #[serde(default = "tool_port")]
    #[schemars(range(min = 1024, max = 65_535))]
    pub port: u16,
    /// Path of the address: `/mcp` for MCP over streamable HTTP, `/` for most OpenAPI services.
    #[serde(default = "tool_path")]
    #[schemars(length(min = 1, max = 256), regex(pattern = "^/[^\\s#]*$"))]
    pub path: String,
    /// Variables of its environment.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub env: BTreeMap<String, String>,
    /// Resource requests and limits of the server; what it requests is also its limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
}

fn tool_port() -> u16 {
    8730
}

fn tool_path() -> String {
    "/mcp".to_owned()
}

/// A rule for failures of children.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = cel(&[
    ("has(self.exitCodes) || has(self.reasons)", "a rule without exitCodes and reasons would match every failure; set at least one of them", ""),
])))]
pub struct FailureRule {
    /// Exit codes that match.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 64), inner(range(min = 1, max = 255)))]
    pub exit_codes: Vec<u8>,
    /// Reasons that match, such as `OOMKilled` or `EndpointDown`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 64)))]
    pub reasons: Vec<String>,
    /// The action on a match.
    pub action: FailureAction,
}

/// The action on a matching failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum FailureAction {
    /// Retries after a pause; counts against `backoffLimit`.
    Retry,
    /// The object is Failed.
    Fail,
    /// Retries at once; does not count.
    Ignore,
}

impl FailureRule {
    /// Tells whether the rule matches a failure.
    #[must_use]
    pub fn matches(&self, exit_code: Option<i32>, reason: &str) -> bool {
        let code = exit_code.and_then(|code| u8::try_from(code).ok());
        code.is_some_and(|code| self.exit_codes.contains(&code))
            || self.reasons.iter().any(|named| named == reason)
    }
}

/// Resource requests and limits of one worker.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = cel(&[
    ("!has(self.gpus) || self.gpus == 0", "no worker uses a GPU yet, so it would only be reserved; leave gpus out", ".gpus"),
])))]
pub struct Resources {
    /// CPU cores, such as `2`, `0.5` or `500m`. A laptop rounds up to whole threads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<crate::Cores>,
    /// Memory, such as `2Gi`, `500M` or `1073741824`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<crate::Size>,
    /// GPUs, whole. No worker uses one yet: only 0 is accepted.
    #[schemars(range(min = 0, max = 64))]
    pub gpus: u32,
}

/// The gang scheduler that starts the pods of one stage together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Gang {
    /// Pods start independently.
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
