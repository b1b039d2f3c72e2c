//! The loop that every supervised stage shares: epochs to the plateau, checkpoints, the loss trace, progress.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Instant;

use agoge_c10d::Ranks;
use agoge_crds::grpo_run::SftSpec;
use agoge_dialogue::Transcript;
use agoge_learner::adamw::Settings;
use agoge_learner::sft::{Epoch, Sft, SftConfig, SftState};
use agoge_model::Decoder;

use super::policy::Policy;
use super::ranks::asked_to_stop;
use super::{Record, Stage, trace};
use crate::failure::Failure;
use crate::job::Job;

/// Seconds between two checkpoints at least: what a kill may cost.
const BETWEEN: f64 = 5.0;

/// Decoupled weight decay. Demonstrations are few and a small policy can learn them by heart: over 512 of courier's the
/// lowest validation loss was 0.21 with 0.01, 0.16 with 0.3, 0.13 with 1 (batches of 16), and 0.10 with 0.5 in batches of 8.
const WEIGHT_DECAY: f64 = 0.5;

/// What is asked of a supervised stage.
pub struct Plan<'a> {
    /// For a person.
    pub title: &'a str,
    /// The learner's settings.
    pub config: SftConfig,
    /// Whether time must leave no trace.
    pub deterministic: bool,
    /// Those that train together.
    pub ranks: Rc<Ranks>,
}

/// The learner's settings for a spec. A deterministic run knows no clock: only epochs and the plateau end it.
pub fn config(spec: &SftSpec, seed: u64, deterministic: bool, threads: usize) -> SftConfig {
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
        threads,
        adamw: Settings {
            weight_decay: WEIGHT_DECAY,
            ..Settings::default()
        },
        ..SftConfig::default()
    }
}

/// Trains to the end, from the last checkpoint if there is one, and gives the state it ended in. `training` gives the
/// transcripts of an epoch. Among ranks, rank 0 alone reads and writes files; the others begin where it does.
pub fn train(
    job: &mut Job,
    plan: &Plan<'_>,
    decoder: &Decoder,
    training: &dyn Fn(u64) -> Vec<Transcript>,
    validation: &[Transcript],
) -> Result<SftState, Failure> {
    let file = checkpoint_file(&job.assignment.work);
    let mut sft = Sft::new(decoder, plan.config.clone());
    let leads = plan.ranks.leads();
    let found = match leads {
        true => trace::resume::<SftState>(&file)?,
        false => None,
    };
    if let Some((tensors, state)) = found {
        sft.restore(&tensors, state)
            .map_err(|why| trace::unfit(&file, &why))?;
        tracing::info!(epochs = sft.state.epochs.len(), "resumed");
    }
    let mut sft = sft.among(plan.ranks.clone())?;
    // What the clock ends is counted in seconds.
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
        if asked_to_stop(job, &plan.ranks)? {
            if leads {
                trace::save(&file, &sft.tensors(), &sft.state)?;
            }
            return Err(Failure::Stopped);
        }
        let number = sft.state.epochs.len() as u64 + 1;
        let epoch = sft.try_epoch(&training(number), validation)?;
        tracing::info!(
            epoch = epoch.epoch,
            loss = epoch.loss,
            validation = epoch.validation,
            seconds = epoch.seconds,
            "{}",
            plan.title
        );
        show(job, &sft.state, timed);
        if !leads {
            continue;
        }
        trace::write(
            &job.assignment.work,
            &curve(&sft.state.epochs, plan.deterministic),
        )?;
        if sft.state.done || saved.elapsed().as_secs_f64() > BETWEEN {
            trace::save(&file, &sft.tensors(), &sft.state)?;
            saved = Instant::now();
        }
    }
    Ok(sft.state)
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

/// The epochs as they enter the record.
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

/// The record of a supervised stage that has ended, and its seconds over all attempts.
pub fn record(
    stage: &Stage,
    job: &Job,
    policy: &Policy,
    state: &SftState,
) -> Result<(Record, Option<f64>), Failure> {
    let entries = curve(&state.epochs, stage.arguments.deterministic);
    let curve = entries
        .iter()
        .map(serde_json::to_value)
        .collect::<Result<_, _>>()
        .map_err(Failure::infra)?;
    let record = Record {
        steps: state.epochs.len() as u64,
        trained_tokens: state.epochs.iter().map(|epoch| epoch.trained_tokens).sum(),
        curve,
        model: stage.left(job, policy)?,
        ..Record::default()
    };
    Ok((record, state.epochs.last().map(|epoch| epoch.seconds)))
}
