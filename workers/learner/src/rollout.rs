//! Episodes of many tasks played in lock-step: all agents that are to speak sample in one batch, their tool calls run
//! in the sandbox, then all users that are to speak answer in one batch. The seats are dealt to a fixed number of tables,
//! each with its engines and sandbox, which play side by side.
//!
//! A trajectory keeps ids, log-probabilities, mask and policy version as sampled; nothing is ever rendered again. What
//! a seat samples depends on its key alone, not on who else plays.

use agoge_checker::{Judge, Verdict};
use agoge_dialogue::{Message, Renderer, Role, Transcript, Vocab};
use agoge_model::{Decoder, Engine, Request, SampleKey, Sampling};
use agoge_world::{
    DONE, Domain, Episode, ScriptedUser, Task, UserFault, World, WorldError, judge_user,
};
use serde::{Deserialize, Serialize};

use crate::LearnerError;
use crate::parallel::{self, PIECES};
use crate::players::{deal, each};

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

/// What an agent without a model says next, given the task and the messages so far.
pub type Script<'a> = dyn Fn(&Task, &[Message], &SampleKey) -> Message + Sync + 'a;

/// Who plays the agent.
#[derive(Clone, Copy)]
pub enum Agent<'a> {
    /// A policy, whose tokens are kept.
    Policy(Player<'a>),
    /// A baseline.
    Script(&'a Script<'a>),
}

/// Who plays the user.
#[derive(Clone, Copy)]
pub enum User<'a> {
    /// The task's own script.
    Scripted,
    /// A user model, prompted with the task's instruction.
    Model(Player<'a>),
}

/// Bounds of one episode.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Bounds {
    /// Agent turns, calls included.
    pub max_turns: u32,
    /// Sampled tokens of one turn, agent or user.
    pub max_tokens_per_turn: usize,
    /// Tokens of the agent's whole transcript.
    pub max_trajectory_tokens: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            max_turns: 12,
            max_tokens_per_turn: 64,
            max_trajectory_tokens: 300,
        }
    }
}

/// One place at the table: which task, and the numbers its randomness comes from.
#[derive(Clone, Copy)]
pub struct Seat<'a> {
    /// What is to be solved.
    pub task: &'a Task,
    /// Number of the group in its step.
    pub group: u64,
    /// Member of the group.
    pub member: u64,
}

/// How an episode ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind", content = "detail")]
pub enum End {
    /// The user closed it.
    Closed,
    /// The agent had no turn left.
    TurnLimit,
    /// The transcript or a turn reached its token limit.
    TokenLimit,
    /// The agent's tokens are no message.
    Nonsense(String),
    /// The user model failed: an error of its own, never the agent's.
    User(String),
    /// The sandbox failed: an error of its own, never the agent's.
    Infra(String),
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
    /// How it ended.
    pub end: End,
    /// What the checkers say; `None` when an error ended it.
    pub verdict: Option<Verdict>,
    /// 1 when it closed and every checker passed, else 0; `None` when an error that is not the agent's ended it.
    pub reward: Option<f64>,
    /// What the user did against its instruction, judged by code.
    pub user_faults: Vec<UserFault>,
    /// Agent turns, calls included.
    pub turns: u32,
    /// Tool calls, and those that came back as errors.
    pub calls: u32,
    /// See `calls`.
    pub failed_calls: u32,
}

/// The tables and bounds that episodes are played with.
pub struct Arena {
    tables: Vec<Table>,
    threads: usize,
}

impl Arena {
    /// An arena of one table a world, for `slots` episodes at a time in all. How seats are dealt depends on the number of
    /// worlds, so what must be repeatable bit for bit has always as many: [`PIECES`]. `threads` does not matter for it.
    #[must_use]
    pub fn new(
        worlds: Vec<World>,
        threads: usize,
        slots: usize,
        bounds: &Bounds,
        seed: u64,
    ) -> Self {
        let each = each(slots, worlds.len());
        let tables = worlds
            .into_iter()
            .map(|world| Table::new(world, each, bounds.clone(), seed))
            .collect();
        Self { tables, threads }
    }

    /// As many worlds of one domain as a repeatable arena has.
    ///
    /// # Errors
    /// When a sandbox does not start.
    pub fn worlds(open: impl Fn() -> Result<World, WorldError>) -> Result<Vec<World>, WorldError> {
        (0..PIECES).map(|_| open()).collect()
    }

    /// Plays every seat to its end and returns them in order. `step` is part of every random key.
    ///
    /// # Errors
    /// Only what stops the whole batch, such as a model that does not fit its tokenizer; an episode's own error is in
    /// its trajectory. `on_wave` hears how many seats are done and may stop the play with an error.
    pub fn play(
        &mut self,
        seats: &[Seat<'_>],
        agent: Agent<'_>,
        user: User<'_>,
        step: u64,
        mut on_wave: impl FnMut(usize) -> Result<(), LearnerError>,
    ) -> Result<Vec<Trajectory>, LearnerError> {
        let slots: usize = self.tables.iter().map(|table| table.slots).sum();
        let tables = self.tables.len();
        let mut finished = Vec::with_capacity(seats.len());
        for wave in seats.chunks(slots.max(1)) {
            let dealt: Vec<_> = self
                .tables
                .iter_mut()
                .zip(deal(wave, slots, tables))
                .map(|(table, seats)| (table, seats, Agents::of(agent), Users::of(user)))
                .collect();
            let played = parallel::run(self.threads, dealt, |(table, seats, agent, user)| {
                table.play(seats, agent.lend(), user.lend(), step)
            });
            for of_table in played {
                finished.extend(of_table?);
            }
            on_wave(finished.len())?;
        }
        Ok(finished)
    }
}

/// A player whose handle on the weights is its own, so that it may go to another thread.
pub(crate) struct Guest<'a> {
    decoder: Decoder,
    player: (&'a dyn Vocab, &'a dyn Renderer, f64, u32),
}

impl<'a> Guest<'a> {
    pub(crate) fn of(player: Player<'a>) -> Self {
        let Player {
            decoder,
            vocab,
            renderer,
            temperature,
            version,
        } = player;
        Self {
            decoder: decoder.share(),
            player: (vocab, renderer, temperature, version),
        }
    }

    pub(crate) fn lend(&self) -> Player<'_> {
        let (vocab, renderer, temperature, version) = self.player;
        Player {
            decoder: &self.decoder,
            vocab,
            renderer,
            temperature,
            version,
        }
    }
}

enum Agents<'a> {
    Policy(Box<Guest<'a>>),
    Script(&'a Script<'a>),
}

impl<'a> Agents<'a> {
    fn of(agent: Agent<'a>) -> Self {
        match agent {
            Agent::Policy(player) => Self::Policy(Box::new(Guest::of(player))),
            Agent::Script(next) => Self::Script(next),
        }
    }

    fn lend(&self) -> Agent<'_> {
        match self {
            Self::Policy(guest) => Agent::Policy(guest.lend()),
            Self::Script(next) => Agent::Script(*next),
        }
    }
}

enum Users<'a> {
    Scripted,
    Model(Box<Guest<'a>>),
}

impl<'a> Users<'a> {
    fn of(user: User<'a>) -> Self {
        match user {
            User::Scripted => Self::Scripted,
            User::Model(player) => Self::Model(Box::new(Guest::of(player))),
        }
    }

    fn lend(&self) -> User<'_> {
        match self {
            Self::Scripted => User::Scripted,
            Self::Model(guest) => User::Model(guest.lend()),
        }
    }
}

/// What one thread plays at.
struct Table {
    world: World,
    judge: Judge,
    policy: Engine,
    user: Engine,
    slots: usize,
    bounds: Bounds,
    seed: u64,
}

impl Table {
    /// A user sees no tool traffic, so its transcript is no longer than the agent's plus its instruction.
    fn new(world: World, slots: usize, bounds: Bounds, seed: u64) -> Self {
        let length = bounds.max_trajectory_tokens + bounds.max_tokens_per_turn;
        let (policy, user) = (Engine::new(slots, length), Engine::new(slots, length * 2));
        Self {
            world,
            judge: Judge::new(),
            policy,
            user,
            slots,
            bounds,
            seed,
        }
    }

    fn play(
        &mut self,
        seats: &[Seat<'_>],
        agent: Agent<'_>,
        user: User<'_>,
        step: u64,
    ) -> Result<Vec<Trajectory>, LearnerError> {
        let mut live: Vec<Live<'_>> = seats
            .iter()
            .map(|seat| Live::new(*seat, &self.world, agent, user))
            .collect();
        for slot in 0..live.len() {
            self.policy.reset(slot);
            self.user.reset(slot);
        }
        while live.iter().any(|l| l.end.is_none()) {
            self.users_speak(&mut live, user, step)?;
            self.agents_speak(&mut live, agent, user, step)?;
        }
        Ok(live
            .into_iter()
            .map(|l| l.judge(&mut self.world, &mut self.judge, user))
            .collect())
    }

    fn key(&self, step: u64, live: &Live<'_>, speaker: u64) -> SampleKey {
        let turn = u64::from(live.turn) * 2 + speaker;
        SampleKey {
            seed: self.seed,
            step,
            group: live.seat.group,
            member: live.seat.member,
            turn,
        }
    }

    fn users_speak(
        &mut self,
        live: &mut [Live<'_>],
        user: User<'_>,
        step: u64,
    ) -> Result<(), LearnerError> {
        let due: Vec<usize> = (0..live.len())
            .filter(|i| live[*i].end.is_none() && !live[*i].agents_turn)
            .collect();
        match user {
            User::Scripted => {
                for index in due {
                    live[index].scripted_user_speaks();
                }
            }
            User::Model(player) => {
                let requests: Vec<Request> = due
                    .iter()
                    .map(|i| {
                        let mut append = std::mem::take(&mut live[*i].for_user);
                        append.extend(player.renderer.prefix(player.vocab, Role::User));
                        let key = self.key(step, &live[*i], 1);
                        Request {
                            slot: *i,
                            append,
                            key,
                            max_new: self.bounds.max_tokens_per_turn,
                        }
                    })
                    .collect();
                let sampled = self
                    .user
                    .generate(player.decoder, &requests, &sampling(player))?;
                for (index, generation) in due.into_iter().zip(sampled) {
                    let message = player
                        .renderer
                        .parse(player.vocab, Role::User, &generation.ids);
                    live[index].for_user = player.renderer.after_turn(player.vocab, Role::User);
                    match message {
                        _ if generation.truncated => {
                            live[index].end = Some(End::User("its turn has no end".into()))
                        }
                        Ok(message) => live[index].user_said(&message.content),
                        Err(error) => live[index].end = Some(End::User(error.to_string())),
                    }
                }
            }
        }
        Ok(())
    }

    fn agents_speak(
        &mut self,
        live: &mut [Live<'_>],
        agent: Agent<'_>,
        user: User<'_>,
        step: u64,
    ) -> Result<(), LearnerError> {
        let mut due: Vec<usize> = (0..live.len())
            .filter(|i| live[*i].end.is_none() && live[*i].agents_turn)
            .collect();
        for index in &due {
            if live[*index].turn >= self.bounds.max_turns {
                live[*index].end = Some(End::TurnLimit);
            }
        }
        due.retain(|i| live[*i].end.is_none());
        match agent {
            Agent::Script(next) => {
                for index in due {
                    let key = self.key(step, &live[index], 0);
                    let message = next(live[index].seat.task, &live[index].messages, &key);
                    live[index].agent_said(message, &mut self.world, agent, user);
                }
            }
            Agent::Policy(player) => {
                let mut requests = Vec::with_capacity(due.len());
                for index in &due {
                    let one = &mut live[*index];
                    let mut append = std::mem::take(&mut one.for_agent);
                    append.extend(player.renderer.prefix(player.vocab, Role::Assistant));
                    one.transcript.push_context(&append);
                    let room = self
                        .bounds
                        .max_trajectory_tokens
                        .saturating_sub(one.transcript.ids.len());
                    if room == 0 {
                        one.end = Some(End::TokenLimit);
                        continue;
                    }
                    let max_new = room.min(self.bounds.max_tokens_per_turn);
                    requests.push(Request {
                        slot: *index,
                        append,
                        key: self.key(step, one, 0),
                        max_new,
                    });
                }
                let sampled = self
                    .policy
                    .generate(player.decoder, &requests, &sampling(player))?;
                for (request, generation) in requests.iter().zip(sampled) {
                    let one = &mut live[request.slot];
                    one.transcript.push_sampled(
                        &generation.ids,
                        &generation.logprobs,
                        player.version,
                    );
                    if generation.truncated {
                        one.end = Some(End::TokenLimit);
                        continue;
                    }
                    one.for_agent = player.renderer.after_turn(player.vocab, Role::Assistant);
                    match player
                        .renderer
                        .parse(player.vocab, Role::Assistant, &generation.ids)
                    {
                        Ok(message) => one.agent_said(message, &mut self.world, agent, user),
                        Err(error) => one.end = Some(End::Nonsense(error.to_string())),
                    }
                }
            }
        }
        Ok(())
    }
}

fn sampling(player: Player<'_>) -> Sampling {
    Sampling {
        temperature: player.temperature,
        stop: vec![player.renderer.stop(player.vocab)],
    }
}

/// An episode being played.
struct Live<'a> {
    seat: Seat<'a>,
    transcript: Transcript,
    messages: Vec<Message>,
    episode: Episode,
    scripted: Option<ScriptedUser>,
    agents_turn: bool,
    /// Ids that the policy has not seen yet.
    for_agent: Vec<u32>,
    /// Ids that the user model has not seen yet.
    for_user: Vec<u32>,
    agent_player: Option<Player<'a>>,
    turn: u32,
    calls: u32,
    failed_calls: u32,
    end: Option<End>,
}

impl<'a> Live<'a> {
    fn new(seat: Seat<'a>, world: &World, agent: Agent<'a>, user: User<'a>) -> Self {
        let domain = world.domain();
        let agent_player = match agent {
            Agent::Policy(player) => Some(player),
            Agent::Script(_) => None,
        };
        let for_agent = agent_player
            .map(|p| {
                p.renderer
                    .open(p.vocab, system(domain, p.renderer), &domain.tools)
            })
            .unwrap_or_default();
        let (scripted, for_user) = match user {
            User::Scripted => (Some(ScriptedUser::new(seat.task)), Vec::new()),
            User::Model(p) => (
                None,
                p.renderer.open(p.vocab, &seat.task.user.instruction, &[]),
            ),
        };
        Self {
            seat,
            transcript: Transcript::default(),
            messages: Vec::new(),
            episode: Episode::default(),
            scripted,
            agents_turn: false,
            for_agent,
            for_user,
            agent_player,
            turn: 0,
            calls: 0,
            failed_calls: 0,
            end: None,
        }
    }

    fn scripted_user_speaks(&mut self) {
        let last = self.messages.last().map(|m| m.content.clone());
        let Some(script) = &mut self.scripted else {
            return;
        };
        let text = match last {
            None => script.open(),
            Some(said) => script.reply(&said).text,
        };
        self.user_said(&text);
    }

    fn user_said(&mut self, text: &str) {
        let message = Message::user(text);
        if text.contains(DONE) {
            self.end = Some(End::Closed);
        } else if let Some(player) = self.agent_player {
            self.for_agent
                .extend(player.renderer.append(player.vocab, &message));
        }
        self.messages.push(message);
        self.agents_turn = true;
    }

    fn agent_said(
        &mut self,
        message: Message,
        world: &mut World,
        agent: Agent<'_>,
        user: User<'_>,
    ) {
        self.turn += 1;
        if message.tool_calls.is_empty() {
            if let User::Model(player) = user {
                self.for_user
                    .extend(player.renderer.append(player.vocab, &message));
            }
            self.messages.push(message);
            self.agents_turn = false;
            return;
        }
        let calls = message.tool_calls.clone();
        self.messages.push(message);
        let first = self.messages.len();
        for call in calls {
            let result = world.call(&mut self.episode, &call);
            self.calls += 1;
            self.failed_calls += u32::from(result.error);
            if result.killed {
                self.end = Some(End::Infra(result.content));
                return;
            }
            self.messages
                .push(Message::tool_result(&call.id, &result.content));
        }
        if let Agent::Policy(player) = agent {
            self.for_agent.extend(
                player
                    .renderer
                    .append_all(player.vocab, &self.messages[first..]),
            );
        }
    }

    fn judge(self, world: &mut World, judge: &mut Judge, user: User<'_>) -> Trajectory {
        let end = self.end.unwrap_or(End::TurnLimit);
        let errored = matches!(end, End::User(_) | End::Infra(_));
        let verdict =
            (!errored).then(|| judge.check(world, self.seat.task, &self.episode, &self.messages));
        let reward = verdict.as_ref().filter(|v| v.killed.is_none()).map(|v| {
            if v.pass && end == End::Closed {
                1.0
            } else {
                0.0
            }
        });
        let user_faults = match user {
            User::Scripted => Vec::new(),
            User::Model(_) => faults(self.seat.task, &self.messages),
        };
        Trajectory {
            task: self.seat.task.id.clone(),
            group: self.seat.group,
            member: self.seat.member,
            transcript: self.transcript,
            messages: self.messages,
            end,
            verdict,
            reward,
            user_faults,
            turns: self.turn,
            calls: self.calls,
            failed_calls: self.failed_calls,
        }
    }
}

/// What an agent is told: in the compact format, which only models use that learn a domain in their weights, its short
/// prompt; in every other the policy.
#[must_use]
pub fn system<'a>(domain: &'a Domain, renderer: &dyn Renderer) -> &'a str {
    match renderer.name() {
        "compact" => &domain.prompt,
        _ => &domain.policy,
    }
}

/// Every fault of the user's turns in a dialogue.
#[must_use]
pub fn faults(task: &Task, messages: &[Message]) -> Vec<UserFault> {
    (0..messages.len())
        .filter(|i| messages[*i].role == Role::User)
        .flat_map(|i| judge_user(task, &messages[..i], &messages[i].content))
        .collect()
}
