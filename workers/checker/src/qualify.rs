//! Qualification: a task's checker is trusted only after it told right from wrong on solutions whose verdict is known.
//!
//! 1. Gold executes and passes.
//! 2. The empty trajectory fails; for a refusal, acting fails.
//! 3. Single-edit mutants that end in another state or say other outputs fail.
//! 4. Reading twice, or in another order, still passes.
//! 5. Repeated runs agree.
//! 6. No run meets a limit.
use crate::check::{Checker, checkers_of, judge};
use crate::final_state::Gold;
use crate::mutate::{Edit, Mutant, mutants};
use crate::outputs::communicates;
use crate::plausible::Plausible;
use crate::verdict::Verdict;
use agoge_crds::checker_suite::QualificationSpec;
use agoge_dialogue::{Message, ToolCall};
use agoge_world::{Domain, Episode, GoldError, Task, World};
use serde::{Deserialize, Serialize};
use std::time::Instant;

/// The thresholds that a checker must reach.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Thresholds {
    /// Mutants that are tried, where a task has so many that differ from gold.
    pub mutants: usize,
    /// Share of them that must fail.
    pub mutation_score: f64,
    /// The number of times that gold is replayed and checked again.
    pub repeats: usize,
    /// The slowest a check may be, 95 of 100 times, in milliseconds.
    pub p95_ms: f64,
}

impl Default for Thresholds {
    /// The thresholds of a CheckerSuite that names none.
    fn default() -> Self {
        Thresholds::from(&QualificationSpec::default())
    }
}

impl From<&QualificationSpec> for Thresholds {
    fn from(spec: &QualificationSpec) -> Self {
        Thresholds {
            mutants: spec.mutants as usize,
            mutation_score: spec.min_mutation_score,
            repeats: spec.repeats as usize,
            p95_ms: spec.p95.as_secs_f64() * 1e3,
        }
    }
}

/// The outcomes of the mutants of one task.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mutants {
    /// Mutants whose state or outputs differ from gold's.
    pub tried: usize,
    /// Those that the checker failed.
    pub killed: usize,
    /// Candidates that turned out to do the same as gold; not counted as tried.
    pub equivalent: usize,
    /// The changes that the checker passed.
    pub survivors: Vec<String>,
}

/// The findings of the qualification of one task's checker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Qualification {
    /// The task's id.
    pub task: String,
    pub qualified: bool,
    /// Why not.
    pub reason: Option<String>,
    /// Gold executes and passes.
    pub gold: bool,
    /// The empty trajectory fails; for a refusal, acting fails.
    pub empty: bool,
    pub mutants: Mutants,
    /// Reading twice or in another order still passes.
    pub equivalent_paths: bool,
    /// Repeated runs disagreed.
    pub flake: bool,
    /// No run was killed, and the 95th percentile is within its threshold.
    pub limits: bool,
    /// 95th percentile of a check's time, in milliseconds.
    pub p95_ms: f64,
    /// The number of checks.
    pub checks: usize,
}

impl Qualification {
    fn of(task: &Task) -> Qualification {
        Qualification {
            task: task.id.clone(),
            qualified: false,
            reason: None,
            gold: false,
            empty: false,
            mutants: Mutants::default(),
            equivalent_paths: true,
            flake: false,
            limits: true,
            p95_ms: 0.0,
            checks: 0,
        }
    }

    /// Share of the tried mutants that failed; 0 where none could be tried.
    pub fn mutation_score(&self) -> f64 {
        if self.mutants.tried == 0 {
            return 0.0;
        }
        self.mutants.killed as f64 / self.mutants.tried as f64
    }

    /// The reason in words.
    pub fn why(&self) -> String {
        self.reason
            .clone()
            .unwrap_or_else(|| "qualified".to_owned())
    }
}

/// Something that judges an episode: the task's checkers, or, in tests, a planted one.
pub type JudgeFn<'a> = dyn FnMut(&mut World, &Gold, &Episode, &[Message]) -> Verdict + 'a;

/// The checkers whose worth is measured: a generated script with the outputs, where there is one. The final state would reject every
/// mutant by itself and so hide a script that rejects none.
pub fn on_trial(task: &Task) -> Vec<Checker> {
    let mut all = checkers_of(task);
    if task.checker.is_some() {
        all.retain(|c| *c != Checker::FinalState);
    }
    all
}

/// Qualifies a task's checker. Same seed, same domain, same task: same answer, times aside.
pub fn qualify(
    world: &mut World,
    task: &Task,
    seed: u64,
    thresholds: &Thresholds,
) -> Qualification {
    let plausible = Plausible::of(world.domain());
    qualify_among(world, task, &plausible, seed, thresholds)
}

/// [`qualify`] with the domain's plausible values read once for many tasks.
pub fn qualify_among(
    world: &mut World,
    task: &Task,
    plausible: &Plausible,
    seed: u64,
    thresholds: &Thresholds,
) -> Qualification {
    let checkers = on_trial(task);
    let mut by = |world: &mut World, gold: &Gold, episode: &Episode, messages: &[Message]| {
        judge(world, task, &checkers, gold, episode, messages)
    };
    qualify_by(world, task, plausible, seed, thresholds, &mut by)
}

/// [`qualify`] of any judge.
pub fn qualify_by(
    world: &mut World,
    task: &Task,
    plausible: &Plausible,
    seed: u64,
    thresholds: &Thresholds,
    judge: &mut JudgeFn<'_>,
) -> Qualification {
    let mut found = Qualification::of(task);
    let prefixes = match prefixes(world, &task.gold) {
        Ok(prefixes) => prefixes,
        Err(why) => {
            found.reason = Some(format!("gold does not execute: {why}"));
            return found;
        }
    };
    let last = prefixes.last().cloned().unwrap_or_default();
    let gold = Gold::of_episode(world.domain(), last);
    let mut trial = Trial {
        task,
        gold: &gold,
        prefixes: &prefixes,
        judge,
        times: Vec::new(),
        killed: None,
    };
    let told = tell(task, &gold.episode, &task.outputs);
    let first = trial.verdict(world, &gold.episode, &told);
    found.gold = first.pass;
    if found.gold {
        for _ in 1..thresholds.repeats.max(1) {
            let again = Gold::of(world, task);
            let same_state = again
                .as_ref()
                .is_ok_and(|g| g.fingerprint == gold.fingerprint);
            let episode = again.map_or_else(|_| gold.episode.clone(), |g| g.episode);
            found.flake |= !same_state || trial.verdict(world, &episode, &told) != first;
        }
        let empty = trial.verdict(world, &Episode::default(), &[]);
        found.empty = task.refusal || (!empty.pass && empty.killed.is_none());
        trial.mutants(world, plausible, seed, thresholds, &mut found);
    }
    found.checks = trial.times.len();
    found.p95_ms = p95(&mut trial.times);
    let killed = trial.killed.take();
    found.limits = killed.is_none() && found.p95_ms <= thresholds.p95_ms;
    found.reason = reason(task, &found, &first, killed, thresholds);
    found.qualified = found.reason.is_none();
    found
}

/// Returns the reason why a checker cannot be trusted.
fn reason(
    task: &Task,
    found: &Qualification,
    gold: &Verdict,
    killed: Option<String>,
    thresholds: &Thresholds,
) -> Option<String> {
    if let Some(killed) = killed {
        return Some(format!("a check was killed: {killed}"));
    }
    if !found.gold {
        return Some(format!("gold fails: {}", gold.why()));
    }
    let (mutants, score) = (&found.mutants, found.mutation_score());
    let survivors = || {
        mutants
            .survivors
            .iter()
            .take(3)
            .cloned()
            .collect::<Vec<_>>()
            .join("; ")
    };
    let mut reasons = Vec::new();
    if found.flake {
        reasons.push("repeated runs disagree".to_owned());
    }
    if !found.empty {
        reasons.push(match (task.refusal, mutants.tried) {
            (false, _) => "the empty trajectory passes".to_owned(),
            (true, 0) => "no acting call was found that could prove that acting fails".to_owned(),
            (true, _) => "acting passes although the policy refuses".to_owned(),
        });
    }
    if mutants.tried == 0 {
        reasons.push("no mutant differs from gold, so nothing shows that it can fail".to_owned());
    } else if score < thresholds.mutation_score {
        let least = thresholds.mutation_score;
        reasons.push(format!(
            "mutation score {score:.2} is below {least:.2}: {}",
            survivors()
        ));
    }
    if !found.equivalent_paths {
        reasons
            .push("it fails reading twice or in another order, which changes nothing".to_owned());
    }
    if !found.limits {
        reasons.push(format!(
            "too slow: 95 of 100 checks take up to {:.0} ms, the limit is {:.0} ms",
            found.p95_ms, thresholds.p95_ms
        ));
    }
    (!reasons.is_empty()).then(|| reasons.join("; "))
}

/// One task's checker under test.
struct Trial<'a, 'j> {
    task: &'a Task,
    gold: &'a Gold,
    /// Gold's episode after each of its calls, see [`prefixes`].
    prefixes: &'a [Episode],
    judge: &'a mut JudgeFn<'j>,
    times: Vec<f64>,
    killed: Option<String>,
}

impl Trial<'_, '_> {
    fn verdict(&mut self, world: &mut World, episode: &Episode, messages: &[Message]) -> Verdict {
        let start = Instant::now();
        let verdict = (self.judge)(world, self.gold, episode, messages);
        self.times.push(start.elapsed().as_secs_f64() * 1e3);
        if self.killed.is_none() {
            self.killed.clone_from(&verdict.killed);
        }
        verdict
    }

    fn mutants(
        &mut self,
        world: &mut World,
        plausible: &Plausible,
        seed: u64,
        thresholds: &Thresholds,
        found: &mut Qualification,
    ) {
        let domain = world.domain().clone();
        let prefixes = self.prefixes;
        let mut acting = (0, 0);
        for mutant in mutants(self.task, &domain.tools, plausible, seed) {
            if found.mutants.tried >= thresholds.mutants || self.killed.is_some() {
                break;
            }
            let episode = run(world, prefixes, &self.task.gold, &mutant.calls);
            // A tool that meets its limit says nothing about the checker.
            if episode.calls.iter().any(|(_, result)| result.killed) {
                continue;
            }
            let other_state = episode.fingerprint(&domain) != self.gold.fingerprint;
            let equivalent = !other_state && same_outputs(&self.task.outputs, &mutant.outputs);
            if equivalent {
                found.mutants.equivalent += 1;
                if harmless(&mutant, prefixes, &self.task.gold, &domain) {
                    let told = tell(self.task, &episode, &mutant.outputs);
                    found.equivalent_paths &= self.verdict(world, &episode, &told).pass;
                }
                continue;
            }
            let told = tell(self.task, &episode, &mutant.outputs);
            let verdict = self.verdict(world, &episode, &told);
            if verdict.killed.is_some() {
                break;
            }
            if found.mutants.tried < thresholds.repeats {
                found.flake |= self.verdict(world, &episode, &told) != verdict;
            }
            found.mutants.tried += 1;
            if verdict.pass {
                found.mutants.survivors.push(mutant.change);
            } else {
                found.mutants.killed += 1;
            }
            if other_state {
                acting.0 += 1;
                acting.1 += usize::from(!verdict.pass);
            }
        }
        if self.task.refusal {
            found.empty = acting.0 > 0 && acting.0 == acting.1;
        }
    }
}

/// Replays gold once and returns its episode after 0, 1, 2, … calls: the last one is gold itself, and a mutant runs only
/// from its edit on.
fn prefixes(world: &mut World, gold: &[ToolCall]) -> Result<Vec<Episode>, GoldError> {
    let mut all = vec![Episode::default()];
    for (number, call) in (1..).zip(gold) {
        let mut next = all.last().cloned().unwrap_or_default();
        let result = world.call(&mut next, call);
        if result.error {
            return Err(GoldError {
                number,
                name: call.name.clone(),
                message: result.content,
            });
        }
        all.push(next);
    }
    Ok(all)
}

fn run(world: &mut World, prefixes: &[Episode], gold: &[ToolCall], calls: &[ToolCall]) -> Episode {
    let shared = gold
        .iter()
        .zip(calls)
        .take_while(|(a, b)| a.name == b.name && a.arguments == b.arguments)
        .count();
    let mut episode = prefixes[shared].clone();
    for call in &calls[shared..] {
        world.call(&mut episode, call);
    }
    episode
}

/// Returns true for a mutant that only reads twice, or in another order, which no checker may hold against an agent.
fn harmless(mutant: &Mutant, prefixes: &[Episode], gold: &[ToolCall], domain: &Domain) -> bool {
    if !matches!(mutant.edit, Edit::Duplicate | Edit::Swap) {
        return false;
    }
    let reads = |call: &ToolCall| {
        gold.iter()
            .position(|g| g.name == call.name && g.arguments == call.arguments)
            .is_some_and(|i| {
                prefixes[i].fingerprint(domain) == prefixes[i + 1].fingerprint(domain)
                    && prefixes[i + 1]
                        .calls
                        .last()
                        .is_some_and(|(_, result)| !result.error)
            })
    };
    match mutant.edit {
        Edit::Duplicate => {
            let again = gold
                .iter()
                .zip(&mutant.calls)
                .position(|(a, b)| a.id != b.id);
            again
                .or(Some(gold.len()))
                .and_then(|i| mutant.calls.get(i))
                .is_some_and(reads)
        }
        _ => gold
            .iter()
            .zip(&mutant.calls)
            .filter(|(a, b)| a != b)
            .all(|(_, b)| reads(b)),
    }
}

/// Returns true when the mutant still says all that gold must say.
fn same_outputs(required: &[String], said: &[String]) -> bool {
    required
        .iter()
        .all(|output| said.iter().any(|text| communicates(text, output)))
}

/// The dialogue of an episode in its plainest form: what the user wants, the calls with their results, the outputs.
fn tell(task: &Task, episode: &Episode, outputs: &[String]) -> Vec<Message> {
    let mut messages = vec![Message::user(&task.user.instruction)];
    for (call, result) in &episode.calls {
        messages.push(Message::calls(vec![call.clone()]));
        messages.push(Message::tool_result(&call.id, &result.content));
    }
    messages.push(Message::assistant(&format!(
        "Done. {}",
        outputs.join(" ; ")
    )));
    messages
}

pub(crate) fn p95(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    let rank = (times.len() * 95).div_ceil(100).max(1) - 1;
    times.get(rank).copied().unwrap_or(0.0)
}
