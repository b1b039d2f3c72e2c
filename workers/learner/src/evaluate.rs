//! Evaluation: every task `n` times, pass^k over tasks, and the counts of errors and user faults.

use agoge_artifacts::Scorecard;
use agoge_world::Task;

use crate::LearnerError;
use crate::arena::Arena;
use crate::rollout::{Agent, Seat, Trajectory, User};

/// Trajectories that are kept for a reader at most.
const SAMPLES: usize = 24;

/// The result of one arm: its figures, and the first trial of the first tasks for a reader.
pub struct Evaluated {
    /// The figures.
    pub card: Scorecard,
    /// The trajectories.
    pub samples: Vec<Trajectory>,
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
) -> Result<Evaluated, LearnerError> {
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
    Ok(evaluated(tasks, trials, played))
}

fn evaluated(tasks: &[Task], trials: u32, played: Vec<Trajectory>) -> Evaluated {
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
    Evaluated {
        card: Scorecard {
            errors: played.iter().filter(|t| t.reward.is_none()).count(),
            user_faults: played.iter().filter(|t| !t.user_faults.is_empty()).count(),
            ..Scorecard::of_counts(tasks, &counts, trials)
        },
        samples: played
            .into_iter()
            .step_by(trials.max(1) as usize)
            .take(SAMPLES)
            .collect(),
    }
}
