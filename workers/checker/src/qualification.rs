//! The thresholds of a qualification, and its findings on one task's checker.

use agoge_crds::checker_suite::QualificationSpec;
use agoge_dialogue::Message;
use agoge_world::{Episode, Task, World};
use serde::{Deserialize, Serialize};

use crate::final_state::Gold;
use crate::verdict::Verdict;

/// The thresholds that a checker must reach.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Thresholds {
    /// Mutants that are tried, where a task has so many that differ from gold.
    pub mutants: usize,
    /// Share of them that must fail.
    pub mutation_score: f64,
    /// The number of times that gold is replayed and checked again.
    pub repeats: usize,
    /// The slowest a check may be, 95 of 100 times, in milliseconds of processor time.
    pub p95_ms: f64,
}

impl Default for Thresholds {
    /// The thresholds of a CheckerSuite that names none.
    fn default() -> Self {
        Thresholds::from(&QualificationSpec::default())
    }
}

impl From<&QualificationSpec> for Thresholds {
    fn from(spec: &QualificationSpec) -> Self {
        Thresholds {
            mutants: spec.mutants as usize,
            mutation_score: spec.min_mutation_score,
            repeats: spec.repeats as usize,
            p95_ms: spec.p95.as_secs_f64() * 1e3,
        }
    }
}

/// The outcomes of the mutants of one task.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mutants {
    /// Mutants whose state, outputs or required calls differ from gold's.
    pub tried: usize,
    /// Those that the checker failed.
    pub killed: usize,
    /// Candidates that turned out to do the same as gold; not counted as tried.
    pub equivalent: usize,
    /// The changes that the checker passed.
    pub survivors: Vec<String>,
}

/// The findings of the qualification of one task's checker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Qualification {
    /// The task's id.
    pub task: String,
    pub qualified: bool,
    /// Why not.
    pub reason: Option<String>,
    /// Gold executes and passes.
    pub gold: bool,
    /// The empty trajectory fails; for a refusal, acting fails.
    pub empty: bool,
    pub mutants: Mutants,
    /// Reading twice or in another order still passes, and so do writes in another order that leave the same records.
    pub equivalent_paths: bool,
    /// Repeated runs disagreed.
    pub flake: bool,
    /// No run was killed, and the 95th percentile is within its threshold.
    pub limits: bool,
    /// 95th percentile of a check's processor time, in milliseconds.
    pub p95_ms: f64,
    /// The number of checks.
    pub checks: usize,
    /// Weaknesses for which a checker is not quarantined.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// The empty trajectory passes: right for a refusal, a finding for any other task.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub nothing_passes: bool,
}

impl Qualification {
    pub(crate) fn of(task: &Task) -> Qualification {
        Qualification {
            task: task.id.clone(),
            qualified: false,
            reason: None,
            gold: false,
            empty: false,
            mutants: Mutants::default(),
            equivalent_paths: true,
            flake: false,
            limits: true,
            p95_ms: 0.0,
            checks: 0,
            warnings: Vec::new(),
            nothing_passes: false,
        }
    }

    /// Share of the tried mutants that failed; 0 where none could be tried.
    pub fn mutation_score(&self) -> f64 {
        if self.mutants.tried == 0 {
            return 0.0;
        }
        self.mutants.killed as f64 / self.mutants.tried as f64
    }

    /// The reason in words.
    pub fn why(&self) -> String {
        self.reason
            .clone()
            .unwrap_or_else(|| "qualified".to_owned())
    }
}

/// Something that judges an episode: the task's checkers, or, in tests, a planted one.
pub type JudgeFn<'a> = dyn FnMut(&mut World, &Gold, &Episode, &[Message]) -> Verdict + 'a;
