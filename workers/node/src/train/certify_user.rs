//! The user model's certification: its turns in held-out dialogues, judged by code, before its training and after. The
//! plan decides which error rate is good enough.

use agoge_contract::TrainStage;
use agoge_dialogue::{Role, Vocab as _};
use agoge_learner::certify::{Certificate, Dialogue, certify};

use super::policy::Policy;
use super::{Record, Stage, USER_TEMPERATURE, user_sft};
use crate::failure::Failure;
use crate::job::Job;

/// Tokens of one turn at most: the longest turn of a demonstration that templates made is well below.
const TURN: usize = 64;
/// Tokens that a turn may have beyond the longest one of the dialogues.
const SLACK: usize = 8;

/// Judges the user model.
pub fn perform(
    stage: &Stage,
    job: &mut Job,
    asked: usize,
) -> Result<(Record, Option<f64>), Failure> {
    let dialogues = stage.suite.dialogues(asked, &stage.domain);
    if dialogues.len() < asked {
        tracing::warn!(
            asked,
            there = dialogues.len(),
            "the suite has fewer held-out dialogues than user.certification asks for; raise the target of its SynthesisJob"
        );
    }
    if dialogues.is_empty() {
        return Err(Failure::Input(
            "the suite has no held-out dialogue to certify the user model with; give its source a share in the split heldout".into(),
        ));
    }
    job.progress.stage(
        "certify the user model",
        "dialogues",
        dialogues.len() as u64,
    );
    let trained = stage.model(job, TrainStage::UserSft)?;
    let turn = longest_turn(&trained, &dialogues);
    let judge =
        |user: &Policy, job: &Job, dialogues: &[Dialogue<'_>]| -> Result<Certificate, Failure> {
            job.stop.check()?;
            Ok(certify(
                user.player(USER_TEMPERATURE),
                dialogues,
                turn,
                stage.arguments.seed,
                stage.parallelism(job),
            )?)
        };
    let after = judge(&trained, job, &dialogues)?;
    job.progress.figure("errorRate", after.error_rate);
    // An untrained model never ends a turn: a tenth of the dialogues is enough to say so.
    let few = &dialogues[..dialogues.len().div_ceil(10)];
    let before = judge(&user_sft::untrained(stage)?, job, few)?;
    job.progress.at(dialogues.len() as u64);
    tracing::info!(before = before.error_rate, after = after.error_rate, turns = after.turns, kinds = ?after.kinds, "certificate");
    let record = Record {
        steps: after.dialogues as u64,
        before: Some(before),
        after: Some(after),
        ..Record::default()
    };
    Ok((record, None))
}

/// Returns the tokens that a turn may have. Users that a model played speak longer than those of templates.
fn longest_turn(user: &Policy, dialogues: &[Dialogue<'_>]) -> usize {
    let messages = dialogues.iter().flat_map(|dialogue| dialogue.messages);
    let said = messages.filter(|message| message.role == Role::User);
    let tokens = said.map(|message| user.tokenizer.encode(&message.content).len());
    TURN.max(tokens.max().unwrap_or(0) + SLACK)
}
