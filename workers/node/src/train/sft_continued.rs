//! The arm that GRPO must beat: SFT on the same demonstrations for as long as GRPO took, on as many ranks.
//!
//! A deterministic run does not measure time: it trains as many tokens as GRPO did instead.

use agoge_contract::TrainStage;
use agoge_crds::grpo_run::AgentSftSpec;
use agoge_learner::sft::SftConfig;

use super::supervised::{self, Plan};
use super::{Record, Stage, agent_sft};
use crate::failure::Failure;
use crate::job::Job;

/// Continues SFT.
pub fn perform(
    stage: &Stage,
    job: &mut Job,
    spec: &AgentSftSpec,
    seconds: Option<f64>,
) -> Result<(Record, Option<f64>), Failure> {
    let policy = stage.model(job, TrainStage::AgentSft)?;
    let grpo = stage.earlier(job, TrainStage::Grpo)?;
    let parallelism = policy.prepare(stage.parallelism(job));
    let demonstrations = agent_sft::Demonstrations::of(stage, &policy, spec)?;
    let an_epoch: usize = demonstrations
        .epoch(1)
        .iter()
        .map(agoge_learner::batch::trainable)
        .sum();
    let base = supervised::config(
        &spec.sft,
        stage.arguments.seed ^ 1,
        stage.arguments.deterministic,
        parallelism,
    );
    let limits = match seconds.filter(|_| !stage.arguments.deterministic) {
        Some(seconds) => SftConfig {
            max_seconds: seconds,
            max_epochs: u64::MAX,
            ..base
        },
        None => {
            let epochs = grpo.trained_tokens.div_ceil(an_epoch.max(1) as u64).max(1);
            SftConfig {
                max_epochs: epochs,
                max_seconds: f64::INFINITY,
                ..base
            }
        }
    };
    let plan = Plan {
        title: "SFT continued",
        config: SftConfig {
            patience: u64::MAX,
            ..limits
        },
        deterministic: stage.arguments.deterministic,
        ranks: stage.ranks.clone(),
    };
    // These epochs come after those of agent SFT, so their dialogues have other ids.
    let training = |epoch: u64| demonstrations.epoch(epoch + (1 << 20));
    let state = supervised::train(
        job,
        &plan,
        &policy.decoder,
        &training,
        &demonstrations.validation,
    )?;
    supervised::record(stage, job, &policy, &state)
}
