//! Evaluation: every task `n` times, pass^k over tasks, and the counts of errors and user faults.

use std::collections::BTreeMap;

use agoge_world::Task;
use serde::{Deserialize, Serialize};

use crate::LearnerError;
use crate::arena::Arena;
use crate::passk::{Estimate, Trials, by_branch, pass_hat, pass_hat_k};
use crate::rollout::{Agent, Seat, Trajectory, User};

/// One arm's result on one set of tasks.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Scorecard {
    /// pass^1 .. pass^n with 95 % intervals over tasks, clustered by branch.
    pub pass: Vec<Estimate>,
    /// pass^1 by branch of the policy.
    pub branches: BTreeMap<String, Estimate>,
    /// pass^1 of each task, in the order of the tasks, for paired comparisons.
    pub per_task: Vec<Option<f64>>,
    /// The branch of each task, by which comparisons are clustered.
    #[serde(default)]
    pub clusters: Vec<String>,
    /// Trials that a fault ended which was not the agent's; they are no trials and count nowhere else.
    pub errors: usize,
    /// Trials in which the user broke its instruction; they count as they ended.
    pub user_faults: usize,
    /// Some trajectories for a reader: the first trial of the first tasks.
    #[serde(skip)]
    pub sample: Vec<Trajectory>,
}

/// Plays every task `trials` times. The key of a trial is (task number, trial), so two arms meet the same randomness.
///
/// # Errors
/// Failures of the whole evaluation.
pub fn evaluate(
    arena: &mut Arena,
    tasks: &[Task],
    trials: u32,
    agent: Agent<'_>,
    user: User<'_>,
    progress: impl FnMut(usize) -> Result<(), LearnerError>,
) -> Result<Scorecard, LearnerError> {
    let seats: Vec<Seat<'_>> = tasks
        .iter()
        .zip(0u64..)
        .flat_map(|(task, group)| {
            (0..u64::from(trials)).map(move |member| Seat {
                task,
                group,
                member,
            })
        })
        .collect();
    let played = arena.play(&seats, agent, user, 0, progress)?;
    Ok(scorecard(tasks, trials, played))
}

impl Scorecard {
    /// Returns the card of tasks that were played once elsewhere, given whether each passed.
    #[must_use]
    pub fn of_single(tasks: &[Task], passed: &[bool]) -> Self {
        let counts: Vec<(u32, u32)> = passed
            .iter()
            .map(|passed| (u32::from(*passed), 1))
            .collect();
        Self::of_counts(tasks, &counts, 1)
    }

    /// Returns the card of `(passed, trials)`, one entry a task.
    fn of_counts(tasks: &[Task], counts: &[(u32, u32)], trials: u32) -> Self {
        let all: Vec<Trials<'_>> = tasks
            .iter()
            .zip(counts)
            .map(|(task, (passed, trials))| Trials {
                cluster: &task.branch,
                passed: *passed,
                trials: *trials,
            })
            .collect();
        Self {
            pass: (1..=trials).map(|k| pass_hat_k(&all, k)).collect(),
            branches: by_branch(&all),
            per_task: counts.iter().map(|(c, n)| pass_hat(*c, *n, 1)).collect(),
            clusters: tasks.iter().map(|task| task.branch.clone()).collect(),
            ..Self::default()
        }
    }
}

fn scorecard(tasks: &[Task], trials: u32, played: Vec<Trajectory>) -> Scorecard {
    let count = |of_task: &[Trajectory], counts: fn(&Trajectory) -> bool| {
        u32::try_from(of_task.iter().filter(|t| counts(t)).count()).unwrap_or(0)
    };
    let counts: Vec<(u32, u32)> = played
        .chunks(trials.max(1) as usize)
        .map(|of_task| {
            let passed = count(of_task, |t| t.reward == Some(1.0));
            (passed, count(of_task, |t| t.reward.is_some()))
        })
        .collect();
    Scorecard {
        errors: played.iter().filter(|t| t.reward.is_none()).count(),
        user_faults: played.iter().filter(|t| !t.user_faults.is_empty()).count(),
        sample: played
            .into_iter()
            .step_by(trials.max(1) as usize)
            .take(24)
            .collect(),
        ..Scorecard::of_counts(tasks, &counts, trials)
    }
}
