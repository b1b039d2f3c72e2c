//! The loop of an evaluation: every trial of every task that is not finished yet, several at once. The command line and the
//! workers play by it.
//!
//! An episode that an endpoint or a killed sandbox fails is no trial. The client waits out what passes. An outage that lasts
//! ends the evaluation with what is kept; a request that fails alone, while others are answered, only leaves its episode open.
//! A finished episode is a line of the ledger before the next one counts.

pub mod baseline;
mod record;

use std::borrow::BorrowMut;
use std::future::Future;
use std::time::Duration;

use agoge_artifacts::evaluation::Episode;
use agoge_checker::{Judge, StatementJudge, judge_statements};
use agoge_dialogue::Message;
use agoge_llm::{Client, LlmError, Request};
use agoge_store::{Ledger, LedgerError};
use agoge_world::{Domain, DomainLimits, Rules, SandboxBackend, Task, World};
use async_trait::async_trait;
use futures::StreamExt;
use parking_lot::Mutex;

use crate::rollout::{Players, Rollout, Settings, Simulator, User};

pub use record::Urls;

/// Tries of an episode that a killed sandbox spoils.
const TRIES: u32 = 3;
/// The pause after the first of them.
const PAUSE: Duration = Duration::from_secs(1);
/// Generated tokens of one turn of a user model that plays a scenario, where nothing else is asked for.
pub const USER_TOKENS: u32 = 256;
/// The temperature of an agent that plays several trials of a task, where nothing else is asked for.
pub const SEVERAL: f64 = 0.7;
/// Generated tokens of a judge's answer.
const JUDGE_TOKENS: u32 = 2048;

/// Everything that the episodes share.
pub struct Exam<'a, W = World> {
    /// The tools and the data.
    pub backend: &'a SandboxBackend<W>,
    /// The tasks.
    pub tasks: &'a [Task],
    /// Trials of each.
    pub trials: u32,
    /// Episodes at once.
    pub concurrency: usize,
    /// The model that is evaluated.
    pub agent: &'a Client,
    /// The user.
    pub user: User<'a>,
    /// The model that judges the statements of tasks; without one they stay unjudged.
    pub judge: Option<&'a Client>,
    /// The settings of the first trial. The seed of another one is as much higher.
    pub settings: Settings,
    /// The key of a trial in the ledger.
    pub key: &'a dyn Fn(&Task, u32) -> String,
    /// The name of a trial in recordings.
    pub item: &'a dyn Fn(&Task, u32) -> String,
}

/// The end of all episodes.
#[derive(Debug, Default)]
pub struct Played {
    /// Finished episodes with their task's number, in the order of tasks and trials.
    pub episodes: Vec<(usize, Episode)>,
    /// The reasons why the others are still open.
    pub open: Vec<String>,
}

/// The reason why an evaluation ended before all its episodes were played.
#[derive(Debug, thiserror::Error)]
pub enum Halt {
    /// It was asked to stop.
    #[error("it was asked to stop")]
    Stopped,
    /// The ledger cannot be read or written.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// An endpoint whose outage lasts, or that refuses what it is asked.
    #[error(transparent)]
    Endpoint(#[from] Box<LlmError>),
}

/// The result of one trial: an episode, or the reason why it is still open.
type Trial = Result<Result<Episode, String>, Box<LlmError>>;

/// Returns every trial of so many tasks, the task's number and the trial's: all first trials, then all second ones.
pub fn trials(tasks: usize, trials: u32) -> impl Iterator<Item = (usize, u32)> {
    (0..trials).flat_map(move |trial| (0..tasks).map(move |at| (at, trial)))
}

impl<W: BorrowMut<World>> Exam<'_, W> {
    /// Plays what is not in the ledger yet, and keeps it there. `seen` gets every episode that is new, `None` for one that
    /// stays open. `stop` ends the evaluation when it comes true; what is finished is kept.
    ///
    /// # Errors
    /// [`Halt`]
    pub async fn play(
        &self,
        ledger: &mut Ledger,
        stop: impl Future<Output = ()>,
        mut seen: impl FnMut(Option<&Episode>),
    ) -> Result<Played, Halt> {
        let memory = Mutex::new(Judge::new());
        let (mut played, due) = self.due(ledger)?;
        let episodes = futures::stream::iter(due).map(|(at, trial)| {
            let one = self.trial(&memory, at, trial);
            async move { (at, trial, one.await) }
        });
        let mut episodes = episodes.buffer_unordered(self.concurrency.max(1));
        let mut stop = std::pin::pin!(stop);
        loop {
            let next = tokio::select! {
                biased;
                () = &mut stop => return Err(Halt::Stopped),
                next = episodes.next() => next,
            };
            match next {
                None => break,
                Some((at, trial, Ok(Ok(episode)))) => {
                    ledger.append(&(self.key)(&self.tasks[at], trial), &episode)?;
                    seen(Some(&episode));
                    played.episodes.push((at, episode));
                }
                Some((_, _, Ok(Err(why)))) => {
                    seen(None);
                    played.open.push(why);
                }
                Some((_, _, Err(error))) => return Err(error.into()),
            }
        }
        played
            .episodes
            .sort_by_key(|(at, episode)| (*at, episode.trial));
        Ok(played)
    }

    /// Returns what is finished, and the trials that are due.
    fn due(&self, ledger: &Ledger) -> Result<(Played, Vec<(usize, u32)>), Halt> {
        let mut played = Played::default();
        let mut due = vec![];
        for (at, trial) in trials(self.tasks.len(), self.trials) {
            match ledger.get(&(self.key)(&self.tasks[at], trial))? {
                Some(episode) => played.episodes.push((at, episode)),
                None => due.push((at, trial)),
            }
        }
        Ok((played, due))
    }

    /// Plays one trial, again when the sandbox is killed. What the models answered is not asked for again.
    async fn trial(&self, memory: &Mutex<Judge>, at: usize, trial: u32) -> Trial {
        let settings = Settings {
            seed: self.settings.seed.wrapping_add(u64::from(trial)),
            ..self.settings.clone()
        };
        let players = Players {
            backend: self.backend,
            judge: memory,
            agent: self.agent,
            user: self.user,
            settings: &settings,
        };
        let task = &self.tasks[at];
        let item = (self.item)(task, trial);
        let mut why = String::new();
        for tries in 0..TRIES {
            if tries > 0 {
                self.rewind(&item)?;
                tokio::time::sleep(PAUSE * tries).await;
            }
            let rollout = match players.play(task, &item).await {
                Ok(rollout) => rollout,
                Err(error) if error.is_alone() => return Ok(Err(error.to_string())),
                Err(error) => return Err(Box::new(error)),
            };
            if let Some(reason) = rollout.spoiled() {
                reason.clone_into(&mut why);
                continue;
            }
            let judged = self.judged(task, &item, rollout).await;
            return Ok(match judged {
                Ok(rollout) => Ok(episode(task, trial, rollout)),
                Err(open) => Err(open),
            });
        }
        Ok(Err(why))
    }

    /// Adds a model's judgements on the task's statements, where there are any and a judge is there.
    ///
    /// # Errors
    /// The judge's endpoint gave no answer: the trial stays open.
    async fn judged(
        &self,
        task: &Task,
        item: &str,
        mut rollout: Rollout,
    ) -> Result<Rollout, String> {
        let Some(client) = self.judge.filter(|_| !task.judge.is_empty()) else {
            return Ok(rollout);
        };
        let Some(verdict) = rollout.verdict.take() else {
            return Ok(rollout);
        };
        let judge = EndpointJudge {
            client,
            failure: Mutex::new(None),
        };
        let item = format!("{item}/judge");
        let judged = judge_statements(&judge, &item, &task.judge, &rollout.messages).await;
        if let Some(why) = judge.failure.into_inner() {
            return Err(format!("the judge: {why}"));
        }
        rollout.verdict = Some(verdict.with_judged(judged));
        Ok(rollout)
    }

    /// Lets a trial begin again: what its models answered is taken from the recordings.
    fn rewind(&self, item: &str) -> Result<(), Box<LlmError>> {
        let prefix = format!("{item}/");
        self.agent.rewind(&prefix)?;
        let other = match self.user {
            User::Scripted => None,
            User::Model(client) | User::Simulator(Simulator { client, .. }) => Some(client),
        };
        for client in other.into_iter().chain(self.judge) {
            client.rewind(&prefix)?;
        }
        Ok(())
    }
}

/// The episode of a trial.
fn episode(task: &Task, trial: u32, rollout: Rollout) -> Episode {
    Episode {
        task: task.id.clone(),
        trial,
        branch: task.branch.clone(),
        reward: rollout.reward(),
        tokens: rollout.agent.tokens() + rollout.user.tokens(),
        end: rollout.end,
        verdict: rollout.verdict,
        messages: rollout.messages,
        unread: rollout.unread,
    }
}

/// A model behind an endpoint that judges statements, greedily.
struct EndpointJudge<'a> {
    client: &'a Client,
    /// The error of an endpoint that gave no answer.
    failure: Mutex<Option<String>>,
}

#[async_trait(?Send)]
impl StatementJudge for EndpointJudge<'_> {
    async fn answer(&self, item: &str, prompt: &[Message]) -> Result<String, String> {
        let request = Request {
            seed: Some(0),
            ..Request::new(prompt.to_vec(), JUDGE_TOKENS)
        };
        match self.client.ask(item, &request).await {
            Ok(answer) => Ok(answer.written()),
            Err(error) => {
                let why = error.to_string();
                *self.failure.lock() = Some(why.clone());
                Err(why)
            }
        }
    }
}

/// Returns the rules of every episode: what is wanted, else the domain's limits, else the defaults. `modelled` is true where a
/// model plays the user by a scenario.
#[must_use]
pub fn rules(domain: &Domain, wanted: DomainLimits, modelled: bool) -> Rules {
    let mut default = Rules::default();
    if modelled {
        default.max_user_tokens = USER_TOKENS;
    }
    wanted.over(domain.rules(default))
}

/// Returns true when a task has a script by which a user can speak.
#[must_use]
pub fn has_script(task: &Task) -> bool {
    !task.user.opening.trim().is_empty()
}
