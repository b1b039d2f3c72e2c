//! The seam between a trainer and its rollouts: groups are submitted, come back when they are played, and follow the weights
//! that the trainer publishes.
//!
//! Expected flow of a step `n`: the trainer publishes version `n` (the weights after step `n - 1`), submits the step's groups,
//! and takes played groups until it has enough. Synchronous training submits nothing before the version it belongs to is
//! published, so nothing it takes is older than that version: it is the case of maximum age 0.
//!
//! Guarantees of a source: `submit` returns at once; every submitted group comes back exactly once, or `next` fails; the
//! tokens of a group are stamped, each with the version that sampled it; a group submitted after `publish(v)` is sampled by
//! version `v` or a newer one. A deterministic source depends on nothing but the requests and the weights.

use std::sync::Arc;

use agoge_model::Decoder;
use agoge_world::Task;

use crate::LearnerError;
use crate::players::{OnProgress, Players};
use crate::rollout::{Seat, Trajectory};

/// One group to be played: several episodes of the same task.
#[derive(Clone, Debug)]
pub struct GroupRequest {
    /// The task that all members play.
    pub task: Arc<Task>,
    /// Number of the group in the run.
    pub group: u64,
    /// Number of members.
    pub members: u64,
    /// Training step that asks for it; part of every random key.
    pub step: u64,
}

/// One group that was played.
#[derive(Clone, Debug)]
pub struct PlayedGroup {
    /// Number of the group, as requested.
    pub group: u64,
    /// One trajectory per member, in their order. An episode's own error is in its trajectory.
    pub members: Vec<Trajectory>,
}

/// A source of rollouts. A rank of several has a source of its own and submits its own share of the groups.
pub trait RolloutSource {
    /// Queues groups to be played and returns at once.
    fn submit(&mut self, groups: Vec<GroupRequest>);

    /// Waits for the next group that is played; `None` when every submitted group has come back. Calls `progress` with the
    /// number of finished episodes from time to time; its error stops the wait.
    ///
    /// # Errors
    /// When no group can be played any more, or `progress` fails.
    fn next(&mut self, progress: &mut OnProgress<'_>) -> Result<Option<PlayedGroup>, LearnerError>;

    /// Hands over the weights of a policy version.
    ///
    /// # Errors
    /// When the weights cannot be handed over.
    fn publish(&mut self, version: u32, weights: &Decoder) -> Result<(), LearnerError>;
}

/// A synchronous source: plays everything that was submitted when the trainer first waits for it.
pub struct Synchronous<'a> {
    players: &'a mut dyn Players,
    submitted: Vec<GroupRequest>,
    played: std::collections::VecDeque<PlayedGroup>,
}

impl<'a> Synchronous<'a> {
    /// A source that has these players play, with the weights as they are at that time.
    pub fn new(players: &'a mut dyn Players) -> Self {
        Self {
            players,
            submitted: Vec::new(),
            played: std::collections::VecDeque::new(),
        }
    }
}

impl RolloutSource for Synchronous<'_> {
    fn submit(&mut self, groups: Vec<GroupRequest>) {
        self.submitted.extend(groups);
    }

    fn next(&mut self, progress: &mut OnProgress<'_>) -> Result<Option<PlayedGroup>, LearnerError> {
        let groups = std::mem::take(&mut self.submitted);
        if let Some(step) = groups.first().map(|request| request.step) {
            let seats: Vec<Seat<'_>> = groups.iter().flat_map(seats_of).collect();
            let mut played = self.players.play(&seats, step, progress)?.into_iter();
            let of_group = |request: &GroupRequest| PlayedGroup {
                group: request.group,
                members: played.by_ref().take(request.members as usize).collect(),
            };
            self.played.extend(groups.iter().map(of_group));
        }
        Ok(self.played.pop_front())
    }

    /// The players read the trainer's own weights, so there is nothing to hand over.
    fn publish(&mut self, _: u32, _: &Decoder) -> Result<(), LearnerError> {
        Ok(())
    }
}

/// The seats of a group.
fn seats_of(request: &GroupRequest) -> impl Iterator<Item = Seat<'_>> {
    (0..request.members).map(|member| Seat {
        task: &request.task,
        group: request.group,
        member,
    })
}
