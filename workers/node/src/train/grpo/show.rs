//! The traces of a GRPO stage: log, progress, samples and its record.

use agoge_artifacts::Trajectory;
use agoge_learner::grpo::{Group, GrpoState, Step};
use agoge_world::Task;

use super::plan::Plan;
use crate::failure::Failure;
use crate::job::Job;
use crate::train::policy::Policy;
use crate::train::samples::stored;
use crate::train::{Record, Stage};

/// Groups of the last step that are shown.
const GROUPS: usize = 4;

/// Returns the stage's record.
pub fn record(
    stage: &Stage,
    job: &Job,
    policy: &Policy,
    state: &GrpoState,
    samples: Vec<Trajectory>,
) -> Result<Record, Failure> {
    let entries = curve(&state.steps, stage.arguments.deterministic);
    Ok(Record {
        steps: state.steps.len() as u64,
        trained_tokens: state.steps.iter().map(|step| step.trained_tokens).sum(),
        curve: entries.into_iter().map(Into::into).collect(),
        model: stage.left(job, policy)?,
        samples,
        ..Record::default()
    })
}

/// Returns the steps as they enter the record.
pub fn curve(steps: &[Step], deterministic: bool) -> Vec<Step> {
    let entry = |step: &Step| match deterministic {
        true => step.timeless(),
        false => step.clone(),
    };
    steps.iter().map(entry).collect()
}

/// Writes a step to the log.
pub fn log(title: &str, step: &Step) {
    tracing::info!(
        step = step.step,
        reward = format!("{:.3}", step.reward_all),
        mixed = format!("{:.2}", step.mixed),
        pass1 = step.pass1,
        entropy = format!("{:.3}", step.entropy),
        kl = format!("{:.4}", step.kl),
        gap = format!("{:.1e}", step.logp_diff),
        tokens = step.trained_tokens,
        generation = format!("{:.2}", step.generation_seconds),
        training = format!("{:.2}", step.training_seconds),
        seconds = format!("{:.1}", step.seconds),
        staleness = step.staleness,
        skipped = step.skipped_updates,
        errors = step.errors,
        "{title}"
    );
}

/// Reports progress to the driver.
pub fn progress(job: &mut Job, plan: &Plan, state: &GrpoState) {
    let Some(last) = state.steps.last() else {
        return;
    };
    let tokens: u64 = state.steps.iter().map(|step| step.trained_tokens).sum();
    for (name, value) in [
        ("reward", last.reward_all),
        ("kl", last.kl),
        ("entropy", last.entropy),
        ("mixed", last.mixed),
        ("truncated", last.truncated_ratio),
        ("clipShare", last.clip_share),
        ("loss", last.loss),
        ("seconds", last.seconds),
        ("tokensPerSecond", tokens as f64 / last.seconds.max(1e-9)),
    ] {
        job.progress.figure(name, value);
    }
    if let Some(pass) = state.steps.iter().rev().find_map(|step| step.pass1) {
        job.progress.figure("pass1", pass);
    }
    job.progress.figure("step", last.step);
    job.progress.figure("staleness", last.staleness);
    job.progress.figure("trainedTokens", tokens);
    job.progress.at(plan.done(state));
}

/// Returns two members, one that passed and one that failed, of some groups of the last step.
pub fn samples(groups: &[Group], step: &Step, tasks: &[Task], policy: &Policy) -> Vec<Trajectory> {
    let arm = format!("step {}", step.step);
    let pick = |group: &Group| {
        let by = |want: f64| {
            let mut members = group.members.iter();
            members.find(|member| member.reward == Some(want)).cloned()
        };
        [by(1.0), by(0.0)]
    };
    let chosen = groups.iter().take(GROUPS).flat_map(pick).flatten();
    let (vocab, renderer) = (&policy.tokenizer, policy.renderer.as_ref());
    chosen
        .map(|one| stored(&one, &arm, tasks, vocab, renderer))
        .collect()
}
