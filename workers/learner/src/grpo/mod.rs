//! GRPO: play groups, filter and refill, trajectory-level advantages, one or several optimiser updates.
//!
//! A step's groups come from a cursor over the tasks, reshuffled each round by (seed, round). All members of a group
//! play the same task; the advantage is a statistic over its trajectories; every trained token of a trajectory carries
//! it. State for a resume is whole after each step.
//!
//! Each of several ranks plays every n-th group and sends the others the outcome; so every rank sees the same groups, filters
//! them alike and trains its share of them, with the token counts of the whole step.

mod figures;
mod generate;
mod health;
mod limits;
mod room;
mod update;

use std::rc::Rc;
use std::time::Instant;

use agoge_c10d::Ranks;
use agoge_crds::grpo_run::GrpoSpec;
use agoge_model::Decoder;
use agoge_world::Task;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::LearnerError;
use crate::adamw::{AdamW, Settings};
use crate::advantage::advantages;
use crate::filter::Refill;
use crate::objective::Objective;
use crate::parallel::Parallelism;
use crate::players::{OnProgress, version};
use crate::ranks::{same_weights, state_of_rank_0};
use crate::rollout::Trajectory;
use crate::schedule;
use crate::sft::{put_back, snapshot};
use crate::source::RolloutSource;

pub use figures::Step;
pub use limits::{Idle, Limits, Size, check_fit};
pub use room::check_room;

/// Tokens of one forward pass, unless a caller says otherwise.
const MICRO_BATCH_TOKENS: usize = 8192;

/// Quantity that the learning rate falls along, by a cosine to a tenth.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Decay {
    /// None: the rate stays.
    #[default]
    None,
    /// The number of steps.
    Steps(u64),
    /// The seconds of the run. Never in a deterministic one.
    Seconds(f64),
}

/// A spec with the settings that no manifest names.
#[derive(Clone, Debug, PartialEq)]
pub struct Setup {
    /// The stage's spec, as the manifest gives it.
    pub spec: GrpoSpec,
    /// Fall of the learning rate.
    pub decay: Decay,
    /// Settings of AdamW beside the learning rate.
    pub adamw: Settings,
    /// Tokens of one forward pass.
    pub micro_batch_tokens: usize,
    /// Seed of the order of tasks.
    pub seed: u64,
    /// Threads that training may keep busy, and the micro-batches that an update is cut into at least.
    pub parallelism: Parallelism,
}

impl Setup {
    /// Returns the setup of a spec: seed 0, one thread, a constant learning rate.
    #[must_use]
    pub fn of(spec: GrpoSpec) -> Self {
        let adamw = Settings {
            weight_decay: spec.weight_decay,
            ..Settings::default()
        };
        Self {
            spec,
            decay: Decay::None,
            adamw,
            micro_batch_tokens: MICRO_BATCH_TOKENS,
            seed: 0,
            parallelism: Parallelism::default(),
        }
    }
}

/// A group that waits to be trained on.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Group {
    /// Its trajectories.
    pub members: Vec<Trajectory>,
    /// Their rewards; `None` is left out.
    pub rewards: Vec<Option<f64>>,
    /// Their advantages; 0 for those left out.
    pub advantages: Vec<f64>,
}

impl Group {
    /// Returns the number of policy versions between the oldest trained token and this version.
    #[must_use]
    pub fn age(&self, version: u32) -> u32 {
        let members = self.members.iter().zip(&self.rewards);
        members
            .filter(|(_, reward)| reward.is_some())
            .flat_map(|(member, _)| {
                let transcript = &member.transcript;
                transcript.mask.iter().zip(&transcript.versions)
            })
            .filter(|(trained, _)| **trained)
            .map(|(_, sampled_by)| version.saturating_sub(*sampled_by))
            .max()
            .unwrap_or(0)
    }
}

/// State of a resume beside the tensors.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GrpoState {
    /// Finished steps.
    pub steps: Vec<Step>,
    /// Optimiser updates.
    pub updates: u64,
    /// Tasks drawn so far.
    pub cursor: u64,
    /// Groups generated so far.
    pub groups: u64,
    /// Groups carried to the next step.
    pub surplus: Vec<Group>,
    /// The ends of the rollouts since the last update.
    #[serde(default)]
    pub idle: Limits,
}

/// A trainer between two steps.
pub struct Grpo<'a> {
    decoder: &'a Decoder,
    reference: Option<&'a Decoder>,
    setup: Setup,
    objective: Objective,
    adam: AdamW,
    pool: Refill<Group>,
    ranks: Rc<Ranks>,
    /// Progress so far.
    pub state: GrpoState,
}

impl<'a> Grpo<'a> {
    /// Returns a trainer of `decoder` at the beginning. `reference` is the policy that `klCoefficient` pulls to; without one
    /// there is no pull.
    #[must_use]
    pub fn new(decoder: &'a Decoder, reference: Option<&'a Decoder>, setup: Setup) -> Self {
        let objective = Objective::of(&setup.spec);
        Self {
            decoder,
            reference: reference.filter(|_| objective.needs_reference()),
            adam: AdamW::new(decoder.parameters(), setup.adamw),
            pool: pool(&setup.spec),
            objective,
            setup,
            ranks: Rc::new(Ranks::alone()),
            state: GrpoState::default(),
        }
    }

    /// Joins ranks: weights, moments and progress are rank 0's from here on.
    ///
    /// # Errors
    /// When another rank is lost.
    pub fn among(mut self, ranks: Rc<Ranks>) -> Result<Self, LearnerError> {
        self.ranks = ranks;
        if let Some((tensors, state)) = state_of_rank_0(&self.ranks, self.tensors(), &self.state)? {
            self.restore(&tensors, state)
                .map_err(LearnerError::Message)?;
        }
        Ok(self)
    }

    /// Returns the tensors of a checkpoint.
    #[must_use]
    pub fn tensors(&self) -> Vec<(String, Tensor)> {
        let mut all = self.adam.state();
        all.extend(
            snapshot(self.decoder)
                .into_iter()
                .map(|(n, t)| (format!("weight.{n}"), t)),
        );
        all
    }

    /// Restores a checkpoint.
    ///
    /// # Errors
    /// The name of the tensor that does not fit.
    pub fn restore(
        &mut self,
        tensors: &[(String, Tensor)],
        state: GrpoState,
    ) -> Result<(), String> {
        self.adam.restore(tensors, state.updates)?;
        put_back(self.decoder, "weight.", tensors)?;
        self.pool = pool(&self.setup.spec);
        self.pool.carry(state.surplus.iter().cloned());
        self.state = state;
        Ok(())
    }

    /// Trains one step. Returns its figures and the groups it trained on.
    ///
    /// # Errors
    /// Whatever stops the whole batch, and training that has stopped to learn; the trainer is then where it was after the
    /// last whole step only if restored from it.
    pub fn step(
        &mut self,
        source: &mut dyn RolloutSource,
        tasks: &[Task],
        mut progress: impl FnMut(usize) -> Result<(), LearnerError>,
    ) -> Result<(Step, Vec<Group>), LearnerError> {
        if tasks.is_empty() {
            return Err(LearnerError::NoTasks);
        }
        let number = self.state.steps.len() as u64 + 1;
        let started = Instant::now();
        source.publish(version(number), self.decoder)?;
        let (groups, mut step) = self.generate(source, tasks, number, &mut progress)?;
        step.generation_seconds = started.elapsed().as_secs_f64();
        let training = Instant::now();
        self.update(&groups, &mut step)?;
        step.training_seconds = training.elapsed().as_secs_f64();
        self.agree(&mut step, started)?;
        self.note(step.clone());
        health::check(&self.state.steps, &self.state.idle, &self.setup.spec)?;
        Ok((step, groups))
    }

    /// Checks that a training that is over learned something.
    ///
    /// # Errors
    /// [`LearnerError::NoUpdate`] where no step brought an update, though not every rollout passed.
    pub fn check_learned(&self) -> Result<(), LearnerError> {
        health::updated(&self.state.steps, &self.state.idle, &self.setup.spec)
    }

    /// Makes weights and time those of rank 0.
    fn agree(&self, step: &mut Step, started: Instant) -> Result<(), LearnerError> {
        let before = self.state.steps.last().map_or(0.0, |s| s.seconds);
        step.seconds = before + started.elapsed().as_secs_f64();
        if self.ranks.world() > 1 {
            same_weights(&self.ranks, self.decoder)?;
            step.seconds = self.ranks.agreed("agreeing on the time", step.seconds)?;
        }
        Ok(())
    }

    /// Makes a finished step part of the state.
    fn note(&mut self, step: Step) {
        if step.grad_norm != 0.0 {
            self.state.idle = Limits::default();
        }
        self.state.updates = self.adam.steps();
        self.state.surplus = self.pool.waiting().to_vec();
        self.state.steps.push(step);
    }

    /// Notes pass^1 of an evaluation after the last step, for the curve.
    pub fn note_pass(&mut self, pass: f64) {
        if let Some(step) = self.state.steps.last_mut() {
            step.pass1 = Some(pass);
        }
    }

    /// Returns the learning rate of the next update.
    fn rate(&self) -> f64 {
        let done = match self.setup.decay {
            Decay::None => 0.0,
            Decay::Steps(steps) => self.state.steps.len() as f64 / steps.max(1) as f64,
            Decay::Seconds(seconds) => {
                self.state.steps.last().map_or(0.0, |step| step.seconds) / seconds.max(1e-9)
            }
        };
        let spec = &self.setup.spec;
        let (peak, warmup) = (spec.learning_rate, u64::from(spec.warmup));
        schedule::rate(peak, self.adam.steps() + 1, warmup, done)
    }

    /// Returns a group of trajectories with their advantages. A member whose user broke its instruction has no reward here.
    fn group(&self, members: Vec<Trajectory>) -> Group {
        let reward = |member: &Trajectory| member.reward.filter(|_| member.user_faults.is_empty());
        let rewards: Vec<Option<f64>> = members.iter().map(reward).collect();
        let advantages = advantages(self.setup.spec.objective.algorithm, &rewards);
        Group {
            members,
            rewards,
            advantages,
        }
    }
}

fn pool(spec: &GrpoSpec) -> Refill<Group> {
    Refill::new(spec.filter, spec.groups_per_step as usize)
}
