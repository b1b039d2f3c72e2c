//! A step's figures, and the sums over its groups that they are computed from.

use serde::{Deserialize, Serialize};

use super::Group;
use crate::figure;
use crate::filter::Counts;
use crate::rollout::End;

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
    pub filter: Counts,
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
