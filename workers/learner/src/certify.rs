//! Certification of a user model: its turns in held-out dialogues, judged by code.
//!
//! The agent's side is the demonstration's: the user model speaks in every place where the demonstration's user speaks,
//! with its own earlier turns before it, so that one slip is not counted again and again through a derailed agent. Each
//! dialogue is an episode of the one loop, with the demonstration's agent and its recorded results as speaker and tools.

use std::collections::VecDeque;

use agoge_dialogue::{
    Message, Role, SampleKey, ToolCall, ToolSpec, answers, call_of, calls_of_user,
};
use agoge_world::{
    End, Fault, FaultKind, Party, Rules, Sampler as _, Session, Speaker, StateView, Task,
    ToolResult, Turn, UserFault, View, judge_user, play,
};
use async_trait::async_trait;
use serde_json::Value;

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
    /// The user's tools.
    pub tools: &'a [ToolSpec],
    /// The domain's wording of calls that failed.
    pub error_text: &'a str,
}

impl<'a> Dialogue<'a> {
    /// Returns the messages after the task's history, with which a demonstration begins.
    fn after_history(&self) -> &'a [Message] {
        let history = self.task.history.len();
        self.messages.get(history..).unwrap_or_default()
    }
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
    let Dialogue { task, tools, .. } = *dialogue;
    let mut user = UserModel::new(format, sampler, sequence, key, task, tools);
    let mut agent = Demonstrated::agent(dialogue.after_history());
    let mut session = Recorded::of(dialogue);
    let played = play(&mut session, &mut agent, &mut user, rules).await;
    sampler.release(sequence);
    let said = |at: &usize| played.messages[*at].role == Role::User;
    let mut turns: Vec<Judged> = (task.history.len()..played.messages.len())
        .filter(said)
        .map(|at| {
            let turn = &played.messages[at];
            if !turn.tool_calls.is_empty() {
                return called(dialogue, &turn.tool_calls);
            }
            let faults = judge_user(
                dialogue.task,
                dialogue.error_text,
                &played.messages[..at],
                &turn.content,
            );
            (Some(turn.content.clone()), faults)
        })
        .collect();
    turns.extend(missed(dialogue, &played.messages));
    if let End::User(_) = played.end {
        turns.push((None, vec![UserFault::no_turn()]));
    }
    turns
}

/// Judges the calls that the demonstration's user makes and this one leaves out, each as a turn. One for which it made another
/// call is judged already.
fn missed(dialogue: &Dialogue<'_>, played: &[Message]) -> Vec<Judged> {
    let mut made: Vec<String> = users_calls(played).map(written).collect();
    let mut missed: Vec<String> = users_calls(dialogue.messages).map(written).collect();
    missed.retain(|call| match made.iter().position(|one| one == call) {
        Some(at) => {
            made.swap_remove(at);
            false
        }
        None => true,
    });
    let fault = |call: String| UserFault {
        kind: FaultKind::BrokeInstruction,
        detail: format!("it does not call {call}, although it is asked to"),
    };
    let left_out = missed.into_iter().skip(made.len());
    left_out
        .map(|call| (Some("(no call)".to_owned()), vec![fault(call)]))
        .collect()
}

/// Returns a call as text: its tool and its arguments.
fn written(call: &ToolCall) -> String {
    let arguments = Value::Object(call.arguments.clone());
    format!("{} {arguments}", call.name)
}

/// Judges a turn in which the user calls tools: it may call what the demonstration's user calls.
fn called(dialogue: &Dialogue<'_>, calls: &[ToolCall]) -> Judged {
    let shown: Vec<String> = users_calls(dialogue.messages).map(written).collect();
    let made: Vec<String> = calls.iter().map(written).collect();
    let wrong = made.iter().filter(|call| !shown.contains(call));
    let fault = |call: &String| UserFault {
        kind: FaultKind::BrokeInstruction,
        detail: format!("it calls {call}, which nobody asked for"),
    };
    (Some(made.join("; ")), wrong.map(fault).collect())
}

fn users_calls(messages: &[Message]) -> impl Iterator<Item = &ToolCall> {
    let users = messages.iter().filter(|m| m.role == Role::User);
    users.flat_map(|message| &message.tool_calls)
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

/// The tools of a demonstration, which answer as recorded: the agent's in their order, the user's each to its call.
struct Recorded<'a> {
    history: &'a [Message],
    tools: &'a [ToolSpec],
    agent: VecDeque<&'a Message>,
    user: Vec<(&'a ToolCall, &'a Message)>,
}

impl<'a> Recorded<'a> {
    fn of(dialogue: &Dialogue<'a>) -> Self {
        let results = dialogue.after_history().iter();
        let results = results.filter(|m| m.role == Role::Tool);
        let (mut agent, mut user) = (VecDeque::new(), Vec::new());
        let own = calls_of_user(dialogue.messages);
        for result in results {
            match call_of(result, dialogue.messages).filter(|_| answers(result, &own)) {
                Some(call) => user.push((call, result)),
                None => agent.push_back(result),
            }
        }
        Self {
            history: &dialogue.task.history,
            tools: dialogue.tools,
            agent,
            user,
        }
    }
}

#[async_trait(?Send)]
impl Session for Recorded<'_> {
    fn tools(&self, party: Party) -> &[ToolSpec] {
        match party {
            Party::Agent => &[],
            Party::User => self.tools,
        }
    }

    fn history(&self) -> &[Message] {
        self.history
    }

    async fn call(&mut self, party: Party, call: &ToolCall) -> Result<ToolResult, Fault> {
        let recorded = match party {
            Party::Agent => self.agent.pop_front(),
            Party::User => {
                let same = |(other, _): &(&ToolCall, &Message)| {
                    other.name == call.name && other.arguments == call.arguments
                };
                let at = self.user.iter().position(same);
                at.map(|at| self.user.remove(at).1)
            }
        };
        Ok(ToolResult {
            content: recorded.map_or(String::new(), |m| m.content.clone()),
            ..ToolResult::default()
        })
    }

    async fn state(&mut self) -> Result<Option<StateView>, Fault> {
        Ok(None)
    }
}
