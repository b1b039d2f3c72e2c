//! User SFT: a small model learns to play the users of the training splits. It sees texts only, under the task's
//! instruction, which says what it wants, what it knows and what it keeps until asked.

use agoge_crds::grpo_run::SftSpec;
use agoge_dialogue::{Message, Transcript};
use agoge_learner::shuffle::mix;
use agoge_world::Names;

use super::policy::{Policy, as_user};
use super::rename::renamed;
use super::suite::hold_out;
use super::supervised::{self, Plan};
use super::{Record, Stage};
use crate::failure::Failure;
use crate::job::Job;

/// Returns the user model before its training, which the certification compares with.
pub fn untrained(stage: &Stage) -> Result<Policy, Failure> {
    let shape = stage
        .arguments
        .user
        .fresh
        .or(stage.arguments.policy.fresh)
        .unwrap_or_default();
    let training = stage.suite.training();
    Policy::fresh(
        &shape,
        &stage.domain,
        &training,
        stage.arguments.seed ^ 0x05e4,
    )
}

/// Trains the user model.
pub fn perform(
    stage: &Stage,
    job: &mut Job,
    spec: &SftSpec,
) -> Result<(Record, Option<f64>), Failure> {
    let user = untrained(stage)?;
    let parallelism = user.prepare(stage.parallelism(job));
    let (training, validation) = hold_out(
        &stage.suite.training(),
        stage.arguments.user.demonstrations as usize,
    )?;
    let most = stage.arguments.user.demonstrations as usize;
    let training: Vec<Vec<Message>> = training.into_iter().take(most).map(as_user).collect();
    let validation: Vec<Transcript> = validation
        .into_iter()
        .map(|one| user.user_dialogue(&stage.domain, &as_user(one)))
        .collect();
    let seed = stage.arguments.seed;
    let names = Names::of(&stage.domain);
    // The same dialogues in every epoch, under other ids.
    let epoch = |number: u64| -> Vec<Transcript> {
        let keyed = training.iter().zip(0u64..);
        keyed
            .map(|(one, at)| {
                let domain = &stage.domain;
                let renamed = renamed(one, &names, mix(seed, number, at));
                user.user_dialogue(domain, &renamed)
            })
            .collect()
    };
    let plan = Plan {
        title: "user SFT",
        config: supervised::config(
            spec,
            stage.arguments.seed,
            stage.arguments.deterministic,
            parallelism,
        ),
        deterministic: stage.arguments.deterministic,
        ranks: stage.ranks.clone(),
    };
    let state = supervised::train(job, &plan, &user.decoder, &epoch, &validation)?;
    supervised::record(stage, job, &user, &state)
}
