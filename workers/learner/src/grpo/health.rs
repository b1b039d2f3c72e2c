//! Signs that training does not learn: steps whose gradients are not finite, and steps without any update.

use agoge_crds::grpo_run::GrpoSpec;

use super::Step;
use super::limits::{Idle, Limits};
use crate::LearnerError;

/// Steps in a row, all of whose updates were skipped because the gradient was not finite, after which training fails.
const DIVERGED: usize = 5;
/// Steps in a row without an update after which training fails.
const IDLE: usize = 10;

fn unchanged(step: &Step) -> bool {
    step.grad_norm == 0.0
}

/// Checks the steps so far. `limits` are the ends of the rollouts since the last update.
///
/// # Errors
/// [`LearnerError::Diverged`] or [`LearnerError::NoUpdate`] after too many steps in a row that changed nothing: no step before
/// them did either, or every rollout of theirs failed. A policy that has learned, and now passes or fails whole groups, goes on.
pub(super) fn check(steps: &[Step], limits: &Limits, spec: &GrpoSpec) -> Result<(), LearnerError> {
    let row = |is: fn(&Step) -> bool| steps.iter().rev().take_while(|step| is(step)).count();
    if row(|step| unchanged(step) && step.skipped_updates > 0) >= DIVERGED {
        return Err(LearnerError::Diverged { count: DIVERGED });
    }
    let last = &steps[steps.len().saturating_sub(IDLE)..];
    let never_learned = steps.iter().all(unchanged);
    let collapsed = last.iter().all(|step| step.all_fail == 1.0);
    match last.len() == IDLE && (never_learned || collapsed) {
        true => updated(last, limits, spec),
        false => Ok(()),
    }
}

/// Checks that at least one of these steps brought an update, or that there was nothing to learn.
///
/// # Errors
/// [`LearnerError::NoUpdate`]
pub(super) fn updated(
    steps: &[Step],
    limits: &Limits,
    spec: &GrpoSpec,
) -> Result<(), LearnerError> {
    let solved = |step: &Step| step.all_pass == 1.0;
    if !steps.iter().all(unchanged) || steps.iter().all(solved) {
        return Ok(());
    }
    let mean = |of: fn(&Step) -> f64| steps.iter().map(of).sum::<f64>() / steps.len() as f64;
    Err(LearnerError::NoUpdate(Box::new(Idle {
        steps: steps.len(),
        all_fail: mean(|step| step.all_fail),
        all_pass: mean(|step| step.all_pass),
        limits: *limits,
        bounds: [
            spec.max_trajectory_tokens,
            spec.max_turns,
            spec.max_tokens_per_turn,
        ],
    })))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(n: usize, step: &Step) -> Vec<Step> {
        vec![step.clone(); n]
    }

    fn checked(steps: &[Step]) -> Result<(), LearnerError> {
        check(steps, &Limits::default(), &GrpoSpec::default())
    }

    #[test]
    fn steps_that_change_nothing_end_training_with_their_cause_and_a_solved_suite_does_not() {
        let failing = Step {
            all_fail: 1.0,
            truncated_ratio: 1.0,
            ..Step::default()
        };
        let learning = Step {
            grad_norm: 0.3,
            ..failing
        };
        assert!(checked(&steps(IDLE - 1, &failing)).is_ok());
        let error = checked(&steps(IDLE, &failing)).unwrap_err();
        let message = error.to_string();
        assert!(
            matches!(error, LearnerError::NoUpdate(_)) && message.contains("100 %"),
            "{message}"
        );
        let mut broken = steps(IDLE, &failing);
        broken[3] = learning.clone();
        assert!(checked(&broken).is_ok(), "one update in between");
        let settled = Step {
            all_fail: 0.3,
            all_pass: 0.7,
            ..Step::default()
        };
        assert!(checked(&steps(IDLE, &settled)).is_err(), "it never learned");
        let mut learned = vec![learning.clone()];
        learned.extend(steps(IDLE, &settled));
        assert!(checked(&learned).is_ok(), "it has learned what it can");
        let mut collapsed = vec![learning];
        collapsed.extend(steps(IDLE, &failing));
        assert!(checked(&collapsed).is_err(), "every rollout fails");
        let solved = Step {
            all_pass: 1.0,
            ..Step::default()
        };
        assert!(checked(&steps(3 * IDLE, &solved)).is_ok());
    }

    #[test]
    fn a_training_whose_time_is_up_before_its_first_update_has_failed_whatever_the_number_of_steps()
    {
        let failing = Step {
            all_fail: 1.0,
            ..Step::default()
        };
        let learning = Step {
            grad_norm: 0.3,
            ..Step::default()
        };
        let over = |steps: &[Step]| updated(steps, &Limits::default(), &GrpoSpec::default());
        assert!(over(&steps(2, &failing)).is_err());
        assert!(over(&[learning, failing]).is_ok());
        assert!(over(&[]).is_ok());
    }

    #[test]
    fn gradients_that_stay_not_finite_end_training() {
        let skipped = Step {
            skipped_updates: 4,
            ..Step::default()
        };
        assert!(checked(&steps(DIVERGED - 1, &skipped)).is_ok());
        assert!(matches!(
            checked(&steps(DIVERGED, &skipped)),
            Err(LearnerError::Diverged { .. })
        ));
    }
}
