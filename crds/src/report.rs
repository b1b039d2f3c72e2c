//! Reports of workers to their driver: progress while they run, and a result at the end. Plans fold them into the status.
//!
//! Every field is optional, so that reports of other versions are read as far as possible.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::checker_suite::{EndpointScore, Finding};
use crate::conditions::shorten;
use crate::grpo_run::ArmStatus;
use crate::lineage::{Attribution, Generation};

/// Returns counts with the most frequent first, and equal ones by name.
#[must_use]
pub fn ranked(counts: &BTreeMap<String, u64>) -> Vec<(&str, u64)> {
    let mut all: Vec<_> = counts.iter().map(|(what, n)| (what.as_str(), *n)).collect();
    all.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    all
}

/// Returns the most frequent of some counts, with names of so many bytes.
#[must_use]
pub fn frequent(
    counts: &BTreeMap<String, u64>,
    most: usize,
    bytes: usize,
) -> BTreeMap<String, u64> {
    let kept = ranked(counts).into_iter().take(most);
    kept.map(|(what, n)| (shorten(what, bytes), n)).collect()
}

/// Progress and result of a `Synthesize` child.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SynthesisReport {
    /// Instances attempted.
    pub attempted: u64,
    /// Valid ones.
    pub valid: u64,
    /// Accepted ones.
    pub accepted: u64,
    /// Model tokens spent.
    pub tokens: u64,
    /// Dollars spent.
    pub cost: f64,
    /// Current generation.
    pub generation: u32,
    /// Digest of the current plan pair.
    pub plan: Option<String>,
    /// Rejected by gate.
    pub rejected: BTreeMap<String, u64>,
    /// Failures by cause.
    pub attribution: Attribution,
    /// Failures of endpoints, processes and limits, by what they said.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub faults: BTreeMap<String, u64>,
    /// Generations so far.
    pub lineage: Vec<Generation>,
    /// The reason of an end before the target: `BudgetExhausted`, `GenerationsExhausted`, `TasksExhausted`.
    pub ended: Option<String>,
    /// Digest of a plan pair that awaits manual approval.
    pub awaiting_promotion: Option<String>,
    /// Digest of its artifact.
    pub digest: Option<String>,
}

/// Progress and result of a `Qualify` child; of a `Score` child the endpoints.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct QualifyReport {
    /// Tasks tested.
    pub checkers: u64,
    /// Those that qualified.
    pub qualified: u64,
    /// Share of mutants that were failed.
    pub mutation_score: f64,
    /// Tasks that doing nothing passes, qualified or not.
    #[serde(skip_serializing_if = "crate::checker_suite::is_zero")]
    pub nothing_passes: u64,
    /// Share of tasks whose repeated runs disagreed.
    pub flake: f64,
    /// Milliseconds of processor time in which 95 of 100 checks ended.
    pub p95_ms: f64,
    /// The suite's digest.
    pub digest: Option<String>,
    /// Reasons of quarantine with their counts.
    pub quarantined: Vec<Finding>,
    /// Warnings with their counts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Finding>,
    /// Kinds of defects that the audit found, with the numbers of their tasks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub audited: Vec<Finding>,
    /// Endpoints scored.
    pub endpoints: Vec<EndpointScore>,
}

/// Progress and result of a `Train` child.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TrainReport {
    /// Steps (epochs, tasks) done.
    pub step: u64,
    /// Total steps; 0 when unknown.
    pub total: u64,
    /// Mean reward of the last step.
    pub reward: Option<f64>,
    /// KL divergence from the policy that sampled.
    pub kl: Option<f64>,
    /// Entropy of sampling.
    pub entropy: Option<f64>,
    /// Share of groups whose rewards differ.
    pub mixed: Option<f64>,
    /// Share of the last step's rollouts that a limit ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub truncated: Option<f64>,
    /// Policy versions between sampling and training.
    pub staleness: Option<u64>,
    /// Trained tokens per second.
    pub tokens_per_second: Option<f64>,
    /// Step of the last checkpoint.
    pub checkpoint: Option<u64>,
    /// Seconds the stage took.
    pub seconds: f64,
    /// Tokens it trained.
    pub trained_tokens: u64,
    /// Certification: share of faulty turns.
    pub error_rate: Option<f64>,
    /// Evaluation: rows of the table.
    pub arms: BTreeMap<String, ArmStatus>,
    /// Digest of the artifact.
    pub digest: Option<String>,
}

/// A report of a child, by the kind of its work.
#[derive(Clone, Debug, PartialEq)]
pub enum Report {
    /// Of a `Synthesize` child.
    Synthesis(Box<SynthesisReport>),
    /// Of a `Qualify` or `Score` child.
    Qualify(Box<QualifyReport>),
    /// Of a `Train` or `Rollout` child.
    Train(Box<TrainReport>),
}

impl Report {
    /// Merges the reports of the shards of one child: the sum for synthesis, the first shard's report for everything else.
    /// Returns none where there are no reports.
    #[must_use]
    pub fn of_shards(shards: Vec<Self>) -> Option<Self> {
        let synthesis = shards.iter().filter_map(|shard| match shard {
            Self::Synthesis(report) => Some((**report).clone()),
            _ => None,
        });
        let synthesis: Vec<SynthesisReport> = synthesis.collect();
        if synthesis.is_empty() {
            return shards.into_iter().next();
        }
        let sum = SynthesisReport::of_shards(&synthesis);
        Some(Self::Synthesis(Box::new(sum)))
    }

    /// Returns the report if it is one of synthesis.
    #[must_use]
    pub fn synthesis(&self) -> Option<&SynthesisReport> {
        match self {
            Self::Synthesis(report) => Some(report),
            _ => None,
        }
    }

    /// Returns the report if it is one of qualification.
    #[must_use]
    pub fn qualify(&self) -> Option<&QualifyReport> {
        match self {
            Self::Qualify(report) => Some(report),
            _ => None,
        }
    }

    /// Returns the report if it is one of training.
    #[must_use]
    pub fn train(&self) -> Option<&TrainReport> {
        match self {
            Self::Train(report) => Some(report),
            _ => None,
        }
    }
}

impl SynthesisReport {
    /// Merges the reports of the shards of one strategy. Counts are summed, single values come from the first shard that
    /// has them, and the digest covers all shards in order.
    #[must_use]
    pub fn of_shards(shards: &[Self]) -> Self {
        let mut all = Self::default();
        for shard in shards {
            all.attempted += shard.attempted;
            all.valid += shard.valid;
            all.accepted += shard.accepted;
            all.tokens += shard.tokens;
            all.cost += shard.cost;
            all.generation = all.generation.max(shard.generation);
            all.plan = all.plan.or_else(|| shard.plan.clone());
            all.ended = all.ended.or_else(|| shard.ended.clone());
            all.awaiting_promotion = all
                .awaiting_promotion
                .or_else(|| shard.awaiting_promotion.clone());
            for (gate, count) in &shard.rejected {
                *all.rejected.entry(gate.clone()).or_default() += count;
            }
            for (fault, count) in &shard.faults {
                *all.faults.entry(fault.clone()).or_default() += count;
            }
            all.attribution.task += shard.attribution.task;
            all.attribution.trajectory += shard.attribution.trajectory;
            all.attribution.user += shard.attribution.user;
            all.attribution.infra += shard.attribution.infra;
            if all.lineage.is_empty() {
                all.lineage.clone_from(&shard.lineage);
            }
        }
        let digests: Option<Vec<&str>> =
            shards.iter().map(|shard| shard.digest.as_deref()).collect();
        all.digest = digests.and_then(|digests| Self::digest_of(&digests));
        all
    }

    /// Combines the digests of shards, in order; a single shard keeps its own.
    #[must_use]
    pub fn digest_of(shards: &[&str]) -> Option<String> {
        match shards {
            [] => None,
            [one] => Some((*one).to_owned()),
            many => Some(crate::digest(&many.join("\n"))),
        }
    }
}

/// Reads a report. Figures may be at the top level or under `figures`; `done` is read as `step`.
///
/// # Errors
/// When a field has the wrong type.
pub fn read<T: Default + serde::de::DeserializeOwned>(
    report: &Value,
) -> Result<T, serde_json::Error> {
    let Value::Object(top) = report else {
        return if report.is_null() {
            Ok(T::default())
        } else {
            serde_json::from_value(report.clone())
        };
    };
    let mut flat: Map<String, Value> = top.clone();
    if let Some(Value::Object(figures)) = flat.remove("figures") {
        flat.extend(figures);
    }
    if let (Some(done), None) = (top.get("done"), top.get("step")) {
        flat.insert("step".into(), done.clone());
    }
    serde_json::from_value(Value::Object(flat))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn figures_are_read_wherever_they_stand_and_nothing_is_demanded() {
        let report: TrainReport =
            read(&json!({ "stage": "GRPO", "done": 7, "total": 9, "unit": "steps", "figures": { "reward": 0.5 } })).unwrap();
        assert_eq!(
            (report.step, report.total, report.reward),
            (7, 9, Some(0.5))
        );
        assert_eq!(
            read::<TrainReport>(&Value::Null).unwrap(),
            TrainReport::default()
        );
        assert!(read::<TrainReport>(&json!({ "figures": { "reward": "high" } })).is_err());
    }

    #[test]
    fn shards_add_up_and_one_shard_is_itself() {
        let shard = |accepted: u64, digest: &str| SynthesisReport {
            accepted,
            rejected: BTreeMap::from([("gold".to_owned(), 2)]),
            digest: Some(digest.to_owned()),
            ..SynthesisReport::default()
        };
        let (a, b) = (shard(3, "sha256:a"), shard(4, "sha256:b"));
        assert_eq!(SynthesisReport::of_shards(std::slice::from_ref(&a)), a);
        let both = SynthesisReport::of_shards(&[a.clone(), b.clone()]);
        assert_eq!((both.accepted, both.rejected["gold"]), (7, 4));
        assert_ne!(
            both.digest,
            SynthesisReport::of_shards(&[b.clone(), a.clone()]).digest,
            "the order of shards counts"
        );
        let of = |report: &SynthesisReport| Report::Synthesis(Box::new(report.clone()));
        let sum = Report::of_shards(vec![of(&a), of(&b)]);
        assert_eq!(sum.as_ref().and_then(Report::synthesis), Some(&both));
        let rank = |step| {
            let report = TrainReport {
                step,
                ..TrainReport::default()
            };
            Report::Train(Box::new(report))
        };
        assert_eq!(
            Report::of_shards(vec![rank(3), rank(4)]),
            Some(rank(3)),
            "ranks train the same step"
        );
        assert_eq!(Report::of_shards(vec![]), None);
        let unfinished = SynthesisReport { digest: None, ..b };
        assert_eq!(
            SynthesisReport::of_shards(&[a, unfinished]).digest,
            None,
            "no digest before all have one"
        );
    }
}
