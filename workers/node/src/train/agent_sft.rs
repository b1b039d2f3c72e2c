//! Agent SFT: the policy learns from few demonstrations, in which corners of the domain's policy are as rare as asked, up
//! to its validation plateau.

use std::path::Path;

use agoge_crds::grpo_run::AgentSftSpec;
use agoge_dialogue::Transcript;

use super::policy::Policy;
use super::suite::Instance;
use super::supervised::{self, Plan};
use super::{Record, Stage};
use crate::failure::Failure;
use crate::job::Job;

/// Trains the policy on demonstrations.
pub fn perform(stage: &Stage, job: &mut Job) -> Result<(Record, Option<f64>), Failure> {
    let spec: AgentSftSpec = stage.settings("sft")?;
    let policy = beginning(stage)?;
    let threads = policy.threads(job.threads());
    let (training, validation) = transcripts(stage, &policy, &spec)?;
    let plan = Plan {
        title: "agent SFT",
        config: supervised::config(
            &spec.sft(),
            stage.arguments.seed,
            stage.arguments.deterministic,
            threads,
        ),
        deterministic: stage.arguments.deterministic,
    };
    let state = supervised::train(job, &plan, &policy.decoder, &training, &validation)?;
    supervised::record(stage, job, &policy, &state)
}

/// The policy before any training.
fn beginning(stage: &Stage) -> Result<Policy, Failure> {
    match (&stage.arguments.policy.fresh, &stage.arguments.policy.path) {
        (Some(shape), _) => Policy::fresh(
            shape,
            &stage.domain,
            &stage.suite.training(),
            stage.arguments.seed,
        ),
        (None, Some(path)) if Path::new(path).is_dir() => Policy::load(Path::new(path)),
        (None, Some(path)) => Err(Failure::Input(format!(
            "policy.path: there is no folder {path}; name one with config.json, model.safetensors and tokenizer.json, or use policy.fresh"
        ))),
        (None, None) => Err(Failure::Input("policy: name fresh or path".into())),
    }
}

/// Demonstrations for training and validation, as the policy reads them.
pub fn transcripts(
    stage: &Stage,
    policy: &Policy,
    spec: &AgentSftSpec,
) -> Result<(Vec<Transcript>, Vec<Transcript>), Failure> {
    let (training, validation) = stage
        .suite
        .demonstrations(spec.demonstrations as usize, spec.corner_share)?;
    let corners = training
        .iter()
        .filter(|instance| instance.task.corner)
        .count();
    tracing::info!(
        demonstrations = training.len(),
        corners,
        validation = validation.len(),
        "demonstrations"
    );
    let read = |chosen: &[&Instance]| -> Vec<Transcript> {
        chosen
            .iter()
            .map(|instance| policy.demonstration(&stage.domain, instance))
            .collect()
    };
    let (training, validation) = (read(&training), read(&validation));
    let longest = training
        .iter()
        .chain(&validation)
        .map(|t| t.ids.len())
        .max()
        .unwrap_or(0);
    let room = policy.decoder.config().max_position_embeddings;
    if longest > room {
        return Err(Failure::Input(format!(
            "a demonstration has {longest} tokens, the policy {room} positions; raise policy.fresh.maxLength"
        )));
    }
    Ok((training, validation))
}
