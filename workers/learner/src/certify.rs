//! Certification of a user model: its turns in held-out dialogues, judged by code.
//!
//! The agent's side is the demonstration's: the user model speaks in every place where the demonstration's user speaks,
//! with its own earlier turns before it, so that one slip is not counted again and again through a derailed agent. Each
//! dialogue is an episode of the one loop, with the demonstration's agent and its recorded results as speaker and tools.

use std::collections::VecDeque;

use agoge_dialogue::{Message, Role, SampleKey, ToolCall, ToolSpec};
use agoge_world::{
    End, Fault, Party, Rules, Sampler as _, Session, Speaker, StateView, Task, ToolResult, Turn,
    UserFault, View, judge_user, play,
};
use async_trait::async_trait;

use crate::LearnerError;
use crate::parallel::{self, Parallelism};
use crate::rollout::Player;
use crate::sampler::BatchSampler;
use crate::speaker::{Format, UserModel};
use crate::tasks::{self, Pace, Queues, drive};

pub use agoge_artifacts::Certificate;

/// Faulty turns that are kept for a reader.
const EXAMPLES: usize = 12;
/// Dialogues of a piece at a time.
const SLOTS: usize = 128;

/// A task with its demonstration.
pub struct Dialogue<'a> {
    /// The task.
    pub task: &'a Task,
    /// The demonstration, tool traffic included.
    pub messages: &'a [Message],
}

/// Lets `player` speak as the user in each dialogue and judges each turn.
///
/// # Errors
/// Failures of the whole certification.
pub fn certify(
    player: Player<'_>,
    dialogues: &[Dialogue<'_>],
    max_tokens_per_turn: usize,
    seed: u64,
    parallelism: Parallelism,
) -> Result<Certificate, LearnerError> {
    let lengths = dialogues.iter().map(|dialogue| dialogue.messages.len());
    let longest = lengths.max().unwrap_or(0);
    let pieces = parallelism.pieces();
    let slots = dialogues.len().div_ceil(pieces).clamp(1, SLOTS);
    let queues = Queues::deal(dialogues.len(), pieces, !parallelism.is_repeatable());
    let samplers: Vec<(usize, BatchSampler)> = (0..pieces)
        .map(|piece| {
            let batch = player.batch(slots, 256 + longest * (max_tokens_per_turn + 8));
            (piece, BatchSampler::new(batch, slots, player.version))
        })
        .collect();
    let format = player.format();
    let rules = Rules {
        max_turns: u32::MAX,
        max_user_tokens: u32::try_from(max_tokens_per_turn).unwrap_or(u32::MAX),
        unknown_tools_are_unusable: false,
        ..Rules::default()
    };
    let judged = parallel::run(parallelism.threads(), samplers, |(piece, sampler)| {
        let mut played = Vec::new();
        let next = |place: usize| {
            let number = queues.next(piece)?;
            let key = SampleKey {
                seed,
                group: number as u64,
                ..SampleKey::default()
            };
            let (dialogue, sampler, rules) = (&dialogues[number], &sampler, &rules);
            let task: tasks::Task<'_, _> = Box::pin(async move {
                let turns = turns(dialogue, format, sampler, place as u64, key, rules).await;
                (number, turns)
            });
            Some(task)
        };
        drive(slots, Pace::Lockstep, &sampler, next, |one| {
            played.push(one);
            Ok(())
        })
        .map(|()| played)
    });
    let mut played = Vec::with_capacity(dialogues.len());
    for piece in judged {
        played.extend(piece?);
    }
    played.sort_by_key(|(number, _)| *number);
    let mut certificate = Certificate::default();
    for (number, turns) in played {
        add(&mut certificate, dialogues[number].task, &turns);
    }
    certificate.error_rate = match certificate.turns {
        0 => 1.0,
        turns => certificate.faulty as f64 / turns as f64,
    };
    Ok(certificate)
}

/// A judged turn: the text, `None` when the model gave none, and its faults.
type Judged = (Option<String>, Vec<UserFault>);

/// Plays one dialogue and judges the user's turns.
async fn turns(
    dialogue: &Dialogue<'_>,
    format: Format<'_>,
    sampler: &BatchSampler,
    sequence: u64,
    key: SampleKey,
    rules: &Rules,
) -> Vec<Judged> {
    let mut user = UserModel::new(format, sampler, sequence, key, dialogue.task);
    let mut agent = Demonstrated::agent(dialogue.messages);
    let mut session = Recorded::results(dialogue.messages);
    let played = play(&mut session, &mut agent, &mut user, rules).await;
    sampler.release(sequence);
    let said = |at: &usize| played.messages[*at].role == Role::User;
    let mut turns: Vec<Judged> = (0..played.messages.len())
        .filter(said)
        .map(|at| {
            let text = &played.messages[at].content;
            let faults = judge_user(dialogue.task, &played.messages[..at], text);
            (Some(text.clone()), faults)
        })
        .collect();
    if let End::User(_) = played.end {
        turns.push((None, vec![UserFault::no_turn()]));
    }
    turns
}

/// Adds the judged turns of one dialogue.
fn add(certificate: &mut Certificate, task: &Task, turns: &[Judged]) {
    certificate.dialogues += 1;
    certificate.turns += turns.len();
    for (text, faults) in turns {
        let Some(fault) = faults.first() else {
            continue;
        };
        certificate.faulty += 1;
        let kind = fault.kind_name().to_owned();
        *certificate.kinds.entry(kind).or_default() += 1;
        if certificate.examples.len() < EXAMPLES {
            let said = text.as_deref().unwrap_or("(nothing that ends)");
            let example = format!("{}: {said:?} - {}", task.id, fault.detail);
            certificate.examples.push(example);
        }
    }
}

/// The agent of a demonstration, which says its messages whatever the user says.
struct Demonstrated(VecDeque<Message>);

impl Demonstrated {
    fn agent(messages: &[Message]) -> Self {
        let own = messages.iter().filter(|m| m.role == Role::Assistant);
        Self(own.cloned().collect())
    }
}

#[async_trait(?Send)]
impl Speaker for Demonstrated {
    /// The demonstration is over when the agent has no message left.
    async fn turn(&mut self, _: View<'_>) -> Result<Turn, Fault> {
        Ok(self.0.pop_front().map_or(Turn::Truncated, Turn::Message))
    }
}

/// The tools of a demonstration, which answer as recorded.
struct Recorded(VecDeque<Message>);

impl Recorded {
    fn results(messages: &[Message]) -> Self {
        let results = messages.iter().filter(|m| m.role == Role::Tool);
        Self(results.cloned().collect())
    }
}

#[async_trait(?Send)]
impl Session for Recorded {
    fn tools(&self, _: Party) -> &[ToolSpec] {
        &[]
    }

    async fn call(&mut self, _: Party, _: &ToolCall) -> Result<ToolResult, Fault> {
        Ok(ToolResult {
            content: self.0.pop_front().map_or(String::new(), |m| m.content),
            ..ToolResult::default()
        })
    }

    async fn state(&mut self) -> Result<Option<StateView>, Fault> {
        Ok(None)
    }
}
