//! Who plays the groups of a step: this process at its own arena, or others in its place.
//!
//! What a seat samples depends on its key and the weights alone, so whoever plays it plays the same, up to the last bits of
//! float32 sums: those depend on what is played together. Who deals seats as [`deal`] does gets the same bits too.

use crate::LearnerError;
use crate::rollout::{Agent, Arena, Player, Seat, Trajectory, User};

/// What hears how many seats are done, and may stop the play with an error.
pub type OnWave<'a> = dyn FnMut(usize) -> Result<(), LearnerError> + 'a;

/// Those who play.
pub trait Players {
    /// Plays every seat to its end with the policy as it is now, and returns them in order. `step` is part of every random
    /// key, and the version that sampled tokens are stamped with.
    ///
    /// # Errors
    /// Only what stops the whole batch; an episode's own error is in its trajectory.
    fn play(
        &mut self,
        seats: &[Seat<'_>],
        step: u64,
        on_wave: &mut OnWave<'_>,
    ) -> Result<Vec<Trajectory>, LearnerError>;
}

/// This process.
pub struct Here<'a> {
    /// Where.
    pub arena: &'a mut Arena,
    /// The policy.
    pub policy: Player<'a>,
    /// The user.
    pub user: User<'a>,
}

impl Players for Here<'_> {
    fn play(
        &mut self,
        seats: &[Seat<'_>],
        step: u64,
        on_wave: &mut OnWave<'_>,
    ) -> Result<Vec<Trajectory>, LearnerError> {
        let policy = Player {
            version: version(step),
            ..self.policy
        };
        self.arena
            .play(seats, Agent::Policy(policy), self.user, step, on_wave)
    }
}

/// The policy version that plays a step.
#[must_use]
pub fn version(step: u64) -> u32 {
    u32::try_from(step).unwrap_or(u32::MAX)
}

/// Seats in the waves and shares in which `tables` for `slots` episodes in all play them.
pub fn deal<T>(seats: &[T], slots: usize, tables: usize) -> impl Iterator<Item = &[T]> {
    let tables = tables.max(1);
    let wave = each(slots, tables) * tables;
    seats
        .chunks(wave)
        .flat_map(move |wave| wave.chunks(wave.len().div_ceil(tables)))
}

/// Episodes at a time at each of `tables` for `slots` in all.
#[must_use]
pub fn each(slots: usize, tables: usize) -> usize {
    slots.div_ceil(tables.max(1)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seats_are_dealt_in_waves_and_every_one_once() {
        let seats: Vec<u32> = (0..11).collect();
        let dealt: Vec<&[u32]> = deal(&seats, 6, 2).collect();
        assert_eq!(dealt, [&[0, 1, 2][..], &[3, 4, 5], &[6, 7, 8], &[9, 10]]);
        assert_eq!(deal(&seats, 3, 8).count(), 11);
        assert_eq!(deal::<u32>(&[], 0, 0).count(), 0);
    }
}
