//! Qualification of many tasks: the figures of a CheckerSuite and the digest that a run pins.
use crate::check::checkers_of;
use crate::plausible::Plausible;
use crate::qualification::{Qualification, Thresholds};
use crate::qualify::qualify_among;
use crate::trial::p95;
use agoge_digest::Digest;
use agoge_sandbox::Limits;
use agoge_world::said::Accidents;
use agoge_world::{Domain, Lost, Matching, Task, World, WorldError};
use serde::{Deserialize, Serialize};
use std::borrow::Borrow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// Changes whenever what a digest covers changes.
const FORMAT: &str = "agoge-suite/1";

/// A task whose checker is not trusted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Quarantined {
    pub task: String,
    pub reason: String,
}

/// A weakness of a task or its checker that qualification reports.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Warned {
    pub task: String,
    pub warning: String,
}

/// The outcome of qualifying a suite.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Suite {
    /// Tasks, each with its checker.
    pub checkers: usize,
    /// Those whose checker qualified.
    pub qualified: usize,
    /// Share of the mutants of qualified tasks that fail, as they should.
    pub mutation_score: f64,
    /// The same over all tasks, the quarantined ones too.
    pub mutation_score_before: f64,
    /// Share of tasks on which repeated runs disagreed.
    pub flake: f64,
    /// 95th percentile over the tasks of a check's 95th percentile, in milliseconds of processor time.
    pub p95_ms: f64,
    /// `sha256:` over the domain's digest and the qualified tasks with their checkers; the order of tasks does not matter.
    pub digest: String,
    /// Ids of the qualified tasks, in the order they came.
    pub qualified_tasks: Vec<String>,
    pub quarantined: Vec<Quarantined>,
    /// Weaknesses for which a checker is not quarantined.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warned>,
    /// Tasks that doing nothing passes, qualified or not.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub nothing_passes: usize,
    /// Non-equivalent mutants tried over all tasks.
    pub mutants: usize,
    /// Checks made, and the wall time of the whole, in seconds.
    pub checks: usize,
    pub seconds: f64,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// Qualifications with the numbers of their tasks.
type Found = Result<Vec<(usize, Qualification)>, Lost>;

/// Qualifies tasks on worlds that stay open from one batch to the next.
#[derive(Debug)]
pub struct Qualifier {
    worlds: Vec<World>,
    plausible: Plausible,
    seed: u64,
    thresholds: Thresholds,
}

impl Qualifier {
    /// Opens `threads` worlds of a domain.
    ///
    /// # Errors
    /// When its tools do not start.
    pub fn open(
        domain: &Arc<Domain>,
        seed: u64,
        thresholds: &Thresholds,
        limits: &Limits,
        threads: usize,
    ) -> Result<Self, WorldError> {
        let world = |_| World::open(domain.clone(), limits.clone());
        let worlds = (0..threads.max(1)).map(world).collect::<Result<_, _>>()?;
        let plausible = Plausible::of(domain);
        let thresholds = thresholds.clone();
        Ok(Self {
            worlds,
            plausible,
            seed,
            thresholds,
        })
    }

    /// Qualifies every task, in their order. The outcome does not depend on the number of worlds, times aside.
    /// `progress` hears how many are done.
    ///
    /// # Errors
    /// When the sandbox gives no result for one of them.
    pub fn qualify<T: Borrow<Task> + Sync>(
        &mut self,
        tasks: &[T],
        progress: &(dyn Fn(usize) + Sync),
    ) -> Result<Vec<Qualification>, Lost> {
        let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let (next, done) = (&next, &done);
        let (plausible, seed, thresholds) = (&self.plausible, self.seed, &self.thresholds);
        let found: Found = std::thread::scope(|scope| {
            let mut workers = Vec::new();
            for world in &mut self.worlds {
                workers.push(scope.spawn(move || -> Found {
                    let mut own = Vec::new();
                    loop {
                        let i = next.fetch_add(1, Ordering::Relaxed);
                        let Some(task) = tasks.get(i).map(Borrow::<Task>::borrow) else {
                            return Ok(own);
                        };
                        let found = twice(world, task, plausible, seed, thresholds)
                            // The others need not go on.
                            .inspect_err(|_| next.store(tasks.len(), Ordering::Relaxed))?;
                        own.push((i, found));
                        progress(done.fetch_add(1, Ordering::Relaxed) + 1);
                    }
                }));
            }
            let mut all = Vec::with_capacity(tasks.len());
            for worker in workers {
                match worker.join() {
                    Ok(own) => all.extend(own?),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            Ok(all)
        });
        let mut found = found?;
        found.sort_by_key(|(i, _)| *i);
        Ok(found.into_iter().map(|(_, q)| q).collect())
    }
}

/// Qualifies a task, once more when a limit was met: a process that died may have died by chance.
fn twice(
    world: &mut World,
    task: &Task,
    plausible: &Plausible,
    seed: u64,
    thresholds: &Thresholds,
) -> Result<Qualification, Lost> {
    let found = qualify_among(world, task, plausible, seed, thresholds)?;
    match found.limits {
        true => Ok(found),
        false => qualify_among(world, task, plausible, seed, thresholds),
    }
}

/// Qualifies every task on `threads` worlds of one domain. `progress` hears how many are done.
///
/// The outcome does not depend on `threads`, times aside.
///
/// # Errors
/// When the domain's tools do not start, or the sandbox gives no result.
pub fn qualify_suite(
    domain: &Arc<Domain>,
    tasks: &[Task],
    seed: u64,
    thresholds: &Thresholds,
    limits: Limits,
    threads: usize,
    progress: &(dyn Fn(usize) + Sync),
) -> Result<(Suite, Vec<Qualification>), WorldError> {
    let start = Instant::now();
    let threads = threads.clamp(1, tasks.len().max(1));
    let found =
        Qualifier::open(domain, seed, thresholds, &limits, threads)?.qualify(tasks, progress)?;
    let mut suite = aggregate(domain, tasks, &found);
    suite.seconds = start.elapsed().as_secs_f64();
    Ok((suite, found))
}

/// The figures of a suite from its tasks' qualifications, given in the same order.
pub fn aggregate<T: Borrow<Task>>(domain: &Domain, tasks: &[T], found: &[Qualification]) -> Suite {
    let share = |some: usize, all: usize| {
        if all == 0 {
            0.0
        } else {
            some as f64 / all as f64
        }
    };
    let score = |of: &[&Qualification]| {
        let killed = of.iter().map(|q| q.mutants.killed).sum();
        share(killed, of.iter().map(|q| q.mutants.tried).sum())
    };
    let all: Vec<&Qualification> = found.iter().collect();
    let good: Vec<&Qualification> = found.iter().filter(|q| q.qualified).collect();
    let bad = found.iter().filter(|q| !q.qualified);
    let trusted: Vec<&Task> = tasks
        .iter()
        .zip(found)
        .filter(|(_, q)| q.qualified)
        .map(|(task, _)| task.borrow())
        .collect();
    let mut times: Vec<f64> = found.iter().map(|q| q.p95_ms).collect();
    let warnings = found.iter().flat_map(|q| {
        q.warnings.iter().map(|warning| Warned {
            task: q.task.clone(),
            warning: warning.clone(),
        })
    });
    let given: Vec<&Task> = tasks.iter().map(|task| task.borrow()).collect();
    let accidents = Accidents::of(&given);
    let accidents = given.iter().filter_map(|task| {
        let accident = accidents.in_task(task)?;
        Some(Warned {
            task: task.id.clone(),
            warning: accident.to_string(),
        })
    });
    Suite {
        checkers: found.len(),
        qualified: good.len(),
        mutation_score: score(&good),
        mutation_score_before: score(&all),
        flake: share(found.iter().filter(|q| q.flake).count(), found.len()),
        p95_ms: p95(&mut times),
        digest: suite_digest(domain, &trusted),
        qualified_tasks: trusted.iter().map(|t| t.id.clone()).collect(),
        quarantined: bad
            .map(|q| Quarantined {
                task: q.task.clone(),
                reason: q.why(),
            })
            .collect(),
        warnings: warnings.chain(accidents).collect(),
        nothing_passes: found.iter().filter(|q| q.nothing_passes).count(),
        mutants: found.iter().map(|q| q.mutants.tried).sum(),
        checks: found.iter().map(|q| q.checks).sum(),
        seconds: 0.0,
    }
}

/// The digest of a suite: the domain, and each task's id, beginning, gold, outputs and checkers.
pub fn suite_digest(domain: &Domain, tasks: &[&Task]) -> String {
    let mut lines: Vec<String> = tasks
        .iter()
        .map(|task| {
            let gold: Vec<_> = task
                .gold
                .iter()
                .map(|c| (&c.name, sorted(&c.arguments)))
                .collect();
            let line = (
                &task.id,
                gold,
                &task.outputs,
                task.refusal,
                checkers_of(task),
            );
            serde_json::to_string(&line).unwrap_or_default() + &beginning(task)
        })
        .collect();
    lines.sort();
    let text = format!("{FORMAT}\n{}\n{}", domain.digest, lines.join("\n"));
    Digest::of(text.as_bytes()).into()
}

/// Returns how a task begins, which of its gold calls fail and its rule of what is said; empty where all is as usual.
fn beginning(task: &Task) -> String {
    let ordinary = task.records.is_empty()
        && task.start.is_empty()
        && task.history.is_empty()
        && task.fails.is_empty()
        && task.matching == Matching::default();
    if ordinary {
        return String::new();
    }
    let line = (
        &task.records,
        &task.start,
        &task.history,
        &task.fails,
        task.matching,
    );
    serde_json::to_string(&line).unwrap_or_default()
}

/// Arguments with sorted keys; nested values keep their order, which is the task's own.
fn sorted(
    arguments: &serde_json::Map<String, serde_json::Value>,
) -> std::collections::BTreeMap<&String, &serde_json::Value> {
    arguments.iter().collect()
}
