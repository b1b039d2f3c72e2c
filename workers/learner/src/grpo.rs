//! GRPO: play groups, filter and refill, trajectory-level advantages, one clipped policy step.
//!
//! A step's groups come from a cursor over the tasks, reshuffled each round by (seed, round). All members of a group
//! play the same task; the advantage is a statistic over its trajectories; every trained token of a trajectory carries
//! it; the loss is the mean over the step's trained tokens. State for a resume is whole after each step.

use std::time::Instant;

use agoge_model::Decoder;
use agoge_world::{Task, World};
use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::LearnerError;
use crate::adamw::{AdamW, Settings};
use crate::advantage::Estimator;
use crate::batch::{Batch, micro_batches, score, trainable};
use crate::filter::{Counts, Refill, Rule};
use crate::loss::{Clip, ppo_clip};
use crate::rollout::{Agent, Arena, End, Player, Seat, Trajectory, User};
use crate::sft::{put_back, snapshot};
use crate::shuffle::shuffled;

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
    /// Generation batches of one step at most, refills included.
    pub max_gen_batches: usize,
    /// AdamW's learning rate.
    pub learning_rate: f64,
    /// Ratio clip.
    pub clip: Clip,
    /// Optimiser updates a step: the step's trajectories are split over them.
    pub minibatches: usize,
    /// Sampling temperature; the loss scores at the same.
    pub temperature: f64,
    /// Padded tokens of one forward pass.
    pub micro_batch_tokens: usize,
    /// Whether a member whose user broke its instruction is left out of statistics and loss.
    pub mask_user_faults: bool,
    /// AdamW's settings.
    pub adamw: Settings,
    /// Seed of the order of tasks.
    pub seed: u64,
}

impl Default for GrpoConfig {
    fn default() -> Self {
        Self {
            algorithm: Estimator::GroupMean,
            group_size: 8,
            groups_per_step: 32,
            filter: Rule::NonZeroStd,
            max_gen_batches: 10,
            learning_rate: 2e-4,
            clip: Clip::default(),
            minibatches: 1,
            temperature: 1.0,
            micro_batch_tokens: 8192,
            mask_user_faults: true,
            adamw: Settings { weight_decay: 0.0, ..Settings::default() },
            seed: 0,
        }
    }
}

/// One step's figures, named as the field's dashboards name them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Step {
    /// From 1.
    pub step: u64,
    /// Mean reward over all trajectories that were generated and did not err.
    pub reward_all: f64,
    /// Mean reward over the trajectories trained on.
    pub reward_effective: f64,
    /// Share of generated groups in which all passed, all failed, some passed.
    pub all_pass: f64,
    /// See `all_pass`.
    pub all_fail: f64,
    /// See `all_pass`.
    pub mixed: f64,
    /// What the filter did.
    pub filter: Counts,
    /// Policy loss.
    pub loss: f64,
    /// KL(old, new) a token, k3 estimate, over the step's updates.
    pub kl: f64,
    /// Largest difference between a token's log-probability when sampled and when first scored for training.
    pub logp_diff: f64,
    /// Entropy a trained token, nats.
    pub entropy: f64,
    /// Share of trained tokens whose clipped term was active.
    pub clip_share: f64,
    /// Gradient norm before the cut, mean over updates.
    pub grad_norm: f64,
    /// Trained tokens.
    pub trained_tokens: u64,
    /// Sampled tokens of the policy.
    pub sampled_tokens: u64,
    /// Mean agent turns, mean tool calls, share of failed calls, share of truncated episodes.
    pub turns: f64,
    /// See `turns`.
    pub tool_calls: f64,
    /// See `turns`.
    pub tool_fail_rate: f64,
    /// See `turns`.
    pub truncated_ratio: f64,
    /// Members left out: sandbox, checker or user errors.
    pub errors: u64,
    /// Seconds of generation and of training.
    pub generation_seconds: f64,
    /// See `generation_seconds`.
    pub training_seconds: f64,
    /// Seconds of the run so far, over all sessions.
    pub seconds: f64,
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
    config: GrpoConfig,
    adam: AdamW,
    pool: Refill<Group>,
    /// Progress so far.
    pub state: GrpoState,
}

impl<'a> Grpo<'a> {
    /// A trainer of `decoder` at the beginning.
    #[must_use]
    pub fn new(decoder: &'a Decoder, config: GrpoConfig) -> Self {
        let adam = AdamW::new(decoder.parameters(), config.adamw);
        let pool = Refill::new(config.filter, config.groups_per_step, config.max_gen_batches);
        Self { decoder, config, adam, pool, state: GrpoState::default() }
    }

    /// Everything a checkpoint needs.
    #[must_use]
    pub fn tensors(&self) -> Vec<(String, Tensor)> {
        let mut all = self.adam.state();
        all.extend(snapshot(self.decoder).into_iter().map(|(n, t)| (format!("weight.{n}"), t)));
        all
    }

    /// Takes back a checkpoint.
    ///
    /// # Errors
    /// The name of what does not fit.
    pub fn restore(&mut self, tensors: &[(String, Tensor)], state: GrpoState) -> Result<(), String> {
        self.adam.restore(tensors, state.updates)?;
        put_back(self.decoder, "weight.", tensors)?;
        self.pool = Refill::new(self.config.filter, self.config.groups_per_step, self.config.max_gen_batches);
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
        world: &mut World,
        arena: &mut Arena,
        player: Player<'_>,
        user: User<'_>,
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
            let drawn: Vec<usize> = (0..missing).map(|_| self.draw(tasks.len())).collect();
            let seats: Vec<Seat<'_>> = drawn
                .iter()
                .enumerate()
                .flat_map(|(offset, task)| {
                    let group = self.state.groups + offset as u64;
                    (0..self.config.group_size as u64).map(move |member| Seat { task: &tasks[*task], group, member })
                })
                .collect();
            self.state.groups += missing as u64;
            let played = arena.play(world, &seats, Agent::Policy(player), user, number, &mut on_wave)?;
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
        self.update(&groups, &mut step);
        step.training_seconds = training.elapsed().as_secs_f64();
        let before = self.state.steps.last().map_or(0.0, |s| s.seconds);
        step.seconds = before + started.elapsed().as_secs_f64();
        self.state.updates = self.adam.steps();
        self.state.surplus = self.pool.waiting().to_vec();
        self.state.steps.push(step.clone());
        Ok((step, groups))
    }

    fn draw(&mut self, tasks: usize) -> usize {
        let (round, at) = (self.state.cursor / tasks as u64, self.state.cursor % tasks as u64);
        self.state.cursor += 1;
        shuffled(tasks, self.config.seed, round)[usize::try_from(at).unwrap_or(0)]
    }

    fn group(&self, members: Vec<Trajectory>) -> Group {
        let rewards: Vec<Option<f64>> = members
            .iter()
            .map(|m| m.reward.filter(|_| m.user_faults.is_empty() || !self.config.mask_user_faults))
            .collect();
        let advantages = self.config.algorithm.advantages(&rewards);
        Group { members, rewards, advantages }
    }

    /// The optimiser updates of one step. A trajectory whose advantage is 0 adds nothing to the gradient, so only its
    /// token count enters, as part of the denominator.
    fn update(&mut self, groups: &[Group], step: &mut Step) {
        let all: Vec<(&Trajectory, f64)> = groups
            .iter()
            .flat_map(|g| g.members.iter().zip(&g.rewards).zip(&g.advantages))
            .filter(|((_, reward), _)| reward.is_some())
            .map(|((member, _), advantage)| (member, *advantage))
            .collect();
        let rewards: Vec<f64> = all.iter().filter_map(|(member, _)| member.reward).collect();
        step.reward_effective = rewards.iter().sum::<f64>() / rewards.len().max(1) as f64;
        let parts = self.config.minibatches.max(1);
        let order = shuffled(all.len(), self.config.seed ^ 0x5eed, step.step);
        let (mut scored, mut clipped, mut kl, mut entropy, mut norms) = (0.0, 0.0, 0.0, 0.0, Vec::new());
        for part in order.chunks(all.len().div_ceil(parts).max(1)) {
            let tokens: usize = part.iter().map(|i| trainable(&all[*i].0.transcript)).sum();
            step.trained_tokens += tokens as u64;
            let used: Vec<(&Trajectory, f64)> =
                part.iter().map(|i| all[*i]).filter(|(_, advantage)| *advantage != 0.0).collect();
            let lengths: Vec<usize> = used.iter().map(|(member, _)| member.transcript.ids.len()).collect();
            for micro in micro_batches(&lengths, self.config.micro_batch_tokens) {
                let picked: Vec<_> = micro.iter().map(|i| &used[*i].0.transcript).collect();
                let batch = Batch::pack(&picked);
                if batch.trained() == 0 {
                    continue;
                }
                let (old, advantages) = sampled_side(&micro, &used, &batch);
                let scores = score(self.decoder, &batch, self.config.temperature);
                if norms.is_empty() {
                    let gap = (scores.logprobs.detach() - &old).abs().max().double_value(&[]);
                    step.logp_diff = step.logp_diff.max(gap);
                }
                let out = ppo_clip(&scores.logprobs, &old, &advantages, self.config.clip, tokens as f64);
                out.loss.backward();
                step.loss += out.loss.double_value(&[]) / parts as f64;
                scored += batch.trained() as f64;
                clipped += out.clipped;
                kl += out.kl_sum;
                entropy += scores.entropy_sum;
            }
            norms.push(self.adam.step(self.config.learning_rate));
        }
        let scored = f64::max(scored, 1.0);
        step.clip_share = clipped / scored;
        step.kl = kl / scored;
        step.entropy = entropy / scored;
        step.grad_norm = norms.iter().sum::<f64>() / norms.len().max(1) as f64;
    }
}

/// Log-probabilities as sampled and advantages, one entry a trained token of the batch.
fn sampled_side(micro: &[usize], used: &[(&Trajectory, f64)], batch: &Batch) -> (Tensor, Tensor) {
    let (mut old, mut advantages) = (Vec::with_capacity(batch.trained()), Vec::with_capacity(batch.trained()));
    for index in micro {
        let (member, advantage) = used[*index];
        let transcript = &member.transcript;
        for (column, trained) in transcript.mask.iter().enumerate() {
            if *trained && column > 0 {
                old.push(transcript.logprobs[column]);
                advantages.push(advantage as f32);
            }
        }
    }
    (Tensor::from_slice(&old), Tensor::from_slice(&advantages))
}

/// Sums over the groups generated in one step.
#[derive(Default)]
struct Seen {
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
    fn count(&mut self, group: &Group) {
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
            self.truncated += f64::from(u8::from(member.end == End::TokenLimit || member.end == End::TurnLimit));
            self.sampled += member.transcript.trained_tokens() as u64;
        }
    }

    fn figures(&self) -> Step {
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
