//! A step's figures, and the sums over its groups that they are computed from.

use super::Group;
use crate::rollout::End;

pub use agoge_artifacts::Step;

/// Sums over groups.
#[derive(Default)]
pub(super) struct Seen {
    groups: f64,
    all_pass: f64,
    all_fail: f64,
    mixed: f64,
    rewards: Vec<f64>,
    members: f64,
    turns: f64,
    calls: f64,
    failed: f64,
    truncated: f64,
    sampled: u64,
    errors: u64,
}

impl Seen {
    /// Adds a group.
    pub(super) fn count(&mut self, group: &Group) {
        let rewards: Vec<f64> = group.rewards.iter().flatten().copied().collect();
        let passed = rewards.iter().filter(|r| **r > 0.5).count();
        self.groups += 1.0;
        match passed {
            0 => self.all_fail += 1.0,
            n if n == rewards.len() => self.all_pass += 1.0,
            _ => self.mixed += 1.0,
        }
        self.errors += (group.rewards.len() - rewards.len()) as u64;
        self.rewards.extend(rewards);
        for member in &group.members {
            self.members += 1.0;
            self.turns += f64::from(member.turns);
            self.calls += f64::from(member.calls);
            self.failed += f64::from(member.failed_calls);
            self.truncated += f64::from(u8::from(
                member.end == End::TokenLimit || member.end == End::TurnLimit,
            ));
            self.sampled += member.transcript.trained_tokens() as u64;
        }
    }

    /// Returns the figures of a step that generated the groups counted here and trains on `trained`.
    pub(super) fn figures(&self, trained: &[Group]) -> Step {
        if self.groups > 0.0 {
            return self.means();
        }
        let mut carried = Self::default();
        trained.iter().for_each(|group| carried.count(group));
        Step {
            sampled_tokens: 0,
            errors: 0,
            ..carried.means()
        }
    }

    fn means(&self) -> Step {
        let groups = self.groups.max(1.0);
        let members = self.members.max(1.0);
        Step {
            reward_all: self.rewards.iter().sum::<f64>() / self.rewards.len().max(1) as f64,
            all_pass: self.all_pass / groups,
            all_fail: self.all_fail / groups,
            mixed: self.mixed / groups,
            turns: self.turns / members,
            tool_calls: self.calls / members,
            tool_fail_rate: self.failed / self.calls.max(1.0),
            truncated_ratio: self.truncated / members,
            sampled_tokens: self.sampled,
            errors: self.errors,
            ..Step::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_with_figures_that_are_no_numbers_is_read_back() {
        let step = Step {
            step: 3,
            loss: f64::NAN,
            grad_norm: f64::INFINITY,
            pass1: Some(0.5),
            ..Step::default()
        };
        let back: Step = serde_json::from_str(&serde_json::to_string(&step).unwrap()).unwrap();
        assert!(back.loss.is_nan() && back.grad_norm.is_nan());
        assert_eq!((back.step, back.pass1, back.entropy), (3, Some(0.5), 0.0));
    }
}
