//! Which task is played next: each once a round, in an order of its own; one that the policy has solved rests for a while.
//!
//! A group that passes as a whole teaches nothing, and filtering finds that out only after it was played. A task whose last
//! group passed is left out of the next `rest` rounds and then tried again, since a policy can forget.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::shuffle::shuffled;

/// Where it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Curriculum {
    /// Places of all rounds that were passed, drawn or not.
    cursor: u64,
    /// Tasks whose last group passed, and in which round that was.
    solved: BTreeMap<usize, u64>,
}

impl Curriculum {
    /// The next of `tasks` tasks.
    pub(super) fn draw(&mut self, tasks: usize, seed: u64, rest: u64) -> usize {
        let tasks = tasks.max(1);
        let mut order = (u64::MAX, Vec::new());
        loop {
            let (round, at) = (self.cursor / tasks as u64, self.cursor % tasks as u64);
            self.cursor += 1;
            if order.0 != round {
                order = (round, shuffled(tasks, seed, round));
            }
            let task = order.1[usize::try_from(at).unwrap_or(0)];
            let since = self.solved.get(&task).filter(|_| rest > 0);
            if since.is_none_or(|since| round - since > rest) {
                return task;
            }
        }
    }

    /// Takes over how the group of a task went.
    pub(super) fn note(&mut self, task: usize, tasks: usize, rewards: &[Option<f64>]) {
        let valid = rewards.iter().flatten();
        let solved = valid.clone().count() > 1 && valid.clone().all(|reward| *reward >= 1.0);
        if solved {
            self.solved
                .insert(task, self.cursor.saturating_sub(1) / tasks.max(1) as u64);
        } else {
            self.solved.remove(&task);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: u64 = 7;

    fn round(curriculum: &mut Curriculum, tasks: usize, n: usize, rest: u64) -> Vec<usize> {
        let mut drawn: Vec<usize> = (0..n).map(|_| curriculum.draw(tasks, SEED, rest)).collect();
        drawn.sort_unstable();
        drawn
    }

    #[test]
    fn a_solved_task_rests_and_is_tried_again_and_one_that_is_not_is_played_every_round() {
        let mut curriculum = Curriculum::default();
        assert_eq!(round(&mut curriculum, 4, 4, 2), [0, 1, 2, 3]);
        for solved in [1, 2] {
            curriculum.note(solved, 4, &[Some(1.0), Some(1.0), None]);
        }
        curriculum.note(3, 4, &[Some(1.0), None]);
        assert_eq!(
            round(&mut curriculum, 4, 2, 2),
            [0, 3],
            "one member says nothing of a group"
        );
        assert_eq!(round(&mut curriculum, 4, 2, 2), [0, 3]);
        assert_eq!(
            round(&mut curriculum, 4, 4, 2),
            [0, 1, 2, 3],
            "a policy can forget"
        );
        curriculum.note(1, 4, &[Some(0.0), Some(1.0)]);
        curriculum.note(2, 4, &[Some(1.0), Some(1.0)]);
        assert_eq!(round(&mut curriculum, 4, 3, 2), [0, 1, 3]);
    }

    #[test]
    fn when_all_rest_the_first_to_wake_is_played_and_without_rest_all_always_are() {
        let mut curriculum = Curriculum::default();
        round(&mut curriculum, 3, 3, 5);
        for task in 0..3 {
            curriculum.note(task, 3, &[Some(1.0), Some(1.0)]);
        }
        let mut other = curriculum.clone();
        assert_eq!(round(&mut curriculum, 3, 3, 5), [0, 1, 2]);
        assert_eq!(round(&mut other, 3, 3, 0), [0, 1, 2]);
    }
}
