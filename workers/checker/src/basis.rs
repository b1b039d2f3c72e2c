//! The kinds of checks on which a task's reward rests.
use agoge_world::{Basis, Task};

/// Returns true when a kind of check decides the task's reward: the task's basis names it or, where the basis is empty, it is
/// not [`Basis::Judge`]. A generated script always counts.
pub fn counts(task: &Task, kind: Basis) -> bool {
    match task.basis.is_empty() {
        true => kind != Basis::Judge,
        false => task.basis.contains(&kind),
    }
}

/// Returns true when the end state alone decides the reward: nothing must be said, called or asserted, and no script or
/// model judges.
pub fn only_state(task: &Task) -> bool {
    let asked = |kind: Basis, something: bool| something && counts(task, kind);
    counts(task, Basis::State)
        && task.checker.is_none()
        && !asked(Basis::Outputs, !task.outputs.is_empty())
        && !asked(Basis::Calls, !task.calls.is_empty())
        && !asked(Basis::Asserts, !task.asserts.is_empty())
        && !asked(Basis::Judge, !task.judge.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_basis_counts_all_but_the_opinion_of_a_model() {
        let of = |basis: &[Basis]| Task {
            basis: basis.to_vec(),
            outputs: vec!["12".into()],
            judge: vec!["it is polite".into()],
            ..Task::default()
        };
        let all = [
            Basis::State,
            Basis::Outputs,
            Basis::Asserts,
            Basis::Calls,
            Basis::Judge,
        ];
        let counted = |task: &Task| all.into_iter().filter(|kind| counts(task, *kind)).count();
        assert_eq!(counted(&of(&[])), 4);
        assert!(!counts(&of(&[]), Basis::Judge));
        assert_eq!(counted(&of(&[Basis::Judge])), 1);
        assert!(!only_state(&of(&[])));
        assert!(only_state(&of(&[Basis::State])));
        assert!(!only_state(&of(&[Basis::State, Basis::Judge])));
        assert!(!only_state(&of(&[Basis::Asserts])));
    }
}
