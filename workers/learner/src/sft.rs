//! Supervised fine-tuning on transcripts with exact loss masks, to the validation plateau.
//!
//! An epoch visits every transcript once, in an order drawn from (seed, epoch), and ends with the validation loss; when that
//! has not fallen for `patience` epochs, or the budget is spent, training stops and the best weights are restored. State for
//! a resume is whole after each epoch.
//!
//! Each of several ranks takes every n-th transcript of a step; losses are divided by the tokens of the whole step, gradients
//! are summed, and rank 0's clock and the validation loss over all ranks decide for all.

use std::rc::Rc;
use std::time::Instant;

use agoge_c10d::Ranks;
use agoge_dialogue::Transcript;
use agoge_model::Decoder;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::LearnerError;
use crate::adamw::{AdamW, Settings};
use crate::batch::{Batch, Entropy, Sequence, micro_batches, needed, score, trainable};
use crate::gradient::gradient;
use crate::loss::cross_entropy;
use crate::parallel::{self, Parallelism};
use crate::ranks::{same_weights, state_of_rank_0, whole_gradient};
use crate::schedule;
use crate::shuffle::shuffled;

pub use agoge_artifacts::Epoch;

/// Settings of supervised training.
#[derive(Clone, Debug, PartialEq)]
pub struct SftConfig {
    /// Peak learning rate, reached after `warmup` steps; falls by a cosine to a tenth at `max_epochs` or `max_seconds`,
    /// whichever is nearer.
    pub learning_rate: f64,
    /// Restore the weights of the lowest validation loss at the end; otherwise the last ones stay.
    pub keep_best: bool,
    /// Steps of linear warm-up.
    pub warmup: u64,
    /// Transcripts per step.
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
    /// Threads that training may keep busy, and the micro-batches that a batch is cut into at least.
    pub parallelism: Parallelism,
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
            parallelism: Parallelism::default(),
        }
    }
}

/// State of a resume beside the tensors.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SftState {
    /// Finished epochs.
    pub epochs: Vec<Epoch>,
    /// Optimiser steps.
    pub steps: u64,
    /// Training has ended.
    pub done: bool,
}

impl SftState {
    /// Returns the epoch of the lowest validation loss.
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
    /// Returns a trainer of `decoder` at the beginning.
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
        all.extend(
            self.best
                .iter()
                .map(|(n, t)| (format!("best.{n}"), t.shallow_clone())),
        );
        all
    }

    /// Restores a checkpoint.
    ///
    /// # Errors
    /// The name of the tensor that does not fit.
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

    /// Calls [`Sft::try_epoch`] where nothing is expected to fail.
    ///
    /// # Panics
    /// When another rank is lost, or training diverges.
    pub fn epoch(&mut self, train: &[Transcript], validation: &[Transcript]) -> Epoch {
        self.try_epoch(train, validation)
            .expect("a rank alone has none to lose")
    }

    /// Trains one epoch and takes its validation loss; sets `state.done` when training is over and the best weights are
    /// restored.
    ///
    /// # Errors
    /// When another rank is lost, or no gradient of the epoch was finite; the work since the last checkpoint is then lost.
    pub fn try_epoch(
        &mut self,
        train: &[Transcript],
        validation: &[Transcript],
    ) -> Result<Epoch, LearnerError> {
        let started = Instant::now();
        let number = self.state.epochs.len() as u64 + 1;
        let trained = self.train(train, number)?;
        // Validation is not training: its time does not count.
        let seconds = started.elapsed().as_secs_f64();
        same_weights(&self.ranks, self.decoder)?;
        let epoch = self.summed(number, &trained, seconds, self.validate(validation))?;
        self.note(epoch);
        Ok(epoch)
    }

    /// Makes the optimiser steps of an epoch.
    fn train(&mut self, train: &[Transcript], number: u64) -> Result<Trained, LearnerError> {
        let size = self.config.batch.max(1);
        let per_epoch = train.len().div_ceil(size) as u64;
        let mut trained = Trained::default();
        for chunk in shuffled(train.len(), self.config.seed, number).chunks(size) {
            let chunk: Vec<&Transcript> = chunk.iter().map(|index| &train[*index]).collect();
            let tokens: usize = chunk.iter().map(|transcript| trainable(transcript)).sum();
            if tokens == 0 {
                continue;
            }
            let (gradient, loss) = self.gradient_of(&chunk, tokens)?;
            let norm = self.adam.step(&gradient, self.rate(per_epoch));
            self.state.steps += 1;
            trained.steps += 1;
            trained.skipped += u64::from(!norm.is_finite());
            trained.loss += loss * tokens as f64;
            trained.tokens += tokens as u64;
        }
        match trained.steps > 0 && trained.skipped == trained.steps {
            true => Err(LearnerError::Diverged {
                count: usize::try_from(trained.steps).unwrap_or(usize::MAX),
            }),
            false => Ok(trained),
        }
    }

    /// Returns the gradient of a step over all ranks, and this rank's share of its loss.
    fn gradient_of(
        &self,
        chunk: &[&Transcript],
        tokens: usize,
    ) -> Result<(Vec<Tensor>, f64), LearnerError> {
        let own = self.own(chunk.iter().copied());
        let lengths: Vec<usize> = own.iter().map(|transcript| needed(transcript)).collect();
        let parallelism = self.config.parallelism;
        let budget = self.config.micro_batch_tokens;
        let micros = micro_batches(&lengths, budget, parallelism.pieces());
        let (gradient, losses) = gradient(self.decoder, parallelism, micros, |decoder, micro| {
            let batch = pack(&own, &micro);
            let scores = score(decoder, &batch, 1.0, Entropy::Skip);
            let loss = cross_entropy(&scores.logprobs, tokens as f64);
            let value = loss.double_value(&[]);
            (loss, value)
        });
        let gradient = whole_gradient(&self.ranks, self.decoder, gradient)?;
        Ok((gradient, losses.iter().sum()))
    }

    /// Returns this rank's share of the validation loss, summed over tokens, and the number of its tokens.
    fn validate(&self, validation: &[Transcript]) -> (f64, usize) {
        loss_sums(
            self.decoder,
            &self.own(validation),
            self.config.micro_batch_tokens,
            self.config.parallelism,
        )
    }

    /// Returns every n-th transcript: this rank's share.
    fn own<'t>(&self, all: impl IntoIterator<Item = &'t Transcript>) -> Vec<&'t Transcript> {
        let numbered = all.into_iter().enumerate();
        numbered
            .filter_map(|(at, transcript)| self.ranks.mine(at).then_some(transcript))
            .collect()
    }

    /// Returns the epoch's figures over all ranks.
    fn summed(
        &self,
        number: u64,
        trained: &Trained,
        seconds: f64,
        (lost, tokens): (f64, usize),
    ) -> Result<Epoch, LearnerError> {
        let before = self.state.epochs.last().map_or(0.0, |e| e.seconds);
        let seconds = match self.ranks.leads() {
            true => before + seconds,
            false => 0.0,
        };
        let mut sums = [trained.loss, lost, tokens as f64, seconds];
        self.ranks.sum_figures("summing losses", &mut sums)?;
        let [loss, lost, tokens, seconds] = sums;
        Ok(Epoch {
            epoch: number,
            loss: loss / (trained.tokens.max(1) as f64),
            validation: lost / tokens,
            trained_tokens: trained.tokens,
            skipped_updates: trained.skipped,
            seconds,
        })
    }

    /// Makes a finished epoch part of the state, and ends training after the last one.
    fn note(&mut self, epoch: Epoch) {
        let best = self.state.best();
        if best.is_none_or(|best| epoch.validation < best.validation) {
            self.best = snapshot(self.decoder);
        }
        self.state.epochs.push(epoch);
        let best_at = self.state.best().map_or(0, |best| best.epoch);
        let spent =
            epoch.seconds >= self.config.max_seconds || epoch.epoch >= self.config.max_epochs;
        let flat = epoch.epoch - best_at >= self.config.patience;
        if spent || flat || !epoch.validation.is_finite() {
            self.state.done = true;
            if self.config.keep_best {
                put_back(self.decoder, "", &self.best)
                    .expect("the snapshot has every parameter of its own decoder");
            }
        }
    }

    /// Returns the learning rate of the next step.
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

/// Sums over the steps of an epoch. The loss is this rank's share, the rest is the same on every rank.
#[derive(Default)]
struct Trained {
    steps: u64,
    skipped: u64,
    loss: f64,
    tokens: u64,
}

/// Packs the transcripts of a micro-batch.
fn pack(all: &[&Transcript], micro: &[usize]) -> Batch {
    let picked: Vec<Sequence<'_>> = micro.iter().map(|at| Sequence::of(all[*at])).collect();
    Batch::pack(&picked, 0)
}

/// Returns the loss summed over trained tokens, and their number.
fn loss_sums(
    decoder: &Decoder,
    transcripts: &[&Transcript],
    micro_batch_tokens: usize,
    parallelism: Parallelism,
) -> (f64, usize) {
    let lengths: Vec<usize> = transcripts.iter().map(|t| needed(t)).collect();
    let micros = micro_batches(&lengths, micro_batch_tokens, parallelism.pieces());
    let items: Vec<(Decoder, Vec<usize>)> = micros
        .into_iter()
        .map(|micro| (decoder.share(), micro))
        .collect();
    let parts = parallel::run(parallelism.threads(), items, |(decoder, micro)| {
        tch::no_grad(|| {
            let batch = pack(transcripts, &micro);
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

/// Returns a copy of every parameter.
#[must_use]
pub fn snapshot(decoder: &Decoder) -> Vec<(String, Tensor)> {
    decoder
        .parameters()
        .into_iter()
        .map(|(name, tensor)| (name, tensor.detach().copy()))
        .collect()
}

/// Copies tensors named `prefix` + parameter name into the decoder.
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
