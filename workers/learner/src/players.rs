//! The players of a step's groups: this process in its own arena, or others in its place.
//!
//! A seat's samples depend on its key and the weights alone, up to the last bits of float32 sums: those depend on who is
//! sampled together. Seats that are dealt with [`shares`](crate::tasks::shares) to the same number of pieces, played with the
//! same slots, get the same bits wherever they are played.

use crate::LearnerError;
use crate::arena::Arena;
use crate::rollout::{Agent, Player, Seat, Trajectory, User};

/// A callback with the number of finished episodes, which may stop the play with an error.
pub type OnProgress<'a> = dyn FnMut(usize) -> Result<(), LearnerError> + 'a;

/// Those who play.
pub trait Players {
    /// Plays every seat to its end with the policy as it is now, and returns the trajectories in the order of the seats.
    /// `step` is part of every random key, and the version that sampled tokens are stamped with.
    ///
    /// # Errors
    /// Only failures of the whole batch; an episode's own error is in its trajectory.
    fn play(
        &mut self,
        seats: &[Seat<'_>],
        step: u64,
        progress: &mut OnProgress<'_>,
    ) -> Result<Vec<Trajectory>, LearnerError>;
}

/// Rollouts in this process.
pub struct LocalRollouts<'a> {
    /// The tables.
    pub arena: &'a mut Arena,
    /// The policy.
    pub policy: Player<'a>,
    /// The user.
    pub user: User<'a>,
}

impl Players for LocalRollouts<'_> {
    fn play(
        &mut self,
        seats: &[Seat<'_>],
        step: u64,
        progress: &mut OnProgress<'_>,
    ) -> Result<Vec<Trajectory>, LearnerError> {
        let policy = Player {
            version: version(step),
            ..self.policy
        };
        self.arena
            .play(seats, Agent::Policy(policy), self.user, step, progress)
    }
}

/// Returns the policy version that plays a step.
#[must_use]
pub fn version(step: u64) -> u32 {
    u32::try_from(step).unwrap_or(u32::MAX)
}
