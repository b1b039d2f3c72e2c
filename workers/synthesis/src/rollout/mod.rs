//! Rollouts of a task with models behind endpoints: the agent's model, and the task's script or another model as the user.
//!
//! The episode loop is [`agoge_world::play()`]. Calls run on the executable domain, messages are kept, and the checkers
//! judge the end. An endpoint that fails ends the episode as INFRA: it proves nothing about the agent and is never a
//! reward.

mod parties;
mod simulator;
mod speakers;
mod tools;
mod unread;

use std::borrow::BorrowMut;

use agoge_checker::{Cause, Evidence, Judge, Qualification, Verdict, attribute};
use agoge_dialogue::Message;
use agoge_llm::{Client, LlmError, Request, Spent};
use agoge_world::{
    Domain, End, Episode, Played, Rules, SandboxBackend, ScriptedUser, Speaker, Task, UserFault,
    World, left_early, user_faults,
};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

pub use simulator::{GREETING, SimulatedUser, Simulator, simulator_prompt};
pub use speakers::{Asker, EndpointAgent, EndpointUser, agent_prompt};
pub use tools::tool_list;

/// The ways of offering calls to the agent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Calls {
    /// Described in the prompt, written by the model as fenced JSON: works with every model.
    #[default]
    Fenced,
    /// By the API's `tools`. What the model writes as text is read too.
    Native,
}

/// The user of a rollout.
#[derive(Clone, Copy, Debug)]
pub enum User<'a> {
    /// The task's own script.
    Scripted,
    /// A model that gets the task's instruction and writes one line at a time; where the domain gives the user tools, one that
    /// plays the scenario.
    Model(&'a Client),
    /// A model that plays the task's scenario, as benchmarks have it. Nothing that it does excuses the agent.
    Simulator(Simulator<'a>),
}

/// The speaker that a [`User`] becomes in one episode.
enum Seat<'a> {
    Script(Box<ScriptedUser>),
    Model(EndpointUser<'a>),
    Simulator(SimulatedUser<'a>),
}

impl<'a> Seat<'a> {
    fn speaker(&mut self) -> &mut dyn Speaker {
        match self {
            Self::Script(script) => script.as_mut(),
            Self::Model(model) => model,
            Self::Simulator(model) => model,
        }
    }

    /// Returns the account of its model, where it has one.
    fn asker(self) -> Option<Asker<'a>> {
        match self {
            Self::Script(_) => None,
            Self::Model(model) => Some(model.asker),
            Self::Simulator(model) => Some(model.asker),
        }
    }
}

/// The rules of an episode and the sampling settings of its models.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Settings {
    /// The rules of the episode loop.
    pub rules: Rules,
    /// The agent's temperature.
    pub temperature: f64,
    /// The user model's temperature.
    pub user_temperature: f64,
    /// The seed of both models.
    pub seed: u64,
    /// The way in which calls are offered to the agent.
    pub calls: Calls,
}

/// A finished episode.
#[derive(Clone, Debug)]
pub struct Rollout {
    /// The dialogue, without system messages.
    pub messages: Vec<Message>,
    /// Its calls and the state they left.
    pub episode: Episode,
    /// The reason it ended.
    pub end: End,
    /// The checkers' verdict; `None` when an endpoint or the sandbox failed.
    pub verdict: Option<Verdict>,
    /// The user's turns against its instruction, found by code.
    pub user_faults: Vec<UserFault>,
    /// The cost of the agent's model.
    pub agent: Spent,
    /// The cost of the user's model.
    pub user: Spent,
    /// A warning with what to turn on: the agent's model wrote calls in a form that was not read.
    pub unread: Option<String>,
}

impl Rollout {
    /// Returns 1 when the user closed it and every checker passed, else 0; `None` when something failed that is not the
    /// agent's.
    #[must_use]
    pub fn reward(&self) -> Option<f64> {
        let verdict = self.verdict.as_ref();
        let verdict = verdict.filter(|verdict| verdict.is_about_the_agent())?;
        self.end.reward(verdict.pass)
    }

    /// Returns true when it closed and passed.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.reward() == Some(1.0)
    }

    /// Ends a failed rollout as the user's failure when the user left before the agent was done: it then proves nothing
    /// about the agent.
    fn excuse_agent(&mut self, domain: &Domain, task: &Task) {
        let verdict = self.verdict.as_ref();
        let failed = verdict.is_some_and(|verdict| verdict.is_about_the_agent() && !verdict.pass);
        let left = || left_early(domain, task, &self.messages, &self.episode);
        if let Some(fault) = failed.then(left).flatten() {
            self.end = End::User(fault.detail.clone());
            self.user_faults.push(fault);
        }
    }

    /// Returns the reason, where the sandbox spoiled the episode or its check: it may be played again.
    #[must_use]
    pub fn spoiled(&self) -> Option<&str> {
        let verdict = self.verdict.as_ref();
        let stopped = verdict.and_then(|v| v.lost.as_deref().or(v.killed.as_deref()));
        match &self.end {
            End::Infra(why) => Some(why),
            _ => stopped,
        }
    }

    /// Returns the party that the failure belongs to, with the reason; `None` when the episode passed.
    #[must_use]
    pub fn cause(
        &self,
        task: &Task,
        qualification: Option<&Qualification>,
    ) -> Option<(Cause, String)> {
        let infra = self.end.outside();
        let Some(verdict) = &self.verdict else {
            let why = infra.unwrap_or("no verdict");
            return Some((Cause::Infra, why.to_owned()));
        };
        if self.passed() {
            return None;
        }
        let evidence = Evidence {
            task,
            verdict,
            episode: &self.episode,
            user_faults: &self.user_faults,
            infra,
            qualification,
        };
        let found = attribute(&evidence);
        found.or_else(|| {
            // The checkers pass, but nobody closed the dialogue.
            let fault = self.user_faults.first();
            Some(match (&self.end, fault) {
                (End::User(why), _) => (Cause::User, why.clone()),
                (_, Some(fault)) => (
                    Cause::User,
                    format!("{}: {}", fault.kind_name(), fault.detail),
                ),
                (End::TurnLimit, _) => (
                    Cause::Trajectory,
                    "did not come to an end within its turns".into(),
                ),
                (End::TokenLimit, _) => (Cause::Trajectory, "a turn ran over its tokens".into()),
                (End::Nonsense(why), _) => (Cause::Trajectory, why.clone()),
                _ => (Cause::Trajectory, "did not close".into()),
            })
        })
    }
}

/// The players of many rollouts over one domain.
#[derive(Debug)]
pub struct Players<'a, W = World> {
    /// The tools and the data.
    pub backend: &'a SandboxBackend<W>,
    /// The judge, which replays each task's gold once.
    pub judge: &'a Mutex<Judge>,
    /// The agent's model.
    pub agent: &'a Client,
    /// The user.
    pub user: User<'a>,
    /// Rules and sampling.
    pub settings: &'a Settings,
}

impl<W: BorrowMut<World>> Players<'_, W> {
    /// Plays a task once. `item` names it in recordings.
    ///
    /// # Errors
    /// When the budget is used up or a recording lacks the answer. Every other failure of an endpoint is the rollout's
    /// end.
    pub async fn play(&self, task: &Task, item: &str) -> Result<Rollout, LlmError> {
        let settings = self.settings;
        let mut agent = self.agent_of(item);
        let mut user = self.user_of(task, item);
        let (played, episode) = match self.backend.session(task) {
            Ok(mut session) => {
                let user = user.speaker();
                let rules = &settings.rules;
                let played = agoge_world::play(&mut session, &mut agent, user, rules).await;
                (played, session.into_episode())
            }
            Err(fault) => (Played::failed(fault), Episode::default()),
        };
        let unread = agent.unread.take();
        let unread = unread.map(|beginning| unread::warning(settings.calls, &beginning));
        let (agent, user) = (agent.asker, user.asker());
        let (user, failed) = user.map_or_else(Default::default, |user| (user.spent, user.failure));
        if let Some(error) = agent.failure.or(failed).filter(LlmError::is_final) {
            return Err(error);
        }
        let mut rollout = Rollout {
            user_faults: user_faults(task, &self.backend.domain().error_text, &played.messages),
            messages: played.messages,
            episode,
            end: played.end,
            verdict: None,
            agent: agent.spent,
            user,
            unread,
        };
        if matches!(rollout.end, End::User(_)) {
            rollout.user_faults.push(UserFault::no_turn());
        }
        if rollout.end.outside().is_none() {
            rollout.verdict = Some(self.verdict(task, &rollout));
        }
        if !matches!(self.user, User::Simulator(_)) {
            rollout.excuse_agent(self.backend.domain(), task);
        }
        Ok(rollout)
    }

    fn user_of<'t>(&'t self, task: &'t Task, item: &str) -> Seat<'t> {
        let settings = self.settings;
        let (temperature, seed) = (settings.user_temperature, settings.seed);
        let domain: &Domain = self.backend.domain();
        let asker = |client| Asker::new(client, format!("{item}/user"));
        let (client, greeting) = match self.user {
            User::Scripted => {
                return Seat::Script(Box::new(ScriptedUser::new(task, &domain.error_text)));
            }
            User::Model(client) if domain.user_tools.is_empty() => {
                let user = EndpointUser::new(asker(client), task, temperature, seed);
                return Seat::Model(user);
            }
            // One line at a time leaves no room for calls of tools.
            User::Model(client) => (client, GREETING),
            User::Simulator(Simulator { client, greeting }) => (client, greeting),
        };
        let of = (domain, task);
        Seat::Simulator(SimulatedUser::new(
            asker(client),
            of,
            greeting,
            temperature,
            seed,
        ))
    }

    fn agent_of(&self, item: &str) -> EndpointAgent<'_> {
        let settings = self.settings;
        let domain = self.backend.domain();
        let prompt = agent_prompt(domain, settings.calls);
        let (tools, stop) = match settings.calls {
            Calls::Native => (domain.tools.clone(), Vec::new()),
            Calls::Fenced => (Vec::new(), vec![speakers::RESULT.to_owned()]),
        };
        let request = Request {
            tools,
            temperature: settings.temperature,
            seed: Some(settings.seed),
            stop,
            ..Request::new(
                vec![Message::system(&prompt)],
                settings.rules.max_agent_tokens,
            )
        };
        let asker = Asker::new(self.agent, format!("{item}/agent"));
        EndpointAgent::new(asker, request, settings.calls)
    }

    fn verdict(&self, task: &Task, rollout: &Rollout) -> Verdict {
        let mut world = self.backend.lock();
        let mut judge = self.judge.lock();
        let world = (*world).borrow_mut();
        judge.check(world, task, &rollout.episode, &rollout.messages)
    }
}
