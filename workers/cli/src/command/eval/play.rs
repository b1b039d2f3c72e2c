//! The loop of an evaluation: every trial of every task that is not finished yet, several at once.
//!
//! An episode that an endpoint or a killed sandbox fails is no trial. The client waits out what passes. An outage that lasts ends the
//! evaluation with what is kept; a request that fails alone, while others are answered, only leaves its episode open.

use agoge_checker::Judge;
use agoge_llm::{Client, LlmError};
use agoge_synthesis::rollout::{Players, Settings, User};
use agoge_world::{SandboxBackend, Task};
use futures::StreamExt;
use indicatif::{ProgressBar, ProgressStyle};
use parking_lot::Mutex;

use super::kept::{Episode, Kept};
use crate::failure::Failure;

/// Tries of an episode that a killed sandbox spoils.
const TRIES: u32 = 3;

/// Everything that the episodes share.
pub struct Match<'a> {
    /// The tools and the data.
    pub backend: &'a SandboxBackend,
    /// The tasks.
    pub tasks: &'a [Task],
    /// Trials of each.
    pub trials: u32,
    /// Episodes at once.
    pub concurrency: usize,
    /// The model.
    pub client: &'a Client,
    /// True when the model plays the user, too.
    pub model_user: bool,
    /// The settings of the first trial. The seed of another one is as much higher.
    pub settings: Settings,
}

/// The end of all episodes.
#[derive(Debug, Default)]
pub struct Played {
    /// Finished episodes with their task's number, in the order of tasks and trials.
    pub episodes: Vec<(usize, Episode)>,
    /// The reasons why the others are still open.
    pub open: Vec<String>,
}

/// The result of one trial: an episode, or the reason why it is still open.
type Trial = Result<Result<Episode, String>, LlmError>;

/// Returns every trial of so many tasks: the task's number and the trial's.
fn trials(tasks: usize, trials: u32) -> impl Iterator<Item = (usize, u32)> {
    (0..trials).flat_map(move |trial| (0..tasks).map(move |at| (at, trial)))
}

/// Returns the keys of all trials.
#[must_use]
pub fn keys(tasks: &[Task], each: u32) -> Vec<String> {
    trials(tasks.len(), each)
        .map(|(at, trial)| Kept::key(&tasks[at], trial))
        .collect()
}

impl Match<'_> {
    /// Plays what is not kept yet, and keeps it.
    ///
    /// # Errors
    /// An endpoint whose outage lasts or that refuses what it is asked, an interruption, or a file that cannot be written.
    pub async fn play(&self, kept: &mut Kept) -> Result<Played, Failure> {
        let judge = Mutex::new(Judge::new());
        let mut played = Played::default();
        let mut due = vec![];
        for (at, trial) in trials(self.tasks.len(), self.trials) {
            match kept.get(&Kept::key(&self.tasks[at], trial))? {
                Some(episode) => played.episodes.push((at, episode)),
                None => due.push((at, trial)),
            }
        }
        let total = (played.episodes.len() + due.len()) as u64;
        let bar = bar(total, played.episodes.len() as u64);
        let episodes = futures::stream::iter(due).map(|(at, trial)| {
            let one = self.trial(&judge, at, trial);
            async move { (at, trial, one.await) }
        });
        let mut episodes = episodes.buffer_unordered(self.concurrency);
        let mut warned = false;
        let ended = loop {
            let next = tokio::select! {
                next = episodes.next() => next,
                _ = tokio::signal::ctrl_c() => break Err(Failure::Interrupted),
            };
            match next {
                None => break Ok(()),
                Some((at, trial, Ok(Ok(episode)))) => {
                    if let Some(warning) = episode.unread.as_ref().filter(|_| !warned) {
                        bar.suspend(|| eprintln!("! {warning}"));
                        warned = true;
                    }
                    kept.keep(&Kept::key(&self.tasks[at], trial), &episode)?;
                    played.episodes.push((at, episode));
                }
                Some((_, _, Ok(Err(why)))) => played.open.push(why),
                Some((_, _, Err(error))) => break Err(stopped(&error, kept, total)),
            }
            bar.inc(1);
        };
        bar.finish_and_clear();
        played
            .episodes
            .sort_by_key(|(at, episode)| (*at, episode.trial));
        ended.map(|()| played)
    }

    /// Plays one trial, again when the sandbox is killed. What the model answered is not asked for again.
    async fn trial(&self, judge: &Mutex<Judge>, at: usize, trial: u32) -> Trial {
        let settings = Settings {
            seed: self.settings.seed.wrapping_add(u64::from(trial)),
            ..self.settings.clone()
        };
        let players = Players {
            backend: self.backend,
            judge,
            agent: self.client,
            user: match self.model_user {
                true => User::Model(self.client),
                false => User::Scripted,
            },
            settings: &settings,
        };
        let task = &self.tasks[at];
        let item = format!("{}#{trial}", task.id);
        let mut why = String::new();
        for _ in 0..TRIES {
            let rollout = match players.play(task, &item).await {
                Ok(rollout) => rollout,
                Err(error) if error.is_alone() => return Ok(Err(error.to_string())),
                Err(error) => return Err(error),
            };
            match rollout.spoiled() {
                None => return Ok(Ok(Episode::of(task, trial, rollout))),
                Some(reason) => reason.clone_into(&mut why),
            }
            self.client.rewind(&format!("{item}/"))?;
        }
        Ok(Err(why))
    }
}

/// The failure of an evaluation whose endpoint gives out, with what is kept.
fn stopped(error: &LlmError, kept: &Kept, total: u64) -> Failure {
    let text = format!(
        "{error}\n{} of {total} episodes are kept in {}; the same command asks for the others once the cause is fixed",
        kept.count(),
        kept.file().display()
    );
    match error.is_passing() {
        true => Failure::Infra(text),
        false => Failure::Input(text),
    }
}

fn bar(total: u64, done: u64) -> ProgressBar {
    let bar = ProgressBar::new(total).with_position(done);
    let style =
        ProgressStyle::with_template("{bar:24} {pos}/{len} episodes, {per_sec}, {eta} to go");
    bar.set_style(
        style
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .progress_chars("=> "),
    );
    bar
}
