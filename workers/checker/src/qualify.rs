//! Qualification: a task's checker is trusted only after it told right from wrong on solutions whose verdict is known.
//!
//! 1. Gold executes and passes; no tool declines it by returning an error.
//! 2. The empty trajectory fails; for a refusal, acting fails.
//! 3. Single-edit mutants that end in another state, say other outputs or leave out a required call fail.
//! 4. Reading twice or in another order still passes, and so do writes in another order that leave the same records.
//! 5. Repeated runs agree.
//! 6. No run meets a limit.
//!
//! It also warns: about gold calls that leave no trace and may be left out, about lists whose order nobody declared, and about
//! amounts kept as texts. A run that the sandbox loses says nothing about the checker, and ends the qualification as an error.
use crate::check::{Checker, checkers_of, judge};
use crate::final_state::Gold;
use crate::plausible::Plausible;
use crate::trial::{Trial, money, p95, prefixes, tell};
use crate::verdict::Verdict;
use agoge_crds::checker_suite::QualificationSpec;
use agoge_dialogue::Message;
use agoge_world::{Episode, GoldError, Lost, Task, World};
use serde::{Deserialize, Serialize};

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
    /// The slowest a check may be, 95 of 100 times, in milliseconds of processor time.
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
    /// Mutants whose state, outputs or required calls differ from gold's.
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
    /// Reading twice or in another order still passes, and so do writes in another order that leave the same records.
    pub equivalent_paths: bool,
    /// Repeated runs disagreed.
    pub flake: bool,
    /// No run was killed, and the 95th percentile is within its threshold.
    pub limits: bool,
    /// 95th percentile of a check's processor time, in milliseconds.
    pub p95_ms: f64,
    /// The number of checks.
    pub checks: usize,
    /// Weaknesses for which a checker is not quarantined.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
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
            warnings: Vec::new(),
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
///
/// # Errors
/// When the sandbox gives no result. Nothing is known about the checker then.
pub fn qualify(
    world: &mut World,
    task: &Task,
    seed: u64,
    thresholds: &Thresholds,
) -> Result<Qualification, Lost> {
    let plausible = Plausible::of(world.domain());
    qualify_among(world, task, &plausible, seed, thresholds)
}

/// [`qualify`] with the domain's plausible values read once for many tasks.
///
/// # Errors
/// Those of [`qualify`].
pub fn qualify_among(
    world: &mut World,
    task: &Task,
    plausible: &Plausible,
    seed: u64,
    thresholds: &Thresholds,
) -> Result<Qualification, Lost> {
    let checkers = on_trial(task);
    let mut by = |world: &mut World, gold: &Gold, episode: &Episode, messages: &[Message]| {
        judge(world, task, &checkers, gold, episode, messages)
    };
    qualify_by(world, task, plausible, seed, thresholds, &mut by)
}

/// [`qualify`] of any judge.
///
/// # Errors
/// Those of [`qualify`].
pub fn qualify_by(
    world: &mut World,
    task: &Task,
    plausible: &Plausible,
    seed: u64,
    thresholds: &Thresholds,
    judge: &mut JudgeFn<'_>,
) -> Result<Qualification, Lost> {
    let mut found = Qualification::of(task);
    let prefixes = match prefixes(world, task) {
        Ok(prefixes) => prefixes,
        Err(GoldError::Lost(lost)) => return Err(lost),
        Err(why) => {
            found.reason = Some(format!("gold does not execute: {why}"));
            return Ok(found);
        }
    };
    let last = prefixes.last().cloned().unwrap_or_default();
    let gold = Gold::of_episode(world.domain(), last);
    let mut trial = Trial::new(task, &gold, &prefixes, judge);
    let told = tell(task, &gold.episode, &task.outputs);
    let first = trial.verdict(world, &gold.episode, &told)?;
    found.gold = first.pass;
    if found.gold {
        found.warnings = money(&gold);
        trial.repeats(world, thresholds.repeats, &first, &mut found)?;
        let empty = trial.verdict(world, &Episode::default(), &[])?;
        found.empty = task.refusal || (!empty.pass && empty.killed.is_none());
        trial.traces(world, plausible, &mut found)?;
        trial.orders(world, &mut found)?;
        trial.mutants(world, plausible, seed, thresholds, &mut found)?;
    }
    let (mut times, killed) = trial.over();
    found.checks = times.len();
    found.p95_ms = p95(&mut times);
    found.limits = killed.is_none() && found.p95_ms <= thresholds.p95_ms;
    found.reason = reason(task, &found, &first, killed, thresholds);
    found.qualified = found.reason.is_none();
    Ok(found)
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
        reasons.push(
            "it fails calls that are made twice or in another order, which changes nothing"
                .to_owned(),
        );
    }
    if !found.limits {
        reasons.push(format!(
            "too slow: 95 of 100 checks take up to {:.0} ms of processor time, the limit is {:.0} ms",
            found.p95_ms, thresholds.p95_ms
        ));
    }
    (!reasons.is_empty()).then(|| reasons.join("; "))
}
