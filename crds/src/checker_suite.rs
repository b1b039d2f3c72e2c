//! CheckerSuite: tasks with qualified checkers, under one digest.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::conditions::shorten;
use crate::quantity::Span;
use crate::resource::Size;
use crate::rules::{DIGEST, NAME, cel};
use crate::shared::{EndpointBinding, RunPolicy, WorkerTemplate};
use crate::status::RunStatus;
use crate::suite_evaluation::SuiteEvaluation;

/// The specification of a CheckerSuite.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "agoge.dev", version = "v1alpha1", kind = "CheckerSuite", plural = "checkersuites", shortname = "suite",
    namespaced, status = "CheckerSuiteStatus", category = "agoge", derive = "PartialEq",
    doc = "Tasks whose checkers were qualified, under one digest.",
    selectable = ".spec.runPolicy.suspend", selectable = ".status.phase",
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Checkers", type_ = "integer", json_path = ".status.checkers"),
    printcolumn(name = "Qualified", type_ = "integer", json_path = ".status.qualified"),
    printcolumn(name = "Mutation", type_ = "string", json_path = ".status.mutationScore"),
    printcolumn(name = "Flake", type_ = "string", json_path = ".status.flake"),
    printcolumn(name = "P95", type_ = "string", json_path = ".status.p95"),
    printcolumn(name = "Digest", type_ = "string", json_path = ".status.digest"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    cel,
    validation = Rule::new("size(self.metadata.name) <= 63").message("the name is longer than the value of a label may be; use at most 63 characters")
)]
#[x_kube(
    validation = Rule::new("has(self.digest) == has(oldSelf.digest) && (!has(self.digest) || self.digest == oldSelf.digest)")
        .message("the digest cannot be changed; make a new CheckerSuite").field_path(".digest"),
    validation = Rule::new("has(self.store) == has(oldSelf.store) && (!has(self.store) || self.store == oldSelf.store)")
        .message("the store cannot be changed; make a new CheckerSuite").field_path(".store"),
    validation = Rule::new("!has(self.evaluate) || size(self.evaluate) == 0 || !has(self.evaluation)")
        .message("evaluate and evaluation cannot both be set; name the endpoints in evaluation.agents").field_path(".evaluate")
)]
#[serde(rename_all = "camelCase")]
pub struct CheckerSuiteSpec {
    /// The domain's name, resolved by the driver.
    #[schemars(length(min = 1, max = 63), regex(pattern = NAME))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("the domain cannot be changed; make a new CheckerSuite"))]
    pub domain: String,
    /// The source of its tasks.
    #[x_kube(validation = Rule::new("has(self.synthesisJob) == has(oldSelf.synthesisJob) && (!has(self.synthesisJob) || self.synthesisJob == oldSelf.synthesisJob) && has(self.path) == has(oldSelf.path) && (!has(self.path) || self.path == oldSelf.path) && has(self.audit) == has(oldSelf.audit) && (!has(self.audit) || self.audit == oldSelf.audit)")
        .message("the source cannot be changed; make a new CheckerSuite"))]
    pub source: Source,
    /// Limits of one run of generated code.
    #[serde(default)]
    #[x_kube(validation = Rule::new("self == oldSelf").message("limits cannot be changed; make a new CheckerSuite"))]
    pub sandbox: SandboxLimits,
    /// Thresholds that a checker must reach to be trusted.
    #[serde(default)]
    #[x_kube(validation = Rule::new("self == oldSelf").message("thresholds cannot be changed; make a new CheckerSuite"))]
    pub qualification: QualificationSpec,
    /// The digest that the qualified suite must have; unset accepts any digest and pins it in the status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = DIGEST))]
    pub digest: Option<String>,
    /// Endpoints to score on its tasks, for comparison: one trial of each, with the scripted user. The short form of `evaluation`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub evaluate: Vec<EndpointBinding>,
    /// The evaluation of models on its held-out tasks: several trials, and a model as the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluation: Option<SuiteEvaluation>,
    /// The store's name; unset takes the driver's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = NAME))]
    pub store: Option<String>,
    /// Suspension, deadlines and retries.
    #[serde(default)]
    pub run_policy: RunPolicy,
    /// Pod settings of its workers.
    #[serde(default)]
    pub worker: WorkerTemplate,
}

impl CheckerSuiteSpec {
    /// Returns the models that play the agent.
    #[must_use]
    pub fn agents(&self) -> &[EndpointBinding] {
        match &self.evaluation {
            Some(evaluation) => &evaluation.agents,
            None => &self.evaluate,
        }
    }
}

/// The source of tasks: exactly one field is set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = cel(&[
    ("[has(self.synthesisJob), has(self.path), has(self.inline), has(self.audit)].filter(x, x).size() == 1",
        "exactly one source must be set; set one of synthesisJob, path, inline and audit", ""),
])))]
pub struct Source {
    /// A SynthesisJob of the same namespace. The suite waits until it is complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = NAME))]
    pub synthesis_job: Option<String>,
    /// A dataset in the store, by name or digest.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub path: Option<String>,
    /// Tasks, written inline.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "tasks")]
    pub inline: Option<Vec<Value>>,
    /// Tasks that somebody else made. They are audited first: what can be repaired is, other flawed tasks are left out, and the
    /// report is kept in the store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audit: Option<AuditSource>,
}

/// Tasks that are audited before their checkers are qualified.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AuditSource {
    /// A dataset in the store, by name or digest. Unset takes the tasks of the domain's own tasks.jsonl.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub path: Option<String>,
}

fn tasks(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let task = crate::shared::any_object(generator);
    schemars::json_schema!({ "type": "array", "minItems": 1, "maxItems": 64, "items": task })
}

/// Limits of one run of generated code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SandboxLimits {
    /// Processor time. On the clock a run may take ten times as long, so that a busy machine fails none.
    pub wall: Span,
    /// Address space of the process.
    pub memory: Size,
    /// Maximum call depth.
    #[schemars(range(min = 10, max = 1000))]
    pub recursion: u32,
    /// Maximum number of reads and writes of the state.
    #[schemars(range(min = 1, max = 100_000_000))]
    pub host_calls: u64,
    /// Bytes that it may return or print.
    pub output: Size,
}

impl Default for SandboxLimits {
    fn default() -> Self {
        Self {
            wall: Span::seconds(2),
            memory: Size::bytes(256 << 20),
            recursion: 200,
            host_calls: 100_000,
            output: Size::bytes(64 << 10),
        }
    }
}

/// Thresholds that a checker must reach to be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct QualificationSpec {
    /// Non-equivalent single-edit mutants per task, where it has that many.
    #[schemars(range(min = 1, max = 1000))]
    pub mutants: u32,
    /// Share of mutants that the checkers must fail.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub min_mutation_score: f64,
    /// Replays of gold that must agree.
    #[schemars(range(min = 1, max = 100))]
    pub repeats: u32,
    /// Processor time in which 95 of 100 checks end.
    pub p95: Span,
    /// Share of checkers that must qualify; the others are quarantined.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub min_qualified: f64,
    /// Seed of the mutants.
    #[schemars(range(min = 0, max = 9_007_199_254_740_991_i64))]
    pub seed: u64,
}

impl Default for QualificationSpec {
    fn default() -> Self {
        Self {
            mutants: 20,
            min_mutation_score: 0.9,
            repeats: 3,
            p95: Span::from(std::time::Duration::from_millis(500)),
            min_qualified: 0.5,
            seed: 0,
        }
    }
}

/// The observed state of a CheckerSuite.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CheckerSuiteStatus {
    /// The part that all kinds share.
    #[serde(flatten)]
    pub run: RunStatus,
    /// Tasks whose checkers were tested.
    pub checkers: u64,
    /// Those that qualified.
    pub qualified: u64,
    /// Share of all mutants that the checkers failed, such as `0.97`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub mutation_score: Option<String>,
    /// Tasks that doing nothing passes, qualified or not: refusals, and tasks whose checkers ask for nothing.
    #[serde(skip_serializing_if = "is_zero")]
    pub nothing_passes: u64,
    /// Share of tasks whose repeated runs disagreed, such as `0%`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub flake: Option<String>,
    /// Processor time in which 95 of 100 checks ended, such as `3.2ms`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub p95: Option<String>,
    /// The suite's digest, which a run pins.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 80))]
    pub digest: Option<String>,
    /// The eight most frequent reasons of quarantine.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub quarantined: Vec<Finding>,
    /// The eight most frequent weaknesses for which a checker is not quarantined, such as a gold call that leaves no trace.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub warnings: Vec<Finding>,
    /// The eight most frequent kinds of defects that the audit found, where the source is audited.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub audited: Vec<Finding>,
    /// Endpoints that were scored.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub endpoints: Vec<EndpointScore>,
}

/// The number of checkers of which qualification found the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Finding {
    /// The finding.
    #[schemars(length(max = 160))]
    pub reason: String,
    /// The number of checkers.
    pub count: u64,
    /// The task of one of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 80))]
    pub example: Option<String>,
}

impl Finding {
    /// Keeps the most frequent findings, with reasons and examples of so many bytes.
    pub fn keep_frequent(all: &mut Vec<Self>, most: usize, reason: usize, example: usize) {
        all.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.reason.cmp(&b.reason)));
        all.truncate(most);
        for entry in all {
            entry.reason = shorten(&entry.reason, reason);
            let task = entry.example.take();
            entry.example = task.map(|task| shorten(&task, example));
        }
    }
}

/// The score of an endpoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct EndpointScore {
    /// The endpoint's name.
    #[schemars(length(max = 63))]
    pub endpoint: String,
    /// pass^1.
    pub pass1: f64,
    /// Lower end of the 95 % interval of pass^1, clustered by branch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub low: Option<f64>,
    /// Upper end of that interval.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub high: Option<f64>,
    /// Trials of each task, where there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trials: Option<u32>,
    /// pass^k of the highest k, where there are several trials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pass_k: Option<f64>,
    /// pass@k of the highest k, where there are several trials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pass_any: Option<f64>,
    /// pass^1 of an agent that says and calls nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub empty: Option<f64>,
    /// The digest of the whole record in the store.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 80))]
    pub record: Option<String>,
    /// Tasks that came to a verdict.
    pub tasks: u64,
    /// Tasks that prove nothing about the model: its reasoning used up the tokens, a content filter or the provider stopped it,
    /// or the user failed.
    #[serde(skip_serializing_if = "is_zero")]
    pub void: u64,
}

pub(crate) fn is_zero(count: &u64) -> bool {
    *count == 0
}
