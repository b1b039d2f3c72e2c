//! The place where episodes are played in this process: tables on threads of their own, each with a sandbox and a batch.
//!
//! Each table has a queue of seats and as many live episodes as it has slots; an episode that ends makes room for the next
//! one at once. In a repeatable run a table's seats are a function of the numbers alone, so every batch is too; in any other
//! a table without seats takes those of another, and a table of a small model has fewer slots (see [`table_slots`]).

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use agoge_checker::Judge;
use agoge_dialogue::SampleKey;
use agoge_world::{Rules, SandboxBackend, World, WorldError};
use parking_lot::Mutex;

use crate::LearnerError;
use crate::parallel::{self, Parallelism};
use crate::rollout::{
    Agent, AgentScript, AgentSide, Format, Player, Seat, Table, Trajectory, User, UserSide, episode,
};
use crate::sampler::BatchSampler;
use crate::tasks::{Batching, Pace, Queues, Task, drive};

/// Live episodes of a table at most, by the size of its largest model.
const SLOTS_OF_SMALL: usize = 64;
const SLOTS_OF_LARGE: usize = 256;
/// Parameters above which a model counts as large.
const LARGE: usize = 50_000_000;

/// Returns the live episodes of a table that is asked to have `wanted`.
///
/// Every step of a batch reads all weights once, whatever the number of its sequences. The weights of a large model come
/// from memory each time, so a large batch pays. Those of a small model stay in the processor's cache: 64 sequences are
/// enough to share the fixed cost of a step, and the activations, keys and values of more would push each other out of the
/// cache. Seats above the bound wait in the table's queue.
#[must_use]
pub fn table_slots(wanted: usize, parameters: usize) -> usize {
    let most = if parameters > LARGE {
        SLOTS_OF_LARGE
    } else {
        SLOTS_OF_SMALL
    };
    wanted.clamp(1, most)
}

/// Tables and the rules that episodes are played by.
pub struct Arena {
    tables: Vec<(World, Judge)>,
    parallelism: Parallelism,
    /// Live episodes of a table that are asked for.
    slots: usize,
    rules: Rules,
    seed: u64,
}

/// The agent on its way to a table's thread.
enum SeatedAgent<'a> {
    Policy(Format<'a>, Box<BatchSampler>),
    Script(&'a AgentScript<'a>),
}

/// The state that the threads of a play share with the one that waits for them.
struct Progress {
    finished: AtomicUsize,
    cancelled: AtomicBool,
}

impl Arena {
    /// An arena for at most `slots` live episodes in all, with one table per piece.
    ///
    /// # Errors
    /// When a sandbox does not start.
    pub fn open(
        world: impl Fn() -> Result<World, WorldError>,
        parallelism: Parallelism,
        slots: usize,
        rules: &Rules,
        seed: u64,
    ) -> Result<Self, WorldError> {
        let table = |_| Ok::<_, WorldError>((world()?, Judge::new()));
        Ok(Self {
            tables: (0..parallelism.pieces())
                .map(table)
                .collect::<Result<_, _>>()?,
            slots: slots.div_ceil(parallelism.pieces()).max(1),
            parallelism,
            rules: rules.clone(),
            seed,
        })
    }

    /// Sets the number of live episodes of each table, for an arena that plays pieces of others.
    pub fn set_slots(&mut self, slots: usize) {
        self.slots = slots.max(1);
    }

    /// Returns the live episodes of each table in a play of these parties. The bits of a repeatable play depend on it, so
    /// that takes exactly the number it is asked for.
    fn slots_for(&self, agent: Agent<'_>, user: User<'_>) -> usize {
        if self.parallelism.is_repeatable() {
            return self.slots;
        }
        let of_agent = match agent {
            Agent::Policy(player) => player.decoder.parameter_count(),
            Agent::Script(_) => 0,
        };
        let of_user = match user {
            User::Model(player) => player.decoder.parameter_count(),
            User::Scripted => 0,
        };
        table_slots(self.slots, of_agent.max(of_user))
    }

    /// Plays every seat to its end and returns the trajectories in the order of the seats. `step` is part of every random
    /// key. `progress` is called with the number of finished episodes from time to time, and may stop the play with an error.
    ///
    /// # Errors
    /// Only failures of the whole play, such as a model that does not fit its tokenizer; an episode's own error is in its
    /// trajectory.
    pub fn play(
        &mut self,
        seats: &[Seat<'_>],
        agent: Agent<'_>,
        user: User<'_>,
        step: u64,
        mut progress: impl FnMut(usize) -> Result<(), LearnerError>,
    ) -> Result<Vec<Trajectory>, LearnerError> {
        let repeatable = self.parallelism.is_repeatable();
        let slots = self.slots_for(agent, user);
        let queues = Queues::deal(seats.len(), self.tables.len(), !repeatable);
        let shared = Progress {
            finished: AtomicUsize::new(0),
            cancelled: AtomicBool::new(false),
        };
        let run = Run {
            seats,
            queues: &queues,
            shared: &shared,
            rules: &self.rules,
            slots,
            pace: if repeatable {
                Pace::Lockstep
            } else {
                Pace::Eager
            },
            key: SampleKey {
                seed: self.seed,
                step,
                ..SampleKey::default()
            },
        };
        let sampler = |player: Player<'_>, twice: usize| {
            let batch = player.batch(slots, length(&self.rules, player) * twice);
            Box::new(BatchSampler::new(batch, slots, player.version))
        };
        let tables: Vec<_> = (0..)
            .zip(&mut self.tables)
            .map(|(number, (world, judge))| {
                let agent = match agent {
                    Agent::Policy(player) => {
                        SeatedAgent::Policy(player.format(), sampler(player, 1))
                    }
                    Agent::Script(next) => SeatedAgent::Script(next),
                };
                // A user sees no tool traffic, so its sequence is no longer than the agent's plus its instruction.
                let user = match user {
                    User::Scripted => None,
                    User::Model(player) => Some((player.format(), sampler(player, 2))),
                };
                (number, world, judge, agent, user)
            })
            .collect();
        let stopped = Mutex::new(None);
        let watch = || {
            if let Err(error) = progress(shared.finished.load(Ordering::Relaxed)) {
                shared.cancelled.store(true, Ordering::Relaxed);
                *stopped.lock() = Some(error);
            }
        };
        let threads = self.parallelism.threads();
        let played = parallel::run_watched(
            threads,
            tables,
            |(number, world, judge, agent, user)| run.table(number, world, judge, agent, user),
            watch,
        );
        if let Some(error) = stopped.lock().take() {
            return Err(error);
        }
        let mut finished = Vec::with_capacity(seats.len());
        for of_table in played {
            finished.extend(of_table?);
        }
        finished.sort_by_key(|(seat, _)| *seat);
        Ok(finished.into_iter().map(|(_, one)| one).collect())
    }
}

/// One play, as its tables see it.
struct Run<'a> {
    seats: &'a [Seat<'a>],
    queues: &'a Queues,
    shared: &'a Progress,
    rules: &'a Rules,
    slots: usize,
    pace: Pace,
    key: SampleKey,
}

impl Run<'_> {
    /// Plays one table's queue to its end.
    fn table(
        &self,
        number: usize,
        world: &mut World,
        judge: &mut Judge,
        agent: SeatedAgent<'_>,
        user: Option<(Format<'_>, Box<BatchSampler>)>,
    ) -> Result<Vec<(usize, Trajectory)>, LearnerError> {
        let mut engines = Vec::new();
        let agent = match &agent {
            SeatedAgent::Policy(format, sampler) => {
                engines.push(sampler.as_ref());
                AgentSide::Policy(*format, sampler)
            }
            SeatedAgent::Script(next) => AgentSide::Script(*next),
        };
        let user = match &user {
            Some((format, sampler)) => {
                engines.push(sampler.as_ref());
                UserSide::Model(*format, sampler)
            }
            None => UserSide::Scripted,
        };
        let world = SandboxBackend::new(world);
        let table = Table {
            world: &world,
            judge: RefCell::new(judge),
            rules: self.rules,
            agent,
            user,
        };
        let engines = Engines {
            engines,
            cancelled: &self.shared.cancelled,
        };
        let next = |place: usize| {
            let number = self.queues.next(number)?;
            let seat = self.seats[number];
            let key = SampleKey {
                group: seat.group,
                member: seat.member,
                ..self.key
            };
            let table = &table;
            let task: Task<'_, _> = Box::pin(async move {
                let trajectory = episode(table, place as u64, seat, key).await;
                (number, trajectory)
            });
            Some(task)
        };
        let mut finished = Vec::new();
        drive(self.slots, self.pace, &engines, next, |one| {
            finished.push(one);
            self.shared.finished.fetch_add(1, Ordering::Relaxed);
            engines.check()
        })?;
        Ok(finished)
    }
}

/// The batches of both parties, until the play is cancelled. Each step is one of every batch that has turns.
struct Engines<'a> {
    engines: Vec<&'a BatchSampler>,
    cancelled: &'a AtomicBool,
}

impl Engines<'_> {
    fn check(&self) -> Result<(), LearnerError> {
        match self.cancelled.load(Ordering::Relaxed) {
            true => Err(LearnerError::Stopped),
            false => Ok(()),
        }
    }
}

impl Batching for Engines<'_> {
    type Error = LearnerError;

    fn waiting(&self) -> usize {
        self.engines.iter().map(|one| one.waiting()).sum()
    }

    fn step(&self) -> Result<(), LearnerError> {
        self.check()?;
        for engine in &self.engines {
            if engine.waiting() > 0 {
                engine.step()?;
            }
        }
        Ok(())
    }
}

/// Returns the ids of an agent's sequence at most.
fn length(rules: &Rules, player: Player<'_>) -> usize {
    let all = rules.max_trajectory_tokens.map(|tokens| tokens as usize);
    let all = all.unwrap_or_else(|| player.decoder.config().max_position_embeddings);
    all + rules.max_agent_tokens as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_of_a_small_model_has_fewer_slots_and_no_table_has_more_than_it_is_asked_for() {
        let (small, large) = (1_500_000, 500_000_000);
        assert_eq!(table_slots(256, small), 64);
        assert_eq!(table_slots(256, large), 256);
        assert_eq!(table_slots(1024, large), 256);
        assert_eq!((table_slots(24, small), table_slots(0, large)), (24, 1));
    }
}
