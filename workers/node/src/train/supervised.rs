//! The loop of every supervised stage: epochs to the plateau, checkpoints, the loss trace, progress.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Instant;

use agoge_c10d::Ranks;
use agoge_crds::grpo_run::SftSpec;
use agoge_dialogue::Transcript;
use agoge_learner::adamw::Settings;
use agoge_learner::parallel::Parallelism;
use agoge_learner::sft::{Epoch, Sft, SftConfig, SftState};
use agoge_model::Decoder;

use super::policy::Policy;
use super::ranks::{asked_to_stop, by_rank_0};
use super::{Record, Stage, trace};
use crate::failure::Failure;
use crate::job::Job;

/// Seconds between two checkpoints, at least. A kill may cost as many.
const BETWEEN: f64 = 5.0;

/// A supervised stage: settings and surroundings.
pub struct Plan<'a> {
    /// Title for people.
    pub title: &'a str,
    /// The learner's settings.
    pub config: SftConfig,
    /// Time must leave no trace.
    pub deterministic: bool,
    /// Ranks that train together.
    pub ranks: Rc<Ranks>,
}

/// Returns the learner's settings of a spec. The clock never ends a deterministic run: only epochs and the plateau do.
pub fn config(
    spec: &SftSpec,
    seed: u64,
    deterministic: bool,
    parallelism: Parallelism,
) -> SftConfig {
    let limit = spec
        .wall_clock
        .filter(|_| !deterministic)
        .map(|span| span.as_secs_f64());
    SftConfig {
        learning_rate: spec.learning_rate,
        batch: spec.batch as usize,
        patience: u64::from(spec.patience),
        max_epochs: u64::from(spec.max_epochs),
        max_seconds: limit.unwrap_or(f64::INFINITY),
        seed,
        parallelism,
        adamw: Settings {
            weight_decay: spec.weight_decay,
            ..Settings::default()
        },
        ..SftConfig::default()
    }
}

/// Trains to the end, from the last checkpoint if there is one, and returns the final state. `training` returns the
/// transcripts of an epoch. Rank 0 alone reads and writes files; the others begin where it does.
pub fn train(
    job: &mut Job,
    plan: &Plan<'_>,
    decoder: &Decoder,
    training: &dyn Fn(u64) -> Vec<Transcript>,
    validation: &[Transcript],
) -> Result<SftState, Failure> {
    let file = checkpoint_file(&job.assignment.work);
    let mut sft = begin(plan, decoder, &file)?;
    // A stage that only the clock ends is counted in seconds.
    let timed = plan.config.max_seconds.is_finite() && plan.config.max_epochs == u64::MAX;
    match timed {
        true => job
            .progress
            .stage(plan.title, "seconds", plan.config.max_seconds.ceil() as u64),
        false => job
            .progress
            .stage(plan.title, "epochs", plan.config.max_epochs),
    }
    let mut saved = Instant::now();
    while !sft.state.done {
        stop_together(job, plan, &sft, &file)?;
        let number = sft.state.epochs.len() as u64 + 1;
        let epoch = sft.try_epoch(&training(number), validation)?;
        tracing::info!(
            epoch = epoch.epoch,
            loss = epoch.loss,
            validation = epoch.validation,
            skipped = epoch.skipped_updates,
            seconds = epoch.seconds,
            "{}",
            plan.title
        );
        show(job, &sft.state, timed);
        if plan.ranks.leads() {
            let epochs = curve(&sft.state.epochs, plan.deterministic);
            trace::write(&job.assignment.work, &epochs)?;
        }
        if save_when_due(plan, &sft, &file, saved)? {
            saved = Instant::now();
        }
    }
    Ok(sft.state)
}

/// Returns a trainer at the last checkpoint, or at the beginning.
fn begin<'a>(plan: &Plan<'_>, decoder: &'a Decoder, file: &Path) -> Result<Sft<'a>, Failure> {
    let mut sft = Sft::new(decoder, plan.config.clone());
    let found = by_rank_0(&plan.ranks, "reading the checkpoint", || {
        trace::resume::<SftState>(file)
    })?;
    if let Some((tensors, state)) = found.flatten() {
        sft.restore(&tensors, state)
            .map_err(|why| trace::unfit(file, &why))?;
        tracing::info!(epochs = sft.state.epochs.len(), "resumed");
    }
    Ok(sft.among(plan.ranks.clone())?)
}

/// Stops all ranks if any was asked to, after a checkpoint.
fn stop_together(job: &Job, plan: &Plan<'_>, sft: &Sft<'_>, file: &Path) -> Result<(), Failure> {
    if !asked_to_stop(job, &plan.ranks)? {
        return Ok(());
    }
    if plan.ranks.leads() {
        trace::save(file, &sft.tensors(), &sft.state)?;
    }
    Err(Failure::Stopped)
}

/// Writes a checkpoint at the end, and when the last one is old enough by rank 0's clock.
fn save_when_due(
    plan: &Plan<'_>,
    sft: &Sft<'_>,
    file: &Path,
    saved: Instant,
) -> Result<bool, Failure> {
    let old = f64::from(u8::from(saved.elapsed().as_secs_f64() > BETWEEN));
    let due = sft.state.done || plan.ranks.agreed("agreeing on a checkpoint", old)? > 0.0;
    if due {
        by_rank_0(&plan.ranks, "saving a checkpoint", || {
            trace::save(file, &sft.tensors(), &sft.state)
        })?;
    }
    Ok(due)
}

fn show(job: &mut Job, state: &SftState, timed: bool) {
    let Some(last) = state.epochs.last() else {
        return;
    };
    let tokens: u64 = state.epochs.iter().map(|epoch| epoch.trained_tokens).sum();
    job.progress.figure("loss", last.loss);
    job.progress.figure("validation", last.validation);
    job.progress.figure("trainedTokens", tokens);
    job.progress.figure("seconds", last.seconds);
    job.progress
        .figure("tokensPerSecond", tokens as f64 / last.seconds.max(1e-9));
    job.progress.at(if timed {
        last.seconds as u64
    } else {
        last.epoch
    });
}

/// Returns the epochs as they enter the record.
pub fn curve(epochs: &[Epoch], deterministic: bool) -> Vec<Epoch> {
    let seconds = |epoch: &Epoch| if deterministic { 0.0 } else { epoch.seconds };
    epochs
        .iter()
        .map(|epoch| Epoch {
            seconds: seconds(epoch),
            ..*epoch
        })
        .collect()
}

fn checkpoint_file(work: &Path) -> PathBuf {
    work.join("sft.ckpt")
}

/// Returns the record of a supervised stage that has ended, and its seconds over all attempts.
pub fn record(
    stage: &Stage,
    job: &Job,
    policy: &Policy,
    state: &SftState,
) -> Result<(Record, Option<f64>), Failure> {
    let entries = curve(&state.epochs, stage.arguments.deterministic);
    let curve = entries.into_iter().map(Into::into).collect();
    let record = Record {
        steps: state.epochs.len() as u64,
        trained_tokens: state.epochs.iter().map(|epoch| epoch.trained_tokens).sum(),
        curve,
        model: stage.left(job, policy)?,
        ..Record::default()
    };
    Ok((record, state.epochs.last().map(|epoch| epoch.seconds)))
}
