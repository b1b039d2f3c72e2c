//! Supervised fine-tuning on transcripts with exact loss masks, to the validation plateau.
//!
//! An epoch visits every transcript once, in an order drawn from (seed, epoch); after each epoch the validation loss is
//! taken; when it has not fallen for `patience` epochs, or the budget is spent, training stops and the best weights are
//! put back. State for a resume is whole after each epoch.
//!
//! Among ranks each takes every n-th transcript of a step; losses are divided by the tokens of the whole step, gradients
//! summed, and rank 0's clock and the validation loss over all ranks decide for all.

use std::rc::Rc;
use std::time::Instant;

use agoge_c10d::Ranks;
use agoge_dialogue::Transcript;
use agoge_model::Decoder;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::LearnerError;
use crate::adamw::{AdamW, Settings};
use crate::batch::{Batch, Entropy, micro_batches, needed, score, trainable};
use crate::gradient::gradient;
use crate::loss::cross_entropy;
use crate::parallel;
use crate::ranks::{same_weights, state_of_rank_0, whole_gradient};
use crate::schedule;
use crate::shuffle::shuffled;

/// How to train.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SftConfig {
    /// Peak learning rate, reached after `warmup` steps; falls by a cosine to a tenth at `max_epochs` or `max_seconds`,
    /// whichever is nearer.
    pub learning_rate: f64,
    /// Whether the weights of the lowest validation loss are put back at the end, or the last ones stay.
    pub keep_best: bool,
    /// Steps of linear warm-up.
    pub warmup: u64,
    /// Transcripts a step.
    pub batch: usize,
    /// Tokens of one forward pass.
    pub micro_batch_tokens: usize,
    /// Epochs at most.
    pub max_epochs: u64,
    /// Epochs without a lower validation loss before it stops.
    pub patience: u64,
    /// Seconds of training at most.
    pub max_seconds: f64,
    /// Seed of the order.
    pub seed: u64,
    /// AdamW's settings.
    pub adamw: Settings,
    /// Threads that it may keep busy; the outcome does not depend on them.
    #[serde(skip)]
    pub threads: usize,
}

impl Default for SftConfig {
    fn default() -> Self {
        Self {
            learning_rate: 1e-3,
            keep_best: true,
            warmup: 20,
            batch: 16,
            micro_batch_tokens: 8192,
            max_epochs: 40,
            patience: 3,
            max_seconds: f64::INFINITY,
            seed: 0,
            adamw: Settings::default(),
            threads: 1,
        }
    }
}

/// One epoch's figures.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Epoch {
    /// From 1.
    pub epoch: u64,
    /// Mean training loss over the epoch, nats a token.
    pub loss: f64,
    /// Validation loss after it, nats a token.
    pub validation: f64,
    /// Tokens trained in it.
    pub trained_tokens: u64,
    /// Seconds since the start of training, over all sessions.
    pub seconds: f64,
}

/// What a resume needs beside the tensors.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SftState {
    /// Finished epochs.
    pub epochs: Vec<Epoch>,
    /// Optimiser steps.
    pub steps: u64,
    /// Whether it has ended.
    pub done: bool,
}

impl SftState {
    /// The epoch of the lowest validation loss.
    #[must_use]
    pub fn best(&self) -> Option<&Epoch> {
        self.epochs
            .iter()
            .min_by(|a, b| a.validation.total_cmp(&b.validation))
    }
}

/// A trainer between two epochs.
pub struct Sft<'a> {
    decoder: &'a Decoder,
    config: SftConfig,
    adam: AdamW,
    best: Vec<(String, Tensor)>,
    ranks: Rc<Ranks>,
    /// Progress so far.
    pub state: SftState,
}

impl<'a> Sft<'a> {
    /// A trainer of `decoder` at the beginning.
    #[must_use]
    pub fn new(decoder: &'a Decoder, config: SftConfig) -> Self {
        let adam = AdamW::new(decoder.parameters(), config.adamw);
        Self {
            decoder,
            config,
            adam,
            best: snapshot(decoder),
            ranks: Rc::new(Ranks::alone()),
            state: SftState::default(),
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
        all.extend(
            self.best
                .iter()
                .map(|(n, t)| (format!("best.{n}"), t.shallow_clone())),
        );
        all
    }

    /// Takes back a checkpoint.
    ///
    /// # Errors
    /// The name of what does not fit.
    pub fn restore(&mut self, tensors: &[(String, Tensor)], state: SftState) -> Result<(), String> {
        self.adam.restore(tensors, state.steps)?;
        put_back(self.decoder, "weight.", tensors)?;
        for (name, tensor) in &mut self.best {
            let key = format!("best.{name}");
            let (_, saved) = tensors
                .iter()
                .find(|(n, _)| *n == key)
                .ok_or_else(|| format!("tensor {key} is missing"))?;
            *tensor = saved.copy();
        }
        self.state = state;
        Ok(())
    }

    /// [`Sft::try_epoch`] of a rank alone.
    ///
    /// # Panics
    /// When another rank is lost.
    pub fn epoch(&mut self, train: &[Transcript], validation: &[Transcript]) -> Epoch {
        self.try_epoch(train, validation)
            .expect("a rank alone has none to lose")
    }

    /// One epoch and its validation; sets `state.done` when training is over and the best weights are back.
    ///
    /// # Errors
    /// When another rank is lost; what was done since the last checkpoint is then lost too.
    pub fn try_epoch(
        &mut self,
        train: &[Transcript],
        validation: &[Transcript],
    ) -> Result<Epoch, LearnerError> {
        let started = Instant::now();
        let before = self.state.epochs.last().map_or(0.0, |e| e.seconds);
        let number = self.state.epochs.len() as u64 + 1;
        let order = shuffled(train.len(), self.config.seed, number);
        let per_epoch = train.len().div_ceil(self.config.batch.max(1)) as u64;
        let (mut loss_sum, mut trained) = (0.0, 0u64);
        for chunk in order.chunks(self.config.batch.max(1)) {
            let tokens: usize = chunk.iter().map(|i| trainable(&train[*i])).sum();
            if tokens == 0 {
                continue;
            }
            let mut chunk = chunk.to_vec();
            let mut at = 0..;
            chunk.retain(|_| at.next().is_some_and(|at| self.ranks.mine(at)));
            let lengths: Vec<usize> = chunk.iter().map(|i| needed(&train[*i])).collect();
            let micros = micro_batches(&lengths, self.config.micro_batch_tokens);
            let (gradient, losses) = gradient(
                self.decoder,
                self.config.threads,
                micros,
                |decoder, micro| {
                    let picked: Vec<&Transcript> =
                        micro.iter().map(|i| &train[chunk[*i]]).collect();
                    let scores = score(decoder, &Batch::pack(&picked), 1.0, Entropy::Skip);
                    let loss = cross_entropy(&scores.logprobs, tokens as f64);
                    let value = loss.double_value(&[]);
                    (loss, value)
                },
            );
            loss_sum += losses.iter().sum::<f64>() * tokens as f64;
            let gradient = whole_gradient(&self.ranks, self.decoder, gradient)?;
            self.adam.step(&gradient, self.rate(per_epoch));
            self.state.steps += 1;
            trained += tokens as u64;
        }
        let seconds = before + started.elapsed().as_secs_f64();
        same_weights(&self.ranks, self.decoder)?;
        let mut at = 0..;
        let own = validation
            .iter()
            .filter(|_| at.next().is_some_and(|at| self.ranks.mine(at)));
        let (lost, tokens) = loss_sums(
            self.decoder,
            &own.collect::<Vec<_>>(),
            self.config.micro_batch_tokens,
            self.config.threads,
        );
        let seconds = if self.ranks.leads() { seconds } else { 0.0 };
        let mut sums = [loss_sum, lost, tokens as f64, seconds];
        self.ranks.sum_figures("summing losses", &mut sums)?;
        let [loss_sum, lost, tokens, seconds] = sums;
        let epoch = Epoch {
            epoch: number,
            loss: loss_sum / (trained.max(1) as f64),
            validation: lost / tokens,
            trained_tokens: trained,
            seconds,
        };
        if self
            .state
            .best()
            .is_none_or(|best| epoch.validation < best.validation)
        {
            self.best = snapshot(self.decoder);
        }
        self.state.epochs.push(epoch);
        let best_at = self.state.best().map_or(0, |best| best.epoch);
        let spent = seconds >= self.config.max_seconds || number >= self.config.max_epochs;
        if spent || number - best_at >= self.config.patience || !epoch.validation.is_finite() {
            self.state.done = true;
            if self.config.keep_best {
                let best = self
                    .best
                    .iter()
                    .map(|(n, t)| (n.clone(), t.shallow_clone()))
                    .collect::<Vec<_>>();
                put_back(self.decoder, "", &best)
                    .expect("the snapshot has every parameter of its own decoder");
            }
        }
        Ok(epoch)
    }

    fn rate(&self, steps_per_epoch: u64) -> f64 {
        let step = self.state.steps + 1;
        let total = self
            .config
            .max_epochs
            .saturating_mul(steps_per_epoch)
            .max(1) as f64;
        let seconds = self.state.epochs.last().map_or(0.0, |epoch| epoch.seconds);
        let done = (step as f64 / total).max(seconds / self.config.max_seconds);
        schedule::rate(self.config.learning_rate, step, self.config.warmup, done)
    }
}

/// Mean loss over transcripts, nats a trained token; NaN when nothing is trained.
#[must_use]
pub fn mean_loss(
    decoder: &Decoder,
    transcripts: &[Transcript],
    micro_batch_tokens: usize,
    threads: usize,
) -> f64 {
    let all: Vec<&Transcript> = transcripts.iter().collect();
    let (sum, tokens) = loss_sums(decoder, &all, micro_batch_tokens, threads);
    sum / tokens as f64
}

/// The loss summed over trained tokens, and their number.
fn loss_sums(
    decoder: &Decoder,
    transcripts: &[&Transcript],
    micro_batch_tokens: usize,
    threads: usize,
) -> (f64, usize) {
    let lengths: Vec<usize> = transcripts.iter().map(|t| needed(t)).collect();
    let items: Vec<(Decoder, Vec<usize>)> = micro_batches(&lengths, micro_batch_tokens)
        .into_iter()
        .map(|micro| (decoder.share(), micro))
        .collect();
    let parts = parallel::run(threads, items, |(decoder, micro)| {
        tch::no_grad(|| {
            let picked: Vec<&Transcript> = micro.iter().map(|i| transcripts[*i]).collect();
            let batch = Batch::pack(&picked);
            if batch.trained() == 0 {
                return (0.0, 0);
            }
            let scores = score(&decoder, &batch, 1.0, Entropy::Skip);
            (
                cross_entropy(&scores.logprobs, 1.0).double_value(&[]),
                batch.trained(),
            )
        })
    });
    parts
        .into_iter()
        .fold((0.0, 0usize), |(s, n), (ds, dn)| (s + ds, n + dn))
}

/// A copy of every parameter.
#[must_use]
pub fn snapshot(decoder: &Decoder) -> Vec<(String, Tensor)> {
    decoder
        .parameters()
        .into_iter()
        .map(|(name, tensor)| (name, tensor.detach().copy()))
        .collect()
}

/// Puts tensors named `prefix` + parameter name into the decoder.
///
/// # Errors
/// The name of the tensor that is missing or has another shape.
pub fn put_back(
    decoder: &Decoder,
    prefix: &str,
    tensors: &[(String, Tensor)],
) -> Result<(), String> {
    tch::no_grad(|| {
        for (name, mut parameter) in decoder.parameters() {
            let key = format!("{prefix}{name}");
            let (_, saved) = tensors
                .iter()
                .find(|(n, _)| *n == key)
                .ok_or_else(|| format!("tensor {key} is missing"))?;
            if saved.size() != parameter.size() {
                return Err(format!(
                    "tensor {key} has shape {:?}, the policy wants {:?}",
                    saved.size(),
                    parameter.size()
                ));
            }
            parameter.copy_(saved);
        }
        Ok(())
    })
}
