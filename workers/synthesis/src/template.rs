//! The `template` strategy: tasks drawn from the domain's scenario templates, gold computed, demonstrations played by that gold
//! and the scripted user. It asks no model.
//!
//! 1. Every part of the target is drawn; a task that does the same as an earlier one is rejected, and the next one of its
//!    branch takes its place. This depends on nothing but domain, seed and target: all shards come to the same list.
//! 2. A shard plays the items whose index is its own. Gold must execute, its checkers must pass the demonstration and fail
//!    the empty trajectory. What fails is rejected with its reason and replaced within the shard.
//! 3. Finished items go to a ledger in their order: a worker that is killed goes on where it was.

use std::collections::HashMap;
use std::sync::Arc;

use agoge_checker::{Cause, Judge};
use agoge_sandbox::Limits;
use agoge_store::{Ledger, LedgerError};
use agoge_world::{
    DemoError, Domain, Episode, Mix, Split, Task, World, WorldError, demonstrate, more, possible,
    tasks,
};
use serde::{Deserialize, Serialize};

use crate::canonical::canonical;
use crate::instance::{Attempt, Gate};

/// The strategy's name.
pub const NAME: &str = "template";
/// Items that are played between two commits, for each thread.
const BATCH: usize = 32;
/// Replacements of one branch that are tried before it is given up.
const SPARES: usize = 200;

/// What is to be made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Settings {
    /// Seed of everything that is drawn.
    pub seed: u64,
    /// Accepted instances, over all parts and shards.
    pub target: usize,
    /// How the target is divided; empty: all of it is `trainRl`, branches even.
    pub parts: Vec<Part>,
    /// Which shard this is.
    pub shard: usize,
    /// How many there are.
    pub shards: usize,
}

/// A part of the data and its share of the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Part {
    /// Which.
    pub split: Split,
    /// How often each branch of the policy occurs.
    pub mix: Mix,
    /// Parts of the sum over all.
    pub share: usize,
}

/// Why nothing is made.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// The templates have fewer.
    #[error(
        "strategies[template].target.accepted: {target} are asked for, of which {asked} in split {split}, but the domain's \
         templates yield {possible} different tasks there; ask for at most {most}, or add records or templates"
    )]
    Target {
        /// All that is asked for.
        target: usize,
        /// The part that is too large.
        split: &'static str,
        /// So many of it were wanted.
        asked: usize,
        /// So many there are.
        possible: usize,
        /// The largest target that every part can fill.
        most: usize,
    },
    /// The templates do not fit the split.
    #[error("strategies[template].parameters.splits: {split}: {source}")]
    Draw {
        /// The split.
        split: &'static str,
        /// Why.
        source: agoge_world::TemplateError,
    },
    /// So many tasks failed that the target is out of reach.
    #[error(
        "branch {branch} of split {split}: {tried} tasks were tried in place of rejected ones, and none was accepted; the last: {reason}. \
         Run `agoge domain check`, and correct the template"
    )]
    Barren {
        /// The branch.
        branch: String,
        /// The split.
        split: &'static str,
        /// So many were tried.
        tried: usize,
        /// What the last one failed by.
        reason: String,
    },
    /// The domain's tools do not start.
    #[error(transparent)]
    World(#[from] WorldError),
    /// What is finished cannot be kept.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Asked to stop; what is finished is kept.
    #[error("stopped on request")]
    Stopped,
}

/// The name of a split, as manifests write it.
#[must_use]
pub fn split_name(split: Split) -> &'static str {
    match split {
        Split::TrainSft => "trainSft",
        Split::TrainRl => "trainRl",
        Split::Heldout => "heldout",
        Split::Unseen => "unseen",
    }
}

/// Makes the instances of one shard. Returns every attempt, in item order; `heard` is told of each batch and answers
/// whether to go on.
///
/// # Errors
/// [`TemplateError`]
pub fn run(
    domain: &Arc<Domain>,
    limits: &Limits,
    settings: &Settings,
    threads: usize,
    ledger: &mut Ledger,
    heard: &mut dyn FnMut(&[Attempt]) -> bool,
) -> Result<Vec<Attempt>, TemplateError> {
    let mut worlds = Vec::new();
    for _ in 0..threads.max(1) {
        worlds.push((World::open(domain.clone(), limits.clone())?, Judge::new()));
    }
    let plan = Plan::draw(&mut worlds[0].0, settings)?;
    let mut attempts: Vec<Attempt> = Vec::with_capacity(plan.items.len());
    let (mine, mut spares) = plan.shard(settings);
    let mut due = mine;
    while !due.is_empty() {
        let mut rejected: Vec<Attempt> = Vec::new();
        for batch in due.chunks(BATCH * worlds.len()) {
            let finished = finish(&mut worlds, batch, ledger)?;
            rejected.extend(
                finished
                    .iter()
                    .filter(|a| !a.accepted() && a.gate != Gate::Novelty)
                    .cloned(),
            );
            attempts.extend(finished);
            if !heard(&attempts) {
                return Err(TemplateError::Stopped);
            }
        }
        due = spares.replace(&rejected)?;
    }
    Ok(attempts)
}

/// One place in the list.
#[derive(Clone, Debug)]
struct Item {
    split: Split,
    task: Task,
    /// The earlier task that it duplicates.
    duplicates: Option<String>,
}

/// The list of all shards.
struct Plan {
    domain: Arc<Domain>,
    seed: u64,
    items: Vec<Item>,
    known: HashMap<String, String>,
    used: HashMap<(Split, String), usize>,
}

impl Plan {
    fn draw(world: &mut World, settings: &Settings) -> Result<Self, TemplateError> {
        let domain = world.domain().clone();
        let mut plan = Self {
            domain,
            seed: settings.seed,
            items: Vec::new(),
            known: HashMap::new(),
            used: HashMap::new(),
        };
        let parts = parts(settings);
        for (part, n) in divide(settings.target, &parts) {
            let drawn =
                tasks(world, part.split, part.mix, settings.seed, n).map_err(
                    |source| match source {
                        agoge_world::TemplateError::TooMany { asked, possible } => {
                            TemplateError::Target {
                                target: settings.target,
                                split: split_name(part.split),
                                asked,
                                possible,
                                most: most(world, settings.target, &parts),
                            }
                        }
                        source => TemplateError::Draw {
                            split: split_name(part.split),
                            source,
                        },
                    },
                )?;
            for task in &drawn {
                *plan
                    .used
                    .entry((part.split, task.branch.clone()))
                    .or_default() += 1;
            }
            for task in drawn {
                let branch = task.branch.clone();
                if !plan.take(part.split, task) {
                    plan.substitute(part.split, &branch, settings.target)?;
                }
            }
        }
        Ok(plan)
    }

    /// Puts a task on the list; returns whether it is a new one.
    fn take(&mut self, split: Split, task: Task) -> bool {
        let form = canonical(&task);
        let duplicates = self.known.get(&form).cloned();
        let new = duplicates.is_none();
        if new {
            self.known.insert(form, task.id.clone());
        }
        self.items.push(Item {
            split,
            task,
            duplicates,
        });
        new
    }

    /// Puts the next new task of a branch on the list, after the duplicates before it.
    fn substitute(
        &mut self,
        split: Split,
        branch: &str,
        target: usize,
    ) -> Result<(), TemplateError> {
        for _ in 0..SPARES {
            let Some(task) = self.next(split, branch)? else {
                break;
            };
            if self.take(split, task) {
                return Ok(());
            }
        }
        let have = self
            .items
            .iter()
            .filter(|item| item.split == split && item.duplicates.is_none())
            .count();
        let split = split_name(split);
        Err(TemplateError::Target {
            target,
            split,
            asked: have + 1,
            possible: have,
            most: have,
        })
    }

    fn next(&mut self, split: Split, branch: &str) -> Result<Option<Task>, TemplateError> {
        let used = self.used.entry((split, branch.to_owned())).or_default();
        let next = more(&self.domain, split, self.seed, branch, *used, 1).map_err(|source| {
            TemplateError::Draw {
                split: split_name(split),
                source,
            }
        })?;
        *used += 1;
        Ok(next.into_iter().next())
    }

    fn shard(self, settings: &Settings) -> (Vec<Item>, Spares) {
        let shards = settings.shards.max(1);
        let mine = self
            .items
            .iter()
            .enumerate()
            .filter(|(i, _)| i % shards == settings.shard);
        let mine: Vec<Item> = mine.map(|(_, item)| item.clone()).collect();
        (
            mine,
            Spares {
                plan: self,
                shard: settings.shard,
                shards,
                tried: HashMap::new(),
            },
        )
    }
}

/// What takes the place of items that failed, each shard's own.
struct Spares {
    plan: Plan,
    shard: usize,
    shards: usize,
    tried: HashMap<(Split, String), usize>,
}

impl Spares {
    fn replace(&mut self, rejected: &[Attempt]) -> Result<Vec<Item>, TemplateError> {
        let mut items = Vec::new();
        for attempt in rejected {
            let Some(task) = &attempt.task else { continue };
            let tried = self
                .tried
                .entry((attempt.split, task.branch.clone()))
                .or_default();
            *tried += 1;
            let spare = if *tried > SPARES {
                None
            } else {
                self.spare(attempt.split, &task.branch)?
            };
            items.push(spare.ok_or_else(|| TemplateError::Barren {
                branch: task.branch.clone(),
                split: split_name(attempt.split),
                tried: self.tried[&(attempt.split, task.branch.clone())],
                reason: attempt.reason.clone().unwrap_or_default(),
            })?);
        }
        Ok(items)
    }

    /// The next new task of a branch whose turn is this shard's: all shards go through the same sequence.
    fn spare(&mut self, split: Split, branch: &str) -> Result<Option<Item>, TemplateError> {
        while let Some(task) = self.plan.next(split, branch)? {
            let turn = self.plan.used[&(split, branch.to_owned())] % self.shards;
            if self.plan.take(split, task) && turn == self.shard {
                return Ok(self.plan.items.last().cloned());
            }
        }
        Ok(None)
    }
}

fn parts(settings: &Settings) -> Vec<Part> {
    if settings.parts.is_empty() {
        vec![Part {
            split: Split::TrainRl,
            mix: Mix::EvenBranches,
            share: 1,
        }]
    } else {
        settings.parts.clone()
    }
}

/// The target over its parts, by largest remainders; earlier parts first where they are equal.
fn divide(target: usize, parts: &[Part]) -> Vec<(Part, usize)> {
    let sum: usize = parts.iter().map(|part| part.share).sum::<usize>().max(1);
    let mut counts: Vec<(Part, usize)> = parts
        .iter()
        .map(|part| (*part, target * part.share / sum))
        .collect();
    let mut order: Vec<usize> = (0..parts.len()).collect();
    order.sort_by_key(|i| std::cmp::Reverse(target * parts[*i].share % sum));
    let left = target.saturating_sub(counts.iter().map(|(_, n)| n).sum());
    for i in order
        .into_iter()
        .cycle()
        .take(if parts.is_empty() { 0 } else { left })
    {
        counts[i].1 += 1;
    }
    counts
}

/// The largest target below `target` that every part can fill.
fn most(world: &mut World, target: usize, parts: &[Part]) -> usize {
    let bounds: Vec<usize> = parts
        .iter()
        .map(|part| possible(world, part.split, part.mix))
        .collect();
    let fits = |target: usize| {
        divide(target, parts)
            .iter()
            .zip(&bounds)
            .all(|((_, n), bound)| n <= bound)
    };
    let (mut low, mut high) = (0, target);
    while high - low > 1 {
        let middle = low.midpoint(high);
        if fits(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

/// Plays a batch on all worlds and commits it in order; what the ledger has is taken from there.
fn finish(
    worlds: &mut [(World, Judge)],
    batch: &[Item],
    ledger: &mut Ledger,
) -> Result<Vec<Attempt>, TemplateError> {
    let mut done: Vec<Option<Attempt>> = Vec::with_capacity(batch.len());
    for item in batch {
        done.push(ledger.get(&key(item))?);
    }
    let due: Vec<usize> = (0..batch.len()).filter(|i| done[*i].is_none()).collect();
    let count = worlds.len();
    let played: Vec<Vec<(usize, Attempt)>> = std::thread::scope(|scope| {
        let workers: Vec<_> = worlds
            .iter_mut()
            .enumerate()
            .map(|(w, (world, judge))| {
                let own: Vec<usize> = due.iter().copied().skip(w).step_by(count).collect();
                scope.spawn(move || {
                    own.into_iter()
                        .map(|i| (i, play_twice(world, judge, &batch[i])))
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        workers
            .into_iter()
            .map(|worker| {
                worker
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
            .collect()
    });
    for (i, attempt) in played.into_iter().flatten() {
        done[i] = Some(attempt);
    }
    let finished: Vec<Attempt> = done.into_iter().flatten().collect();
    let fresh: Vec<(String, &Attempt)> = due
        .iter()
        .map(|i| (key(&batch[*i]), &finished[*i]))
        .collect();
    ledger.append_all(fresh.iter().map(|(key, attempt)| (key.as_str(), *attempt)))?;
    Ok(finished)
}

fn key(item: &Item) -> String {
    format!("{}/{}", split_name(item.split), item.task.id)
}

/// What fails is played once more: a machine that was too busy is no fault of the task.
fn play_twice(world: &mut World, judge: &mut Judge, item: &Item) -> Attempt {
    let first = play(world, judge, item);
    if first.accepted() || first.gate == Gate::Novelty {
        first
    } else {
        play(world, judge, item)
    }
}

/// Plays one item: the demonstration by its gold, judged by its checkers.
fn play(world: &mut World, judge: &mut Judge, item: &Item) -> Attempt {
    let task = &item.task;
    let mut attempt = Attempt {
        id: key(item),
        strategy: NAME.into(),
        generation: 0,
        plan: None,
        gate: Gate::Accepted,
        reason: None,
        cause: None,
        split: item.split,
        task: Some(task.clone()),
        messages: Vec::new(),
        verdict: None,
        tokens: 0,
        drafts: Vec::new(),
    };
    let reject = |attempt: &mut Attempt, gate: Gate, cause: Cause, reason: String| {
        attempt.gate = gate;
        attempt.cause = Some(cause);
        attempt.reason = Some(reason);
    };
    if let Some(earlier) = &item.duplicates {
        reject(
            &mut attempt,
            Gate::Novelty,
            Cause::Task,
            format!("it asks for the same as an earlier task - {earlier}"),
        );
        return attempt;
    }
    let played = match demonstrate(world, task) {
        Ok(played) => played,
        Err(error) => {
            let (gate, cause) = match &error {
                DemoError::Gold(_) => (Gate::Gold, Cause::Task),
                DemoError::User(_) => (Gate::Rollout, Cause::User),
            };
            reject(&mut attempt, gate, cause, error.to_string());
            return attempt;
        }
    };
    let verdict = judge.check(world, task, &played.episode, &played.messages);
    let nothing = judge.check(world, task, &Episode::default(), &[]);
    if !verdict.pass {
        let cause = if verdict.killed.is_some() {
            Cause::Infra
        } else {
            Cause::Task
        };
        reject(
            &mut attempt,
            Gate::Checker,
            cause,
            format!("its demonstration fails: {}", verdict.why()),
        );
    } else if nothing.pass && !task.refusal {
        reject(
            &mut attempt,
            Gate::Checker,
            Cause::Task,
            "doing nothing passes".into(),
        );
    }
    attempt.messages = played.messages;
    attempt.verdict = Some(verdict);
    attempt
}
