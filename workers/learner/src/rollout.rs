//! An episode as training sees it: its seat, the models that play it, and the trajectory that is left.
//!
//! A trajectory keeps ids, log-probabilities, mask and policy version as sampled; nothing is ever rendered again. What
//! a seat samples depends on its key alone, up to the last bits of float32 sums, which depend on who is sampled with it.

use std::cell::RefCell;

use agoge_checker::{Judge, Verdict};
use agoge_dialogue::{Message, Renderer, SampleKey, Transcript, Vocab};
use agoge_model::{Batch, Decoder, Sampling};
use agoge_world::{
    Episode, Played, Rules, Sampler as _, SandboxBackend, Script, ScriptedUser, Speaker, Task,
    UserFault, View, World, play, user_faults,
};
use serde::{Deserialize, Serialize};

pub use agoge_world::End;

use crate::sampler::BatchSampler;
pub use crate::speaker::{Format, system};
use crate::speaker::{Policy, UserModel};

/// A language model in one role of the dialogue.
#[derive(Clone, Copy)]
pub struct Player<'a> {
    /// Weights.
    pub decoder: &'a Decoder,
    /// Tokenizer.
    pub vocab: &'a dyn Vocab,
    /// Message format.
    pub renderer: &'a dyn Renderer,
    /// 0 is greedy.
    pub temperature: f64,
    /// Policy version that its tokens are stamped with.
    pub version: u32,
}

impl<'a> Player<'a> {
    pub(crate) fn format(self) -> Format<'a> {
        Format {
            vocab: self.vocab,
            renderer: self.renderer,
        }
    }

    /// An engine of `slots` sequences, with the weights as they are now.
    pub(crate) fn batch(self, slots: usize, max_len: usize) -> Batch {
        let sampling = Sampling {
            temperature: self.temperature,
            stop: vec![self.renderer.stop(self.vocab)],
        };
        Batch::new(self.decoder, slots, max_len, sampling)
    }
}

/// The next message of an agent without a model, given the task and the messages so far.
pub type AgentScript<'a> = dyn Fn(&Task, &[Message], &SampleKey) -> Message + Sync + 'a;

/// The player of the agent.
#[derive(Clone, Copy)]
pub enum Agent<'a> {
    /// A policy, whose tokens are kept.
    Policy(Player<'a>),
    /// A baseline.
    Script(&'a AgentScript<'a>),
}

/// The player of the user.
#[derive(Clone, Copy)]
pub enum User<'a> {
    /// The task's own script.
    Scripted,
    /// A user model, prompted with the task's instruction.
    Model(Player<'a>),
}

/// One episode to be played: its task, and the numbers its randomness comes from.
#[derive(Clone, Copy)]
pub struct Seat<'a> {
    /// The task to solve.
    pub task: &'a Task,
    /// Number of the group in its run.
    pub group: u64,
    /// Member of the group.
    pub member: u64,
}

/// A finished episode.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Trajectory {
    /// The task's id.
    pub task: String,
    /// Group and member it was played for.
    pub group: u64,
    /// See `group`.
    pub member: u64,
    /// Tokens of the agent's side; empty for a scripted agent.
    pub transcript: Transcript,
    /// The dialogue.
    pub messages: Vec<Message>,
    /// The reason it ended.
    pub end: End,
    /// The checkers' verdict; `None` when an error ended it.
    pub verdict: Option<Verdict>,
    /// 1 when it closed and every checker passed, else 0; `None` when an error that is not the agent's ended it.
    pub reward: Option<f64>,
    /// Turns of the user that break its instruction, judged by code.
    pub user_faults: Vec<UserFault>,
    /// Agent turns, calls included.
    pub turns: u32,
    /// Tool calls, and those that came back as errors.
    pub calls: u32,
    /// See `calls`.
    pub failed_calls: u32,
}

/// The agent at a table: a model's format with its sampler, or a script.
#[derive(Clone, Copy)]
pub(crate) enum AgentSide<'a> {
    Policy(Format<'a>, &'a BatchSampler),
    Script(&'a AgentScript<'a>),
}

/// The user at a table.
#[derive(Clone, Copy)]
pub(crate) enum UserSide<'a> {
    Scripted,
    Model(Format<'a>, &'a BatchSampler),
}

/// The surroundings that all episodes of a table share.
pub(crate) struct Table<'a, 'w> {
    pub(crate) world: &'a SandboxBackend<&'w mut World>,
    pub(crate) judge: RefCell<&'w mut Judge>,
    pub(crate) rules: &'a Rules,
    pub(crate) agent: AgentSide<'a>,
    pub(crate) user: UserSide<'a>,
}

/// Plays one episode in the sequences of this number and judges it.
pub(crate) async fn episode(
    table: &Table<'_, '_>,
    sequence: u64,
    seat: Seat<'_>,
    key: SampleKey,
) -> Trajectory {
    let mut user: Box<dyn Speaker + '_> = match table.user {
        UserSide::Scripted => Box::new(ScriptedUser::new(
            seat.task,
            &table.world.domain().error_text,
        )),
        UserSide::Model(format, sampler) => {
            let tools = &table.world.domain().user_tools;
            Box::new(UserModel::new(
                format, sampler, sequence, key, seat.task, tools,
            ))
        }
    };
    let mut session = match table.world.session(seat.task) {
        Ok(session) => session,
        Err(fault) => {
            let played = Played::failed(fault);
            return table.judged(seat, Episode::default(), played, Transcript::default());
        }
    };
    let (played, transcript) = match table.agent {
        AgentSide::Policy(format, sampler) => {
            let domain = table.world.domain();
            let mut policy = Policy::new(format, sampler, sequence, key, domain);
            let played = play(&mut session, &mut policy, user.as_mut(), table.rules).await;
            (played, policy.into_transcript())
        }
        AgentSide::Script(next) => {
            let mut script = Script(|view: View<'_>| {
                let turn = u64::from(view.turns) * 2;
                next(seat.task, view.messages, &SampleKey { turn, ..key })
            });
            let played = play(&mut session, &mut script, user.as_mut(), table.rules).await;
            (played, Transcript::default())
        }
    };
    table.release(sequence);
    table.judged(seat, session.into_episode(), played, transcript)
}

impl Table<'_, '_> {
    fn release(&self, sequence: u64) {
        if let AgentSide::Policy(_, sampler) = self.agent {
            sampler.release(sequence);
        }
        if let UserSide::Model(_, sampler) = self.user {
            sampler.release(sequence);
        }
    }

    fn judged(
        &self,
        seat: Seat<'_>,
        episode: Episode,
        played: Played,
        transcript: Transcript,
    ) -> Trajectory {
        let verdict = (!played.end.is_fault()).then(|| {
            let mut judge = self.judge.borrow_mut();
            judge.check(
                &mut self.world.lock(),
                seat.task,
                &episode,
                &played.messages,
            )
        });
        let reward = verdict
            .as_ref()
            .filter(|verdict| verdict.is_about_the_agent())
            .and_then(|verdict| played.end.reward(verdict.pass));
        let user_faults = match self.user {
            UserSide::Scripted => Vec::new(),
            UserSide::Model(..) => {
                user_faults(seat.task, &self.world.domain().error_text, &played.messages)
            }
        };
        Trajectory {
            task: seat.task.id.clone(),
            group: seat.group,
            member: seat.member,
            transcript,
            messages: played.messages,
            end: played.end,
            verdict,
            reward,
            user_faults,
            turns: played.turns,
            calls: played.calls,
            failed_calls: played.failed_calls,
        }
    }
}
