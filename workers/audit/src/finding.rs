//! A finding: a defect of one task, the evidence that a person reads, and the calls that show it.

use agoge_dialogue::ToolCall;
use agoge_sandbox::Change;
use agoge_world::{Basis, ToolResult};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::kind::Kind;

/// Characters of a result that a step keeps.
const RESULT: usize = 400;
/// Differences that a finding keeps.
const SHOWN: usize = 20;

/// All findings of an audit, in the order of the tasks.
pub type Findings = Vec<Finding>;

/// The weight of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Severity {
    /// Worth knowing; the task is as its author meant it.
    Note,
    /// Probably a defect; a person has to decide.
    Warning,
    /// A defect: a reward by this task is wrong for some agent.
    Error,
}

/// One defect of one task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// The task's id.
    pub task: String,
    /// The kind.
    pub kind: Kind,
    /// The weight.
    pub severity: Severity,
    /// The place in the task, such as `gold[2].parcel`; empty for the whole task.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub place: String,
    /// The reason, in words and values.
    pub evidence: String,
    /// Other tasks that the finding is about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<String>,
    /// The calls that show it, with their results.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replay: Vec<Step>,
    /// The differences that those calls make, such as `parcels/48213.status: "new" -> "held"`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub diff: Vec<String>,
    /// The repair.
    pub repair: Repair,
}

/// One call of a replay.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// The tool.
    pub name: String,
    /// Its arguments.
    pub arguments: Map<String, Value>,
    /// The result, shortened.
    pub result: String,
    /// True when the call failed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub error: bool,
}

/// The repair of a defect. It is applied only where it is determined; else the row is quarantined.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "do")]
pub enum Repair {
    /// Leave the row as it is.
    Keep,
    /// Say that the gold call of this number, from 1, fails.
    MarkFails { call: u32 },
    /// Say that the gold call of this number, from 1, works.
    ClearFails { call: u32 },
    /// Leave the row out: another one is the same.
    DropTask,
    /// Leave out a required text that no agent can know.
    RemoveOutput { output: String },
    /// Give the gold call of this number, from 1, these arguments: the same values in the types of the tool.
    Coerce {
        call: u32,
        arguments: Map<String, Value>,
    },
    /// Mark the task as a refusal, so that acting must fail.
    DeriveRefusal,
    /// Take away the mark of a refusal.
    ClearRefusal,
    /// Leave a part out of the reward that can never hold.
    DropBasis { part: Basis },
    /// Take the solution of the policy's case.
    FromPolicy {
        branch: String,
        gold: Vec<ToolCall>,
        outputs: Vec<String>,
        refusal: bool,
    },
    /// Leave the row out: its repair is not determined.
    Quarantine,
}

impl Finding {
    /// A finding of the whole task, without a replay.
    pub(crate) fn new(
        task: &str,
        kind: Kind,
        severity: Severity,
        evidence: impl Into<String>,
        repair: Repair,
    ) -> Self {
        Self {
            task: task.into(),
            kind,
            severity,
            place: String::new(),
            evidence: evidence.into(),
            others: Vec::new(),
            replay: Vec::new(),
            diff: Vec::new(),
            repair,
        }
    }

    /// The same, at a place of the task.
    pub(crate) fn at(self, place: impl Into<String>) -> Self {
        Self {
            place: place.into(),
            ..self
        }
    }

    /// The same, about other tasks too.
    pub(crate) fn with_others(self, others: Vec<String>) -> Self {
        Self { others, ..self }
    }

    /// The same, shown by these calls and the changes that they make.
    pub(crate) fn shown(self, calls: &[(ToolCall, ToolResult)], changes: &[Change]) -> Self {
        let mut diff: Vec<String> = changes.iter().take(SHOWN).map(difference).collect();
        let more = changes.len().saturating_sub(SHOWN);
        if more > 0 {
            diff.push(format!("and {more} more"));
        }
        Self {
            replay: calls
                .iter()
                .map(|(call, result)| Step::of(call, result))
                .collect(),
            diff,
            ..self
        }
    }
}

impl Step {
    fn of(call: &ToolCall, result: &ToolResult) -> Self {
        Self {
            name: call.name.clone(),
            arguments: call.arguments.clone(),
            result: short(&result.content, RESULT),
            error: !result.worked(),
        }
    }
}

/// Returns a text of at most so many characters and the mark of a cut.
pub(crate) fn short(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// Returns a change in one line.
pub(crate) fn difference(change: &Change) -> String {
    let field = match change.field.as_str() {
        "*" => String::new(),
        field => format!(".{field}"),
    };
    let said = |value: &Value| match value {
        Value::Null => "nothing".to_owned(),
        value => short(&value.to_string(), 120),
    };
    format!(
        "{}/{}{field}: {} -> {}",
        change.collection,
        change.id,
        said(&change.before),
        said(&change.after)
    )
}
