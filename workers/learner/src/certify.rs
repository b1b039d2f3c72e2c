//! Certification of a user model: its turns in held-out dialogues, judged by code.
//!
//! The agent's side is the demonstration's: the user model speaks in every place where the demonstration's user speaks,
//! with its own earlier turns before it, so that one slip is not counted again and again through a derailed agent.

use std::collections::BTreeMap;

use agoge_dialogue::{Message, Role, user_view};
use agoge_model::{Engine, Request, SampleKey, Sampling};
use agoge_world::{DONE, Task, UserFault, judge_user};
use serde::{Deserialize, Serialize};

use crate::LearnerError;
use crate::parallel;
use crate::rollout::{Guest, Player};

/// Faulty turns that are kept for a reader.
const EXAMPLES: usize = 12;

/// What a certification saw.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Certificate {
    /// Dialogues judged.
    pub dialogues: usize,
    /// User turns judged.
    pub turns: usize,
    /// Turns with at least one fault.
    pub faulty: usize,
    /// `faulty / turns`; 1 when there was no turn.
    pub error_rate: f64,
    /// Faulty turns by kind of fault.
    pub kinds: BTreeMap<String, usize>,
    /// A few faulty turns with the reason.
    pub examples: Vec<String>,
}

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
/// What stops the whole batch.
pub fn certify(
    player: Player<'_>,
    dialogues: &[Dialogue<'_>],
    max_tokens_per_turn: usize,
    seed: u64,
    threads: usize,
) -> Result<Certificate, LearnerError> {
    let waves: Vec<_> = (0u64..)
        .zip(dialogues.chunks(128))
        .map(|(n, wave)| (n, wave, Guest::of(player)))
        .collect();
    let judged = parallel::run(threads, waves, |(number, wave, guest)| {
        judge_wave(guest.lend(), wave, max_tokens_per_turn, seed, number)
    });
    let mut certificate = Certificate::default();
    for wave in judged {
        certificate.add(wave?);
    }
    certificate.error_rate = match certificate.turns {
        0 => 1.0,
        turns => certificate.faulty as f64 / turns as f64,
    };
    Ok(certificate)
}

impl Certificate {
    fn add(&mut self, other: Self) {
        self.dialogues += other.dialogues;
        self.turns += other.turns;
        self.faulty += other.faulty;
        for (kind, count) in other.kinds {
            *self.kinds.entry(kind).or_default() += count;
        }
        let room = EXAMPLES.saturating_sub(self.examples.len());
        self.examples.extend(other.examples.into_iter().take(room));
    }
}

struct Speaking<'a> {
    task: &'a Task,
    demonstration: Vec<Message>,
    at: usize,
    said: Vec<Message>,
    unseen: Vec<u32>,
    over: bool,
}

fn judge_wave(
    player: Player<'_>,
    dialogues: &[Dialogue<'_>],
    max_new: usize,
    seed: u64,
    wave: u64,
) -> Result<Certificate, LearnerError> {
    let mut certificate = Certificate {
        dialogues: dialogues.len(),
        ..Certificate::default()
    };
    let longest = dialogues
        .iter()
        .map(|d| d.messages.len())
        .max()
        .unwrap_or(0);
    let mut engine = Engine::new(dialogues.len(), 256 + longest * (max_new + 8));
    let sampling = Sampling {
        temperature: player.temperature,
        stop: vec![player.renderer.stop(player.vocab)],
    };
    let mut live: Vec<Speaking<'_>> = dialogues
        .iter()
        .map(|d| Speaking {
            task: d.task,
            demonstration: user_view(d.messages),
            at: 0,
            said: Vec::new(),
            unseen: player
                .renderer
                .open(player.vocab, &d.task.user.instruction, &[]),
            over: false,
        })
        .collect();
    for turn in 0.. {
        for one in &mut live {
            one.hear_the_agent(player);
        }
        let due: Vec<usize> = (0..live.len()).filter(|i| !live[*i].over).collect();
        if due.is_empty() {
            break;
        }
        let requests: Vec<Request> = due
            .iter()
            .map(|i| {
                let mut append = std::mem::take(&mut live[*i].unseen);
                append.extend(player.renderer.prefix(player.vocab, Role::User));
                let key = SampleKey {
                    seed,
                    step: wave,
                    group: *i as u64,
                    member: 0,
                    turn,
                };
                Request {
                    slot: *i,
                    append,
                    key,
                    max_new,
                }
            })
            .collect();
        for (index, generation) in
            due.into_iter()
                .zip(engine.generate(player.decoder, &requests, &sampling)?)
        {
            let parsed = player
                .renderer
                .parse(player.vocab, Role::User, &generation.ids)
                .ok();
            let text = parsed.filter(|_| !generation.truncated).map(|m| m.content);
            live[index].unseen = player.renderer.after_turn(player.vocab, Role::User);
            live[index].speak(text, &mut certificate);
        }
    }
    Ok(certificate)
}

impl Speaking<'_> {
    /// Moves on to the next place where the user speaks.
    fn hear_the_agent(&mut self, player: Player<'_>) {
        while !self.over {
            match self.demonstration.get(self.at) {
                Some(message) if message.role == Role::User => return,
                Some(message) => {
                    self.unseen
                        .extend(player.renderer.append(player.vocab, message));
                    self.said.push(message.clone());
                    self.at += 1;
                }
                None => self.over = true,
            }
        }
    }

    fn speak(&mut self, text: Option<String>, certificate: &mut Certificate) {
        certificate.turns += 1;
        let faults = match &text {
            Some(text) => judge_user(self.task, &self.said, text),
            None => vec![UserFault::no_turn()],
        };
        if let Some(fault) = faults.first() {
            certificate.faulty += 1;
            *certificate
                .kinds
                .entry(fault.kind_name().to_owned())
                .or_default() += 1;
            if certificate.examples.len() < EXAMPLES {
                let said = text.as_deref().unwrap_or("(nothing that ends)");
                certificate
                    .examples
                    .push(format!("{}: {said:?} - {}", self.task.id, fault.detail));
            }
        }
        let text = text.unwrap_or_default();
        self.over |= text.contains(DONE) || text.is_empty();
        self.said.push(Message::user(&text));
        self.at += 1;
    }
}
