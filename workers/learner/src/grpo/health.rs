//! Signs that training no longer learns: steps whose gradients are not finite, and steps without any update.

use super::Step;
use crate::LearnerError;

/// Steps in a row, all of whose updates were skipped because the gradient was not finite, after which training fails.
const DIVERGED: usize = 5;
/// Steps in a row without an update after which training fails.
const IDLE: usize = 10;

/// Checks the steps so far.
///
/// # Errors
/// [`LearnerError::Diverged`] or [`LearnerError::NoUpdate`] after too many steps in a row that changed nothing. A policy that
/// passes every task has nothing to learn, which is no failure.
pub(super) fn check(steps: &[Step]) -> Result<(), LearnerError> {
    let row = |is: fn(&Step) -> bool| steps.iter().rev().take_while(|step| is(step)).count();
    let unchanged = |step: &Step| step.grad_norm == 0.0;
    if row(|step| step.grad_norm == 0.0 && step.skipped_updates > 0) >= DIVERGED {
        return Err(LearnerError::Diverged { count: DIVERGED });
    }
    let idle = &steps[steps.len().saturating_sub(IDLE)..];
    let solved = |step: &Step| step.all_pass == 1.0;
    if idle.len() == IDLE && idle.iter().all(unchanged) && !idle.iter().all(solved) {
        let mean = |of: fn(&Step) -> f64| idle.iter().map(of).sum::<f64>() / IDLE as f64;
        return Err(LearnerError::NoUpdate {
            steps: IDLE,
            all_fail: mean(|step| step.all_fail),
            all_pass: mean(|step| step.all_pass),
            truncated: mean(|step| step.truncated_ratio),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(n: usize, step: &Step) -> Vec<Step> {
        vec![step.clone(); n]
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
        assert!(check(&steps(IDLE - 1, &failing)).is_ok());
        let error = check(&steps(IDLE, &failing)).unwrap_err();
        let message = error.to_string();
        assert!(
            matches!(error, LearnerError::NoUpdate { .. }) && message.contains("100 %"),
            "{message}"
        );
        let mut broken = steps(IDLE, &failing);
        broken[3] = learning;
        assert!(check(&broken).is_ok(), "one update in between");
        let solved = Step {
            all_pass: 1.0,
            ..Step::default()
        };
        assert!(check(&steps(3 * IDLE, &solved)).is_ok());
    }

    #[test]
    fn gradients_that_stay_not_finite_end_training() {
        let skipped = Step {
            skipped_updates: 4,
            ..Step::default()
        };
        assert!(check(&steps(DIVERGED - 1, &skipped)).is_ok());
        assert!(matches!(
            check(&steps(DIVERGED, &skipped)),
            Err(LearnerError::Diverged { .. })
        ));
    }
}
