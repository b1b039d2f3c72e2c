//! One episode with models at the table: the agent is an endpoint's model, the user another one or the task's script.
//!
//! The agent reads policy and tools first and the dialogue after them, so that all episodes of a domain share their
//! prompt's beginning and an endpoint with a prompt cache reads it once. Its calls run on the executable domain, its
//! messages are kept, and the checkers judge how it ended.
//!
//! An endpoint that fails ends the episode as INFRA: it proves nothing about the agent and is never a reward.

use std::borrow::BorrowMut;
use std::sync::{Mutex, MutexGuard, PoisonError};

use agoge_checker::{Cause, Evidence, Judge, Qualification, Verdict, attribute};
use agoge_dialogue::{Message, Role, ToolCall, ToolSpec, user_view};
use agoge_llm::{Answer, Client, LlmError, Request, Spent};
use agoge_world::{DONE, Domain, Episode, ScriptedUser, Task, UserFault, World, judge_user};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// How calls are offered to the agent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Calls {
    /// Described in the prompt, written by the model as fenced JSON: works with every model.
    #[default]
    Fenced,
    /// By the API's `tools`. What the model writes as fenced JSON is accepted too.
    Native,
}

/// Who plays the user.
#[derive(Clone, Copy, Debug)]
pub enum User<'a> {
    /// The task's own script.
    Scripted,
    /// A model that is told the task's instruction.
    Model(&'a Client),
}

/// The bounds of an episode and how its players sample.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Rules {
    /// Agent turns, calls included.
    pub max_turns: u32,
    /// Generated tokens of an agent's turn.
    pub agent_tokens: u32,
    /// Generated tokens of a user's turn.
    pub user_tokens: u32,
    /// The agent's temperature.
    pub temperature: f64,
    /// The user model's temperature.
    pub user_temperature: f64,
    /// Seed of both.
    pub seed: u64,
    /// How calls are offered.
    pub calls: Calls,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            max_turns: 12,
            agent_tokens: 160,
            user_tokens: 60,
            temperature: 0.0,
            user_temperature: 0.0,
            seed: 0,
            calls: Calls::Fenced,
        }
    }
}

/// How an episode ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind", content = "detail")]
pub enum End {
    /// The user closed it.
    Closed,
    /// The agent had no turn left.
    TurnLimit,
    /// A turn reached its token limit.
    TokenLimit,
    /// What the agent wrote as calls cannot be read, or names no tool there is, twice in a row.
    Nonsense(String),
    /// The user model gave no turn.
    User(String),
    /// An endpoint or the sandbox failed.
    Infra(String),
}

/// A finished episode.
#[derive(Clone, Debug)]
pub struct Rollout {
    /// The dialogue, without system messages.
    pub messages: Vec<Message>,
    /// What it did to the world.
    pub episode: Episode,
    /// How it ended.
    pub end: End,
    /// What the checkers say; `None` when an endpoint failed.
    pub verdict: Option<Verdict>,
    /// What the user did against its instruction, judged by code.
    pub user_faults: Vec<UserFault>,
    /// What the agent's model cost.
    pub agent: Spent,
    /// What the user's model cost.
    pub user: Spent,
}

impl Rollout {
    /// 1 when the user closed it and every checker passed, else 0; `None` when something failed that is not the agent's.
    #[must_use]
    pub fn reward(&self) -> Option<f64> {
        let verdict = self.verdict.as_ref()?;
        match self.end {
            End::Infra(_) | End::User(_) => None,
            _ if verdict.killed.is_some() => None,
            End::Closed => Some(f64::from(u8::from(verdict.pass))),
            _ => Some(0.0),
        }
    }

    /// Whether it closed and passed.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.reward() == Some(1.0)
    }

    /// Whose fault it is that it did not pass, with the reason; `None` when it did.
    #[must_use]
    pub fn cause(
        &self,
        task: &Task,
        qualification: Option<&Qualification>,
    ) -> Option<(Cause, String)> {
        let infra = match &self.end {
            End::Infra(why) => Some(why.as_str()),
            _ => None,
        };
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

/// What the agent is told: the same for every task of a domain, calls in the prompt unless they are offered natively.
#[must_use]
pub fn agent_prompt(domain: &Domain, calls: Calls) -> String {
    let mut text = format!("{}\n", domain.policy.trim());
    if calls == Calls::Fenced {
        text.push_str("\n# Tools\n\n");
        text.push_str(&tool_list(&domain.tools));
    }
    text.push_str(&format!("\nIt is {}.\n\n# How to answer\n\n", domain.now));
    match calls {
        Calls::Fenced => text.push_str(AGENT_FENCED),
        Calls::Native => text.push_str(AGENT_NATIVE),
    }
    text
}

const AGENT_FENCED: &str = include_str!("rollout/agent-fenced.md");
const AGENT_NEXT: &str = include_str!("rollout/agent-next.md");
const AGENT_NATIVE: &str = include_str!("rollout/agent-native.md");
const USER: &str = include_str!("rollout/user.md");
const USER_FIRST: &str = include_str!("rollout/user-first.md");
const USER_NEXT: &str = include_str!("rollout/user-next.md");
/// How a line of results begins; a model that writes it itself is stopped there.
const TOLD: &str = "Result of";
/// What a user model hears before it speaks first.
const GREETING: &str = "Hello, how can I help you?";

/// The tools as signatures, one a line.
#[must_use]
pub fn tool_list(tools: &[ToolSpec]) -> String {
    let mut text = String::new();
    for tool in tools {
        let parameters = tool.parameters["properties"].as_object();
        let signature: Vec<String> = parameters
            .into_iter()
            .flatten()
            .map(|(name, schema)| format!("{name}: {}", schema["type"].as_str().unwrap_or("any")))
            .collect();
        text.push_str(&format!(
            "- {}({}): {}\n",
            tool.name,
            signature.join(", "),
            tool.description
        ));
    }
    text
}

/// Plays a task once. `item` names it in recordings. The world is locked only while a tool or a checker runs, so that
/// several episodes may share one.
///
/// # Errors
/// When the budget is used up or a recording lacks the answer. Every other failure of an endpoint is the rollout's end.
pub async fn play<W: BorrowMut<World>>(
    world: &Mutex<W>,
    task: &Task,
    item: &str,
    agent: &Client,
    user: User<'_>,
    rules: &Rules,
) -> Result<Rollout, LlmError> {
    let mut table = Table::new(world, task, item, agent, user, rules);
    let end = match table.episode().await {
        Ok(end) => end,
        Err(error) if error.is_final() => return Err(error),
        Err(error) => End::Infra(error.to_string()),
    };
    let mut rollout = table.rollout;
    rollout.end = end;
    if !matches!(rollout.end, End::Infra(_)) {
        let mut world = lock(world);
        let verdict = Judge::new().check(
            (*world).borrow_mut(),
            task,
            &rollout.episode,
            &rollout.messages,
        );
        rollout.verdict = Some(verdict);
    }
    Ok(rollout)
}

pub(crate) fn lock<W>(world: &Mutex<W>) -> MutexGuard<'_, W> {
    world.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An episode being played.
struct Table<'a, W> {
    world: &'a Mutex<W>,
    task: &'a Task,
    item: &'a str,
    agent: &'a Client,
    user: User<'a>,
    rules: &'a Rules,
    /// The agent's side as its model wrote and reads it.
    wire: Vec<Message>,
    tools: Vec<ToolSpec>,
    /// Names of the domain's tools.
    known: Vec<String>,
    script: ScriptedUser,
    rollout: Rollout,
}

impl<'a, W: BorrowMut<World>> Table<'a, W> {
    fn new(
        world: &'a Mutex<W>,
        task: &'a Task,
        item: &'a str,
        agent: &'a Client,
        user: User<'a>,
        rules: &'a Rules,
    ) -> Self {
        let domain = {
            let mut world = lock(world);
            (*world).borrow_mut().domain().clone()
        };
        Self {
            world,
            task,
            item,
            agent,
            user,
            rules,
            wire: vec![Message::system(&agent_prompt(&domain, rules.calls))],
            tools: if rules.calls == Calls::Native {
                domain.tools.clone()
            } else {
                Vec::new()
            },
            known: domain.tools.iter().map(|tool| tool.name.clone()).collect(),
            script: ScriptedUser::new(task),
            rollout: Rollout {
                messages: Vec::new(),
                episode: Episode::default(),
                end: End::TurnLimit,
                verdict: None,
                user_faults: Vec::new(),
                agent: Spent::default(),
                user: Spent::default(),
            },
        }
    }

    async fn episode(&mut self) -> Result<End, LlmError> {
        if let Some(end) = self.user_turn().await? {
            return Ok(end);
        }
        let mut unreadable = 0;
        for _ in 0..self.rules.max_turns {
            let request = Request {
                tools: self.tools.clone(),
                temperature: self.rules.temperature,
                seed: Some(self.rules.seed),
                stop: if self.tools.is_empty() {
                    vec![TOLD.into()]
                } else {
                    Vec::new()
                },
                ..Request::new(self.wire.clone(), self.rules.agent_tokens)
            };
            let item = format!("{}/agent", self.item);
            let answer = self.agent.ask(&item, &request).await?;
            let usd = self.agent.cost(&answer.usage);
            self.rollout.agent.add(&answer.usage, usd);
            match answer.calls() {
                Ok(calls) if calls.is_empty() => {
                    if answer.text.trim().is_empty() {
                        return Ok(End::Nonsense("the agent said nothing".into()));
                    }
                    unreadable = 0;
                    self.say(Message::assistant(answer.text.trim()));
                    if let Some(end) = self.user_turn().await? {
                        return Ok(end);
                    }
                }
                Ok(calls) => {
                    let unknown = |call: &ToolCall| !self.known.contains(&call.name);
                    unreadable = if calls.iter().all(unknown) {
                        unreadable + 1
                    } else {
                        0
                    };
                    let name = calls
                        .first()
                        .map_or(String::new(), |call| call.name.clone());
                    if self.rules.calls == Calls::Fenced {
                        self.wire
                            .push(Message::assistant(&written(&answer, &calls)));
                    }
                    if let Some(end) = self.calls(calls) {
                        return Ok(end);
                    }
                    if unreadable == 2 {
                        return Ok(End::Nonsense(format!("there is no tool `{name}`")));
                    }
                }
                Err(error) => {
                    unreadable += 1;
                    self.say(Message::assistant(&answer.text));
                    if unreadable == 2 {
                        return Ok(End::Nonsense(error.to_string()));
                    }
                    let told = format!("error: {error}");
                    self.rollout.messages.push(Message::tool_result("", &told));
                    self.wire.push(Message::user(&told));
                }
            }
        }
        Ok(End::TurnLimit)
    }

    /// What is said aloud: in the dialogue, and on the agent's side.
    fn say(&mut self, message: Message) {
        self.rollout.messages.push(message.clone());
        self.wire.push(message);
    }

    fn calls(&mut self, calls: Vec<ToolCall>) -> Option<End> {
        let first = self.rollout.episode.calls.len();
        let calls: Vec<ToolCall> = calls
            .into_iter()
            .enumerate()
            .map(|(n, call)| ToolCall {
                id: (first + n + 1).to_string(),
                ..call
            })
            .collect();
        let native = self.rules.calls == Calls::Native;
        let message = Message::calls(calls.clone());
        if native {
            self.wire.push(message.clone());
        }
        self.rollout.messages.push(message);
        let mut told = Vec::new();
        for call in calls {
            let result = {
                let mut world = lock(self.world);
                (*world).borrow_mut().call(&mut self.rollout.episode, &call)
            };
            let message = Message::tool_result(&call.id, &result.content);
            if native {
                self.wire.push(message.clone());
            }
            self.rollout.messages.push(message);
            told.push(format!("{TOLD} {}: {}", call.name, result.content));
            if result.killed {
                return Some(End::Infra(format!(
                    "{} was stopped: {}",
                    call.name, result.content
                )));
            }
        }
        if !native {
            let told = format!("{}\n{}", told.join("\n"), AGENT_NEXT.trim());
            self.wire.push(Message::user(&told));
        }
        None
    }

    /// The user's next turn; the end, when it closes or fails.
    async fn user_turn(&mut self) -> Result<Option<End>, LlmError> {
        let last = self
            .rollout
            .messages
            .last()
            .map_or(String::new(), |m| m.content.clone());
        let opens = self.rollout.messages.is_empty();
        let text = match self.user {
            User::Scripted if opens => self.script.open(),
            User::Scripted => self.script.reply(&last).text,
            User::Model(client) => {
                let request = Request {
                    temperature: self.rules.user_temperature,
                    seed: Some(self.rules.seed),
                    ..Request::new(
                        user_side(self.task, &self.rollout.messages),
                        self.rules.user_tokens,
                    )
                };
                let item = format!("{}/user", self.item);
                let answer = client.ask(&item, &request).await?;
                let usd = client.cost(&answer.usage);
                self.rollout.user.add(&answer.usage, usd);
                line(&answer.text)
            }
        };
        self.rollout
            .user_faults
            .extend(judge_user(self.task, &self.rollout.messages, &text));
        if text.is_empty() {
            return Ok(Some(End::User("the user gave no turn".into())));
        }
        let closes = text.contains(DONE);
        self.say(Message::user(&text));
        Ok(closes.then_some(End::Closed))
    }
}

/// Calls as their model wrote them; native ones that were not offered, as it would have been asked to.
fn written(answer: &Answer, calls: &[ToolCall]) -> String {
    if !answer.text.is_empty() {
        return answer.text.clone();
    }
    let fence = |call: &ToolCall| {
        let call = json!({"name": call.name, "arguments": call.arguments});
        format!("```json\n{call}\n```")
    };
    calls.iter().map(fence).collect::<Vec<_>>().join("\n")
}

/// The dialogue as the user's model reads it: a transcript to which it writes the next line, for a small model that is
/// given the helpdesk's words as a user's answers like a helpdesk. Rules first, the task's own after them, what grows last.
fn user_side(task: &Task, messages: &[Message]) -> Vec<Message> {
    let system = format!("{}\n{}", USER.trim(), task.user.instruction);
    let mut transcript = format!("Helpdesk: {GREETING}\n");
    for message in user_view(messages) {
        let speaker = if message.role == Role::User {
            "Customer"
        } else {
            "Helpdesk"
        };
        transcript.push_str(&format!("{speaker}: {}\n", message.content.trim()));
    }
    let asked = if messages.is_empty() {
        USER_FIRST
    } else {
        USER_NEXT
    };
    transcript.push_str(&format!("\n{}", asked.trim().replace("{done}", DONE)));
    vec![Message::system(&system), Message::user(&transcript)]
}

/// A user model's line without the speaker's name that it may have written before it.
fn line(text: &str) -> String {
    let text = text.trim();
    let text = text.strip_prefix("Customer:").unwrap_or(text).trim();
    text.lines()
        .next()
        .unwrap_or_default()
        .trim_matches('"')
        .trim()
        .to_owned()
}
