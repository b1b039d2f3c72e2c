//! The record that a training stage leaves: its loss trace, its model, its certificate or its table.

use std::collections::BTreeMap;

use agoge_checker::passk::{Estimate, Trials, by_branch, family, pass_hat, pass_hat_k};
use agoge_store::{Folder, Store};
use agoge_world::Task;
use serde::{Deserialize, Serialize};

use crate::figure;
use crate::format::{ArtifactError, Format, Stored};
use crate::trajectory::Trajectory;

/// The record of one stage: the artifact `stage`. In a deterministic run nothing in it depends on time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StageRecord {
    /// The stage.
    pub stage: String,
    /// Seconds it took; 0 in a deterministic run.
    pub seconds: f64,
    /// Epochs, steps, dialogues or tasks.
    pub steps: u64,
    /// Tokens it trained.
    pub trained_tokens: u64,
    /// The loss trace: one point for each epoch or step.
    pub curve: Vec<Point>,
    /// The trained model: files and their digests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<Folder>,
    /// Played episodes for a reader.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub samples: Vec<Trajectory>,
    /// Certification: the user model before its training.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Certificate>,
    /// Certification: the user model after its training.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Certificate>,
    /// Evaluation: one row for each arm.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub arms: BTreeMap<String, Columns>,
}

impl Stored for StageRecord {
    const FORMAT: Format = Format {
        name: "agoge-stage",
        current: 2,
    };
}

impl StageRecord {
    /// The kind of the artifact.
    pub const KIND: &str = "stage";

    /// Reads the record of a digest as a status names it.
    ///
    /// # Errors
    /// [`ArtifactError`]
    pub fn read(store: &Store, digest: &agoge_store::Digest) -> Result<Self, ArtifactError> {
        Self::get(store, digest, "the stage record")
    }

    /// Returns the epochs of a supervised stage.
    pub fn epochs(&self) -> impl Iterator<Item = &Epoch> {
        self.curve.iter().filter_map(|point| match point {
            Point::Epoch(epoch) => Some(epoch),
            Point::Step(_) => None,
        })
    }

    /// Returns the steps of reinforcement learning.
    pub fn training_steps(&self) -> impl Iterator<Item = &Step> {
        self.curve.iter().filter_map(|point| match point {
            Point::Step(step) => Some(step.as_ref()),
            Point::Epoch(_) => None,
        })
    }
}

/// Facts beside a record that do not determine its digest: the `meta` of the artifact.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StageMeta {
    /// Seconds the stage took.
    pub seconds: f64,
    /// The trained model, whose files this keeps from collection.
    pub model: Option<Folder>,
}

/// One point of a loss trace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Point {
    /// An epoch of a supervised stage; only these have the field `epoch`.
    Epoch(Epoch),
    /// A step of reinforcement learning.
    Step(Box<Step>),
}

impl From<Epoch> for Point {
    fn from(epoch: Epoch) -> Self {
        Self::Epoch(epoch)
    }
}

impl From<Step> for Point {
    fn from(step: Step) -> Self {
        Self::Step(Box::new(step))
    }
}

impl Point {
    /// Returns the seconds of the stage so far.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        match self {
            Self::Epoch(epoch) => epoch.seconds,
            Self::Step(step) => step.seconds,
        }
    }

    /// Returns the tokens trained in this epoch or step.
    #[must_use]
    pub fn trained_tokens(&self) -> u64 {
        match self {
            Self::Epoch(epoch) => epoch.trained_tokens,
            Self::Step(step) => step.trained_tokens,
        }
    }
}

/// One epoch's figures.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Epoch {
    /// From 1.
    pub epoch: u64,
    /// Mean training loss over the epoch, nats per token.
    #[serde(deserialize_with = "figure::read")]
    pub loss: f64,
    /// Validation loss after it, nats per token.
    #[serde(deserialize_with = "figure::read")]
    pub validation: f64,
    /// Tokens trained in it.
    pub trained_tokens: u64,
    /// Updates that were skipped because their gradient was not finite.
    #[serde(default)]
    pub skipped_updates: u64,
    /// Seconds since the start of training, over all sessions.
    #[serde(deserialize_with = "figure::read")]
    pub seconds: f64,
}

/// One step's figures, named as the field's dashboards name them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Step {
    /// From 1.
    pub step: u64,
    /// Mean reward over all trajectories that were generated and have one. In a step of carried groups alone this, the shares
    /// and the means below are theirs.
    #[serde(deserialize_with = "figure::read")]
    pub reward_all: f64,
    /// Mean reward over the trajectories trained on.
    #[serde(deserialize_with = "figure::read")]
    pub reward_effective: f64,
    /// Share of generated groups in which all passed, all failed, some passed.
    #[serde(deserialize_with = "figure::read")]
    pub all_pass: f64,
    /// See `all_pass`.
    #[serde(deserialize_with = "figure::read")]
    pub all_fail: f64,
    /// See `all_pass`.
    #[serde(deserialize_with = "figure::read")]
    pub mixed: f64,
    /// Counts of the filter.
    pub filter: FilterCounts,
    /// Loss, mean over the step's updates.
    #[serde(deserialize_with = "figure::read")]
    pub loss: f64,
    /// KL(old, new) a token, k3 estimate, over the step's updates.
    #[serde(deserialize_with = "figure::read")]
    pub kl: f64,
    /// Penalty for leaving the reference a token, before its coefficient; 0 without one.
    #[serde(deserialize_with = "figure::read")]
    pub reference_kl: f64,
    /// Largest difference between a token's log-probability when sampled and when first scored for training by the same
    /// weights; tokens of groups carried over from the step before are older, and left out.
    #[serde(deserialize_with = "figure::read")]
    pub logp_diff: f64,
    /// Entropy a trained token, nats.
    #[serde(deserialize_with = "figure::read")]
    pub entropy: f64,
    /// Share of trained tokens whose clipped term was active.
    #[serde(deserialize_with = "figure::read")]
    pub clip_share: f64,
    /// Gradient norm before the cut, mean over the updates whose gradient was finite; 0 without any.
    #[serde(deserialize_with = "figure::read")]
    pub grad_norm: f64,
    /// Updates that were skipped because their gradient was not finite.
    pub skipped_updates: u64,
    /// Policy versions between sampling and training, of the oldest token trained on.
    pub staleness: u64,
    /// Trained tokens.
    pub trained_tokens: u64,
    /// Sampled tokens of the policy.
    pub sampled_tokens: u64,
    /// Mean agent turns, mean tool calls, share of failed calls, share of truncated episodes.
    #[serde(deserialize_with = "figure::read")]
    pub turns: f64,
    /// See `turns`.
    #[serde(deserialize_with = "figure::read")]
    pub tool_calls: f64,
    /// See `turns`.
    #[serde(deserialize_with = "figure::read")]
    pub tool_fail_rate: f64,
    /// See `turns`.
    #[serde(deserialize_with = "figure::read")]
    pub truncated_ratio: f64,
    /// Members left out: sandbox, checker or user errors.
    pub errors: u64,
    /// pass^1 on tasks kept apart, at the steps after which it was taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pass1: Option<f64>,
    /// Seconds of generation and of training.
    #[serde(deserialize_with = "figure::read")]
    pub generation_seconds: f64,
    /// See `generation_seconds`.
    #[serde(deserialize_with = "figure::read")]
    pub training_seconds: f64,
    /// Seconds of the run so far, over all sessions.
    #[serde(deserialize_with = "figure::read")]
    pub seconds: f64,
}

impl Step {
    /// Returns the step without times: the same in every run of the same seed.
    #[must_use]
    pub fn timeless(&self) -> Self {
        Self {
            generation_seconds: 0.0,
            training_seconds: 0.0,
            seconds: 0.0,
            ..self.clone()
        }
    }
}

/// The filter's counts of one step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FilterCounts {
    /// Groups generated for this step.
    pub generated: usize,
    /// Groups whose rewards were all equal, or that had no reward at all.
    pub discarded: usize,
    /// Groups carried over from earlier steps.
    pub carried_in: usize,
    /// Carried groups that had become too old and were dropped.
    pub expired: usize,
    /// Generation batches used.
    pub batches: usize,
}

/// The outcome of a certification.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Certificate {
    /// Dialogues judged.
    pub dialogues: usize,
    /// User turns judged.
    pub turns: usize,
    /// Turns with at least one fault.
    pub faulty: usize,
    /// `faulty / turns`; 1 when there was no turn.
    pub error_rate: f64,
    /// Faulty turns by kind of fault.
    pub kinds: BTreeMap<String, usize>,
    /// A few faulty turns with the reason.
    pub examples: Vec<String>,
}

/// One arm's columns of the table.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Columns {
    /// Held-out tasks, with the user that the run has.
    pub heldout: Scorecard,
    /// Held-out tasks, with the scripted user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scripted: Option<Scorecard>,
    /// Tasks of templates that no training saw.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unseen: Option<Scorecard>,
}

/// One arm's result on one set of tasks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Scorecard {
    /// pass^1 .. pass^n with 95 % intervals over tasks, clustered by branch.
    pub pass: Vec<Estimate>,
    /// pass^1 by branch of the policy.
    pub branches: BTreeMap<String, Estimate>,
    /// pass^1 of each task, in the order of the tasks, for paired comparisons; `None` without a trial.
    pub per_task: Vec<Option<f64>>,
    /// The family of each task (its branch where it has one), by which comparisons are clustered. 0.2.0 has none.
    #[serde(default)]
    pub clusters: Vec<String>,
    /// Episodes that ended in a fault which was not the agent's; they are no trials and count nowhere else.
    pub errors: usize,
    /// Trials in which the user broke its instruction; they count as they ended.
    pub user_faults: usize,
}

impl Scorecard {
    /// Returns the card of `(passed, trials)`, one entry for each task.
    #[must_use]
    pub fn of_counts(tasks: &[Task], counts: &[(u32, u32)], trials: u32) -> Self {
        let all: Vec<Trials<'_>> = tasks
            .iter()
            .zip(counts)
            .map(|(task, (passed, trials))| Trials {
                cluster: family(task),
                passed: *passed,
                trials: *trials,
            })
            .collect();
        Self {
            pass: (1..=trials).map(|k| pass_hat_k(&all, k)).collect(),
            branches: by_branch(&all),
            per_task: counts.iter().map(|(c, n)| pass_hat(*c, *n, 1)).collect(),
            clusters: tasks.iter().map(|task| family(task).to_owned()).collect(),
            ..Self::default()
        }
    }
}
