//! GRPO: play groups, filter and refill, trajectory-level advantages, one clipped policy step.
//!
//! A step's groups come from a cursor over the tasks, reshuffled each round by (seed, round). All members of a group
//! play the same task; the advantage is a statistic over its trajectories; every trained token of a trajectory carries
//! it; the loss is the mean over the step's trained tokens. State for a resume is whole after each step.
//!
//! Among ranks each plays every n-th group and tells the others how it went; so every rank sees the same groups, filters
//! them alike and trains its share of them, with the token counts of the whole step.

mod figures;
mod update;

use std::rc::Rc;
use std::time::Instant;

use agoge_c10d::Ranks;
use agoge_model::Decoder;
use agoge_world::Task;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::LearnerError;
use crate::adamw::{AdamW, Settings};
use crate::advantage::Estimator;
use crate::filter::{Insufficient, Refill, Rule};
use crate::loss::Clip;
use crate::players::Players;
use crate::ranks::{same_weights, state_of_rank_0};
use crate::rollout::{Seat, Trajectory};
use crate::schedule;
use crate::sft::{put_back, snapshot};
use crate::shuffle::shuffled;

use figures::Seen;
pub use figures::Step;

/// What the learning rate falls along, by a cosine to a tenth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Decay {
    /// It stays.
    #[default]
    None,
    /// The number of steps.
    Steps(u64),
    /// The seconds of the run. Never in a deterministic one.
    Seconds(f64),
}

/// How to train. Defaults and formulas follow the field's papers, named at each formula.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GrpoConfig {
    /// Advantage.
    pub algorithm: Estimator,
    /// Trajectories of a group.
    pub group_size: usize,
    /// Groups that a step trains on.
    pub groups_per_step: usize,
    /// Which groups are trained on.
    pub filter: Rule,
    /// What happens when too few are.
    pub insufficient: Insufficient,
    /// Generation batches of one step at most, refills included.
    pub max_gen_batches: usize,
    /// AdamW's learning rate.
    pub learning_rate: f64,
    /// Updates over which it rises linearly from 0.
    pub warmup: u64,
    /// How it falls.
    pub decay: Decay,
    /// Ratio clip.
    pub clip: Clip,
    /// Weight of the KL to a reference policy.
    pub kl_coefficient: f64,
    /// Weight of the entropy bonus.
    pub entropy_coefficient: f64,
    /// Optimiser updates a step: the step's trajectories are split over them.
    pub minibatches: usize,
    /// Sampling temperature; the loss scores at the same.
    pub temperature: f64,
    /// Tokens of one forward pass.
    pub micro_batch_tokens: usize,
    /// Whether a member whose user broke its instruction is left out of statistics and loss.
    pub mask_user_faults: bool,
    /// AdamW's settings.
    pub adamw: Settings,
    /// Seed of the order of tasks.
    pub seed: u64,
    /// Threads that training may keep busy; the outcome does not depend on them.
    #[serde(skip)]
    pub threads: usize,
}

impl Default for GrpoConfig {
    fn default() -> Self {
        Self {
            algorithm: Estimator::GroupMean,
            group_size: 8,
            groups_per_step: 32,
            filter: Rule::NonZeroStd,
            insufficient: Insufficient::Backfill,
            max_gen_batches: 10,
            learning_rate: 2e-4,
            warmup: 0,
            decay: Decay::None,
            clip: Clip::default(),
            kl_coefficient: 0.0,
            entropy_coefficient: 0.0,
            minibatches: 1,
            temperature: 1.0,
            micro_batch_tokens: 8192,
            mask_user_faults: true,
            adamw: Settings {
                weight_decay: 0.0,
                ..Settings::default()
            },
            seed: 0,
            threads: 1,
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

/// What a resume needs beside the tensors.
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
}

/// A trainer between two steps.
pub struct Grpo<'a> {
    decoder: &'a Decoder,
    reference: Option<&'a Decoder>,
    config: GrpoConfig,
    adam: AdamW,
    pool: Refill<Group>,
    ranks: Rc<Ranks>,
    /// Progress so far.
    pub state: GrpoState,
}

impl<'a> Grpo<'a> {
    /// A trainer of `decoder` at the beginning. `reference` is what `klCoefficient` pulls to; without one there is no pull.
    #[must_use]
    pub fn new(decoder: &'a Decoder, reference: Option<&'a Decoder>, config: GrpoConfig) -> Self {
        let adam = AdamW::new(decoder.parameters(), config.adamw);
        let reference = reference.filter(|_| config.kl_coefficient > 0.0);
        let pool = pool(&config);
        Self {
            decoder,
            reference,
            config,
            adam,
            pool,
            ranks: Rc::new(Ranks::alone()),
            state: GrpoState::default(),
        }
    }

    /// The same as one of several ranks: weights, moments and progress are rank 0's from here on.
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

    /// Everything a checkpoint needs.
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

    /// Takes back a checkpoint.
    ///
    /// # Errors
    /// The name of what does not fit.
    pub fn restore(
        &mut self,
        tensors: &[(String, Tensor)],
        state: GrpoState,
    ) -> Result<(), String> {
        self.adam.restore(tensors, state.updates)?;
        put_back(self.decoder, "weight.", tensors)?;
        self.pool = pool(&self.config);
        self.pool.carry(state.surplus.iter().cloned());
        self.state = state;
        Ok(())
    }

    /// One step. Returns its figures and the groups it trained on.
    ///
    /// # Errors
    /// What stops the whole batch; the trainer is then where it was after the last whole step only if restored from it.
    pub fn step(
        &mut self,
        players: &mut dyn Players,
        tasks: &[Task],
        mut on_wave: impl FnMut(usize) -> Result<(), LearnerError>,
    ) -> Result<(Step, Vec<Group>), LearnerError> {
        if tasks.is_empty() {
            return Err(LearnerError::NoTasks);
        }
        let number = self.state.steps.len() as u64 + 1;
        let started = Instant::now();
        let mut seen = Seen::default();
        while let Some(missing) = self.pool.missing() {
            let generate = self.generate(missing);
            let drawn: Vec<usize> = (0..generate).map(|_| self.draw(tasks.len())).collect();
            let seats: Vec<Seat<'_>> = drawn
                .iter()
                .enumerate()
                .filter(|(offset, _)| self.ranks.mine(*offset))
                .flat_map(|(offset, task)| {
                    let group = self.state.groups + offset as u64;
                    (0..self.config.group_size as u64).map(move |member| Seat {
                        task: &tasks[*task],
                        group,
                        member,
                    })
                })
                .collect();
            self.state.groups += generate as u64;
            let played = players.play(&seats, number, &mut on_wave);
            let played = self.everyones(played)?;
            let batch: Vec<(Group, Vec<Option<f64>>)> = played
                .chunks(self.config.group_size)
                .map(|members| {
                    let group = self.group(members.to_vec());
                    seen.count(&group);
                    let rewards = group.rewards.clone();
                    (group, rewards)
                })
                .collect();
            self.pool.offer(batch);
        }
        let (groups, filter) = self.pool.take();
        let generation_seconds = started.elapsed().as_secs_f64();
        let mut step = seen.figures();
        step.step = number;
        step.filter = filter;
        step.generation_seconds = generation_seconds;
        let training = Instant::now();
        self.try_update(&groups, &mut step)?;
        step.training_seconds = training.elapsed().as_secs_f64();
        let before = self.state.steps.last().map_or(0.0, |s| s.seconds);
        step.seconds = before + started.elapsed().as_secs_f64();
        if self.ranks.world() > 1 {
            same_weights(&self.ranks, self.decoder)?;
            step.seconds = self.ranks.agreed("agreeing on the time", step.seconds)?;
        }
        self.state.updates = self.adam.steps();
        self.state.surplus = self.pool.waiting().to_vec();
        self.state.steps.push(step.clone());
        Ok((step, groups))
    }

    /// The trajectories of all ranks, in the order of their groups. A rank that was asked to stop stops all.
    fn everyones(
        &self,
        played: Result<Vec<Trajectory>, LearnerError>,
    ) -> Result<Vec<Trajectory>, LearnerError> {
        const DOING: &str = "exchanging trajectories";
        if self.ranks.world() == 1 {
            return played;
        }
        let own = match played {
            Ok(played) => Some(played),
            Err(LearnerError::Stopped) => None,
            Err(error) => return Err(error),
        };
        let unread = |error: serde_json::Error| LearnerError::Message(error.to_string());
        self.ranks.barrier("playing")?;
        let bytes = serde_json::to_vec(&own).map_err(unread)?;
        let told = self.ranks.gather_bytes(DOING, bytes)?;
        let told: Vec<Option<Vec<Trajectory>>> = told
            .iter()
            .map(|bytes| serde_json::from_slice(bytes).map_err(unread))
            .collect::<Result<_, _>>()?;
        let told: Option<Vec<_>> = told.into_iter().collect();
        let mut all: Vec<Trajectory> = told
            .ok_or(LearnerError::Stopped)?
            .into_iter()
            .flatten()
            .collect();
        all.sort_by_key(|one| (one.group, one.member));
        Ok(all)
    }

    /// How many groups are generated at once when `missing` are: what the last step's share of kept groups makes likely
    /// to be enough. A few at a time would cost as many sequential decoding steps as many; a surplus is carried.
    fn generate(&self, missing: usize) -> usize {
        let last = self
            .state
            .steps
            .iter()
            .rev()
            .map(|step| step.filter)
            .find(|f| f.generated > 0);
        let kept = last.map_or(1.0, |f| {
            (f.generated - f.discarded) as f64 / f.generated.max(1) as f64
        });
        let likely = (missing as f64 / kept.clamp(0.25, 1.0)).ceil() as usize;
        likely.max(self.config.groups_per_step.div_ceil(4))
    }

    /// The learning rate of the next update.
    fn rate(&self) -> f64 {
        let done = match self.config.decay {
            Decay::None => 0.0,
            Decay::Steps(steps) => self.state.steps.len() as f64 / steps.max(1) as f64,
            Decay::Seconds(seconds) => {
                self.state.steps.last().map_or(0.0, |step| step.seconds) / seconds.max(1e-9)
            }
        };
        let (peak, warmup) = (self.config.learning_rate, self.config.warmup);
        schedule::rate(peak, self.adam.steps() + 1, warmup, done)
    }

    /// Notes pass^1 of an evaluation after the last step, for the curve.
    pub fn note_pass(&mut self, pass: f64) {
        if let Some(step) = self.state.steps.last_mut() {
            step.pass1 = Some(pass);
        }
    }

    fn draw(&mut self, tasks: usize) -> usize {
        let (round, at) = (
            self.state.cursor / tasks as u64,
            self.state.cursor % tasks as u64,
        );
        self.state.cursor += 1;
        shuffled(tasks, self.config.seed, round)[usize::try_from(at).unwrap_or(0)]
    }

    fn group(&self, members: Vec<Trajectory>) -> Group {
        let rewards: Vec<Option<f64>> = members
            .iter()
            .map(|m| {
                m.reward
                    .filter(|_| m.user_faults.is_empty() || !self.config.mask_user_faults)
            })
            .collect();
        let advantages = self.config.algorithm.advantages(&rewards);
        Group {
            members,
            rewards,
            advantages,
        }
    }
}

fn pool(config: &GrpoConfig) -> Refill<Group> {
    Refill::new(
        config.filter,
        config.insufficient,
        config.groups_per_step,
        config.max_gen_batches,
    )
}
