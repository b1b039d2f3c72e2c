//! GRPO: play groups, filter and refill, trajectory-level advantages, one clipped policy step.
//!
//! A step's groups come from a cursor over the tasks, reshuffled each round by (seed, round). All members of a group
//! play the same task; the advantage is a statistic over its trajectories; every trained token of a trajectory carries
//! it; the loss is the mean over the step's trained tokens. State for a resume is whole after each step.

use std::time::Instant;

use agoge_model::Decoder;
use agoge_world::Task;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::LearnerError;
use crate::adamw::{AdamW, Settings};
use crate::advantage::Estimator;
use crate::batch::{Batch, Entropy, micro_batches, score, trainable};
use crate::filter::{Counts, Insufficient, Refill, Rule};
use crate::gradient::gradient;
use crate::loss::{Clip, ppo_clip, reference_kl};
use crate::rollout::{Agent, Arena, End, Player, Seat, Trajectory, User};
use crate::sft::{put_back, snapshot};
use crate::shuffle::shuffled;

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
            decay: Decay::None,
            clip: Clip::default(),
            kl_coefficient: 0.0,
            entropy_coefficient: 0.0,
            minibatches: 1,
            temperature: 1.0,
            micro_batch_tokens: 8192,
            mask_user_faults: true,
            adamw: Settings { weight_decay: 0.0, ..Settings::default() },
            seed: 0,
            threads: 1,
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
    /// Penalty for leaving the reference a token, before its coefficient; 0 without one.
    pub reference_kl: f64,
    /// Largest difference between a token's log-probability when sampled and when first scored for training by the same
    /// weights; tokens of groups carried over from the step before are older, and left out.
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
    /// pass^1 on tasks kept apart, at the steps after which it was taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pass1: Option<f64>,
    /// Seconds of generation and of training.
    pub generation_seconds: f64,
    /// See `generation_seconds`.
    pub training_seconds: f64,
    /// Seconds of the run so far, over all sessions.
    pub seconds: f64,
}

impl Step {
    /// Without what time measures: the same in every run of the same seed.
    #[must_use]
    pub fn timeless(&self) -> Self {
        Self { generation_seconds: 0.0, training_seconds: 0.0, seconds: 0.0, ..self.clone() }
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
        Self { decoder, reference, config, adam, pool, state: GrpoState::default() }
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
        let player = Player { version: u32::try_from(number).unwrap_or(u32::MAX), ..player };
        let started = Instant::now();
        let mut seen = Seen::default();
        while let Some(missing) = self.pool.missing() {
            let generate = self.generate(missing);
            let drawn: Vec<usize> = (0..generate).map(|_| self.draw(tasks.len())).collect();
            let seats: Vec<Seat<'_>> = drawn
                .iter()
                .enumerate()
                .flat_map(|(offset, task)| {
                    let group = self.state.groups + offset as u64;
                    (0..self.config.group_size as u64).map(move |member| Seat { task: &tasks[*task], group, member })
                })
                .collect();
            self.state.groups += generate as u64;
            let played = arena.play(&seats, Agent::Policy(player), user, number, &mut on_wave)?;
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

    /// How many groups are generated at once when `missing` are: what the last step's share of kept groups makes likely
    /// to be enough. A few at a time would cost as many sequential decoding steps as many; a surplus is carried.
    fn generate(&self, missing: usize) -> usize {
        let last = self.state.steps.iter().rev().map(|step| step.filter).find(|f| f.generated > 0);
        let kept = last.map_or(1.0, |f| (f.generated - f.discarded) as f64 / f.generated.max(1) as f64);
        let likely = (missing as f64 / kept.clamp(0.25, 1.0)).ceil() as usize;
        likely.max(self.config.groups_per_step.div_ceil(4))
    }

    fn rate(&self) -> f64 {
        let done = match self.config.decay {
            Decay::None => return self.config.learning_rate,
            Decay::Steps(steps) => self.state.steps.len() as f64 / steps.max(1) as f64,
            Decay::Seconds(seconds) => self.state.steps.last().map_or(0.0, |step| step.seconds) / seconds.max(1e-9),
        };
        let fall = 0.55 + 0.45 * (std::f64::consts::PI * done.clamp(0.0, 1.0)).cos();
        self.config.learning_rate * fall
    }

    /// Notes pass^1 of an evaluation after the last step, for the curve.
    pub fn note_pass(&mut self, pass: f64) {
        if let Some(step) = self.state.steps.last_mut() {
            step.pass1 = Some(pass);
        }
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

    /// The optimiser updates of one step. Without a penalty or bonus of its own, a trajectory whose advantage is 0 adds
    /// nothing to the gradient, so only its token count enters, as part of the denominator.
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
        let every = self.config.kl_coefficient > 0.0 || self.config.entropy_coefficient > 0.0;
        let order = shuffled(all.len(), self.config.seed ^ 0x5eed, step.step);
        let mut sums = Sums::default();
        let mut norms = Vec::new();
        for (number, part) in order.chunks(all.len().div_ceil(parts).max(1)).enumerate() {
            let tokens: usize = part.iter().map(|i| trainable(&all[*i].0.transcript)).sum();
            step.trained_tokens += tokens as u64;
            let used: Vec<(&Trajectory, f64)> = part
                .iter()
                .map(|i| all[*i])
                .filter(|(member, advantage)| (every || *advantage != 0.0) && trainable(&member.transcript) > 0)
                .collect();
            let lengths: Vec<usize> = used.iter().map(|(member, _)| member.transcript.ids.len()).collect();
            let items: Vec<Item> = micro_batches(&lengths, self.config.micro_batch_tokens)
                .into_iter()
                .map(|micro| Item { micro, reference: self.reference.map(Decoder::share) })
                .collect();
            let config = &self.config;
            let (gradient, found) = gradient(self.decoder, config.threads, items, |decoder, item| {
                item.loss(config, decoder, &used, tokens as f64, step.step)
            });
            for one in found {
                if number == 0 {
                    step.logp_diff = step.logp_diff.max(one.gap);
                }
                sums.add(&one, 1.0 / parts as f64);
            }
            norms.push(self.adam.step(&gradient, self.rate()));
        }
        let scored = f64::max(sums.scored, 1.0);
        step.loss = sums.loss;
        step.clip_share = sums.clipped / scored;
        step.kl = sums.kl / scored;
        step.reference_kl = sums.reference;
        step.entropy = sums.entropy / scored;
        step.grad_norm = norms.iter().sum::<f64>() / norms.len().max(1) as f64;
    }
}

/// One micro-batch of an update.
struct Item {
    micro: Vec<usize>,
    reference: Option<Decoder>,
}

/// Figures of micro-batches, summed.
#[derive(Default)]
struct Sums {
    scored: f64,
    loss: f64,
    clipped: f64,
    kl: f64,
    reference: f64,
    entropy: f64,
    gap: f64,
}

impl Sums {
    fn add(&mut self, one: &Self, share: f64) {
        self.scored += one.scored;
        self.loss += one.loss * share;
        self.clipped += one.clipped;
        self.kl += one.kl;
        self.reference += one.reference * share;
        self.entropy += one.entropy;
    }
}

impl Item {
    fn loss(
        &self,
        config: &GrpoConfig,
        decoder: &Decoder,
        used: &[(&Trajectory, f64)],
        tokens: f64,
        step: u64,
    ) -> (Tensor, Sums) {
        let picked: Vec<_> = self.micro.iter().map(|i| &used[*i].0.transcript).collect();
        let batch = Batch::pack(&picked);
        let old = sampled_side(&self.micro, used);
        let wanted = if config.entropy_coefficient > 0.0 { Entropy::Gradient } else { Entropy::Figure };
        let scores = score(decoder, &batch, config.temperature, wanted);
        let out = ppo_clip(&scores.logprobs, &old.logprobs, &old.advantages, config.clip, tokens);
        let mut loss = out.loss;
        let mut sums = Sums {
            scored: batch.trained() as f64,
            clipped: out.clipped,
            kl: out.kl_sum,
            entropy: scores.entropy.double_value(&[]),
            gap: old.gap(&scores.logprobs, step),
            ..Sums::default()
        };
        if let Some(reference) = &self.reference {
            let theirs = tch::no_grad(|| score(reference, &batch, config.temperature, Entropy::Skip).logprobs);
            let penalty = reference_kl(&scores.logprobs, &theirs, tokens);
            sums.reference = penalty.double_value(&[]);
            loss += penalty * config.kl_coefficient;
        }
        if config.entropy_coefficient > 0.0 {
            loss -= scores.entropy * (config.entropy_coefficient / tokens);
        }
        sums.loss = loss.double_value(&[]);
        (loss, sums)
    }
}

/// What a batch's trained tokens were sampled with; one entry a token.
struct Sampled {
    logprobs: Tensor,
    advantages: Tensor,
    versions: Vec<f32>,
}

impl Sampled {
    /// The largest difference to `scored` over the tokens that the policy of this step sampled.
    fn gap(&self, scored: &Tensor, step: u64) -> f64 {
        let fresh: Vec<f32> = self.versions.iter().map(|v| f32::from(u8::from(*v == step as f32))).collect();
        let gaps = (scored.detach() - &self.logprobs).abs() * Tensor::from_slice(&fresh);
        if gaps.numel() == 0 { 0.0 } else { gaps.max().double_value(&[]) }
    }
}

fn sampled_side(micro: &[usize], used: &[(&Trajectory, f64)]) -> Sampled {
    let (mut logprobs, mut advantages, mut versions) = (Vec::new(), Vec::new(), Vec::new());
    for index in micro {
        let (member, advantage) = used[*index];
        let transcript = &member.transcript;
        for (column, trained) in transcript.mask.iter().enumerate() {
            if *trained && column > 0 {
                logprobs.push(transcript.logprobs[column]);
                advantages.push(advantage as f32);
                versions.push(transcript.versions[column] as f32);
            }
        }
    }
    Sampled { logprobs: Tensor::from_slice(&logprobs), advantages: Tensor::from_slice(&advantages), versions }
}

fn pool(config: &GrpoConfig) -> Refill<Group> {
    Refill::new(config.filter, config.insufficient, config.groups_per_step, config.max_gen_batches)
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
