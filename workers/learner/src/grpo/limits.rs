//! The limits of a rollout: how many rollouts each of them ended, and whether demonstrations fit into them at all.

use std::fmt;

use agoge_crds::grpo_run::GrpoSpec;
use agoge_dialogue::{Message, Role, Transcript};
use serde::{Deserialize, Serialize};

use crate::LearnerError;
use crate::rollout::{End, Trajectory};

/// From this share of rollouts on, limits are the reason that a training learns nothing.
const MANY: f64 = 0.5;
/// A limit that ended fewer rollouts than this share is not advised to be raised.
const FEW: f64 = 0.1;

/// Rollouts by the limit that ended them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Limits {
    /// All rollouts, whatever ended them.
    pub rollouts: u64,
    /// Those that `maxTurns` ended.
    pub turns: u64,
    /// Those that `maxTokensPerTurn` ended.
    pub turn_tokens: u64,
    /// Those that `maxTrajectoryTokens` ended.
    pub trajectory_tokens: u64,
}

impl Limits {
    /// Counts a rollout that was played under these settings.
    pub(super) fn count(&mut self, rollout: &Trajectory, spec: &GrpoSpec) {
        self.rollouts += 1;
        let whole = rollout.transcript.ids.len() >= spec.max_trajectory_tokens as usize;
        match rollout.end {
            End::TurnLimit => self.turns += 1,
            End::TokenLimit if whole => self.trajectory_tokens += 1,
            End::TokenLimit => self.turn_tokens += 1,
            _ => {}
        }
    }
}

/// Steps that brought no update, and the ends of their rollouts.
#[derive(Clone, Debug, PartialEq)]
pub struct Idle {
    /// Number of steps.
    pub steps: usize,
    /// Share of groups in which no rollout passed.
    pub all_fail: f64,
    /// Share of groups in which every rollout passed.
    pub all_pass: f64,
    /// The ends of the rollouts.
    pub limits: Limits,
    /// `maxTrajectoryTokens`, `maxTurns` and `maxTokensPerTurn`.
    pub bounds: [u32; 3],
}

impl Idle {
    /// Returns the limits with the share of rollouts that each ended, the most frequent first.
    fn shares(&self) -> Vec<(&'static str, u32, f64)> {
        let Limits {
            rollouts,
            turns,
            turn_tokens,
            trajectory_tokens,
        } = self.limits;
        let [trajectory, most_turns, turn] = self.bounds;
        let share = |count: u64| count as f64 / rollouts.max(1) as f64;
        let mut shares = vec![
            ("maxTrajectoryTokens", trajectory, share(trajectory_tokens)),
            ("maxTurns", most_turns, share(turns)),
            ("maxTokensPerTurn", turn, share(turn_tokens)),
        ];
        shares.sort_by(|a, b| b.2.total_cmp(&a.2));
        shares
    }

    /// Returns true if limits ended most of the rollouts.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.shares().iter().map(|(_, _, share)| share).sum::<f64>() >= MANY
    }

    /// Returns the suggested fix.
    fn fix(&self) -> String {
        let shares = self.shares();
        if self.is_cut() {
            let raised: Vec<&str> = shares
                .iter()
                .enumerate()
                .filter(|(at, (_, _, share))| *at == 0 || *share >= FEW)
                .map(|(_, (name, _, _))| *name)
                .collect();
            return format!("raise {} under stages.grpo", raised.join(" and "));
        }
        if self.all_pass > self.all_fail {
            return "the policy solves these tasks already; give the split trainRl harder ones"
                .into();
        }
        "train the policy on more demonstrations first (a larger target of the SynthesisJob, or more \
         stages.agentSFT.maxEpochs), or raise stages.grpo.groupSize"
            .into()
    }
}

impl fmt::Display for Idle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |share: f64| format!("{:.0} %", 100.0 * share);
        let ends: Vec<String> = self
            .shares()
            .iter()
            .map(|(name, bound, share)| format!("{} met {name} ({bound})", percent(*share)))
            .collect();
        write!(
            f,
            "{} steps in a row brought no update: in {} of their groups no rollout passed, in {} every one did; of {} rollouts {}; {}",
            self.steps,
            percent(self.all_fail),
            percent(self.all_pass),
            self.limits.rollouts,
            ends.join(", "),
            self.fix()
        )
    }
}

/// The size of a demonstration, as the limits of a rollout count it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Agent turns, calls included.
    pub turns: usize,
    /// Tokens of the longest agent turn.
    pub turn_tokens: usize,
    /// Tokens up to the agent's last one.
    pub tokens: usize,
}

impl Size {
    /// Returns the size of a demonstration and its tokens.
    #[must_use]
    pub fn of(messages: &[Message], transcript: &Transcript) -> Self {
        let turns = messages.iter().filter(|m| m.role == Role::Assistant);
        let last = transcript.mask.iter().rposition(|trained| *trained);
        let longest = transcript
            .mask
            .chunk_by(|a, b| a == b)
            .filter(|run| run.first() == Some(&true))
            .map(<[bool]>::len)
            .max();
        Self {
            turns: turns.count(),
            turn_tokens: longest.unwrap_or(0),
            tokens: last.map_or(0, |at| at + 1),
        }
    }
}

/// Checks that demonstrations fit into the rollouts that are to be played: what is longer than them cannot be imitated.
///
/// # Errors
/// [`LearnerError::DoNotFit`] where at most one in ten fits, with the sizes that would hold them all.
pub fn check_fit(spec: &GrpoSpec, sizes: &[Size]) -> Result<(), LearnerError> {
    type Limit = (&'static str, u32, fn(&Size) -> usize);
    let limits: [Limit; 3] = [
        ("maxTrajectoryTokens", spec.max_trajectory_tokens, |s| {
            s.tokens
        }),
        ("maxTurns", spec.max_turns, |s| s.turns),
        ("maxTokensPerTurn", spec.max_tokens_per_turn, |s| {
            s.turn_tokens
        }),
    ];
    let fits = |size: &&Size| {
        limits
            .iter()
            .all(|(_, most, of)| of(size) <= *most as usize)
    };
    let fitting = sizes.iter().filter(fits).count();
    if sizes.is_empty() || fitting * 10 > sizes.len() {
        return Ok(());
    }
    let raise: Vec<String> = limits
        .iter()
        .filter_map(|(name, most, of)| {
            let needed = sizes.iter().map(of).max()?;
            (needed > *most as usize).then(|| format!("{name} ({most}) to {needed} or more"))
        })
        .collect();
    Err(LearnerError::DoNotFit {
        fitting,
        of: sizes.len(),
        raise: raise.join(", "),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn idle(trajectory_tokens: u64, turns: u64, turn_tokens: u64, all_pass: f64) -> Idle {
        Idle {
            steps: 10,
            all_fail: 1.0 - all_pass,
            all_pass,
            limits: Limits {
                rollouts: 100,
                turns,
                turn_tokens,
                trajectory_tokens,
            },
            bounds: [300, 12, 64],
        }
    }

    #[test]
    fn steps_without_an_update_name_the_limits_that_cut_their_rollouts_and_advise_those_alone() {
        let cut = idle(83, 12, 1, 0.0);
        let said = cut.to_string();
        assert!(cut.is_cut(), "{said}");
        assert!(
            said.contains("83 % met maxTrajectoryTokens (300), 12 % met maxTurns (12)"),
            "{said}"
        );
        assert!(
            said.ends_with("raise maxTrajectoryTokens and maxTurns under stages.grpo"),
            "{said}"
        );
        for (other, words) in [
            (idle(3, 2, 1, 0.0), "more demonstrations"),
            (idle(0, 0, 0, 0.9), "harder ones"),
        ] {
            let said = other.to_string();
            assert!(!other.is_cut() && said.contains(words), "{said}");
            assert!(!said.contains("under stages.grpo"), "{said}");
        }
    }

    #[test]
    fn demonstrations_that_no_rollout_has_room_for_are_refused_with_the_sizes_they_need() {
        let spec = GrpoSpec::default();
        let size = |tokens: usize| Size {
            turns: 4,
            turn_tokens: 20,
            tokens,
        };
        assert!(check_fit(&spec, &[]).is_ok());
        let mut sizes = vec![size(512); 19];
        sizes.push(size(431));
        let said = check_fit(&spec, &sizes).unwrap_err().to_string();
        assert!(
            said.contains("none of 20") && said.contains("maxTrajectoryTokens (300) to 512"),
            "{said}"
        );
        assert!(!said.contains("maxTurns"), "{said}");
        sizes.extend([size(300); 3]);
        assert!(check_fit(&spec, &sizes).is_ok(), "some can be imitated");
    }

    #[test]
    fn a_demonstration_is_as_long_as_its_last_trained_token() {
        let mut transcript = Transcript::default();
        transcript.push_context(&[1, 2, 3]);
        transcript.push_sampled(&[4, 5], &[], 0);
        transcript.push_context(&[6]);
        transcript.push_sampled(&[7, 8, 9], &[], 0);
        transcript.push_context(&[10, 11]);
        let messages = [
            Message::user("a"),
            Message::assistant("b"),
            Message::assistant("c"),
        ];
        let expected = Size {
            turns: 2,
            turn_tokens: 3,
            tokens: 9,
        };
        assert_eq!(Size::of(&messages, &transcript), expected);
    }
}
