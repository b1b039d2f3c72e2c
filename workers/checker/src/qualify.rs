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
//! amounts kept as texts, about a reward that depends on a model's opinion, and about what the domain's tools do not show. A run that the sandbox loses says nothing about the checker, and ends the qualification as an error.

use crate::basis::counts;
use crate::check::{Checker, checkers_of, judge};
use crate::final_state::Gold;
use crate::needs::unchecked;
use crate::plausible::Plausible;
use crate::qualification::{JudgeFn, Qualification, Thresholds};
use crate::trial::{Trial, money, p95, prefixes, tell};
use crate::verdict::Verdict;
use agoge_dialogue::Message;
use agoge_world::{Basis, Episode, GoldError, Lost, Task, World};

/// The checkers whose worth is measured: a generated script with the outputs, where there is one. The final state would reject every
/// mutant by itself and so hide a script that rejects none. The statements that a model judges are left out.
pub fn on_trial(task: &Task) -> Vec<Checker> {
    let mut all = checkers_of(task);
    if task.checker.is_some() {
        all.retain(|c| *c != Checker::FinalState);
    }
    // No model is asked here.
    all.retain(|c| !matches!(c, Checker::Judge { .. }));
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
    let begun = prefixes.first().cloned().unwrap_or_default();
    let last = prefixes.last().cloned().unwrap_or_default();
    let gold = Gold::of_episode(world, task, last)?;
    let mut trial = Trial::new(task, &gold, &prefixes, judge);
    let told = tell(task, &gold.episode, &task.outputs);
    let first = trial.verdict(world, &gold.episode, &told)?;
    found.gold = first.pass;
    if found.gold {
        found.warnings = money(&gold);
        found.warnings.extend(opinions(task));
        found.warnings.extend(unchecked(world.domain()));
        trial.repeats(world, thresholds.repeats, &first, &mut found)?;
        let empty = trial.verdict(world, &begun, &task.history)?;
        found.nothing_passes = empty.pass;
        found.empty = task.refusal || (!empty.pass && empty.killed.is_none());
        trial.traces(world, plausible, &mut found)?;
        trial.orders(world, &mut found)?;
        trial.mutants(world, plausible, seed, thresholds, &mut found)?;
    }
    let (mut times, killed) = trial.over();
    found.checks = times.len();
    found.p95_ms = p95(&mut times);
    found.limits = killed.is_none() && found.p95_ms <= thresholds.p95_ms;
    found.reason = reason((task, &gold), &found, &first, killed, thresholds);
    found.qualified = found.reason.is_none();
    Ok(found)
}

/// Returns a warning for a task whose reward depends on statements that a model judges.
fn opinions(task: &Task) -> Option<String> {
    let counted = counts(task, Basis::Judge) && !task.judge.is_empty();
    counted.then(|| {
        "its basis names judge: its reward depends on a model's opinion, which qualification did not test".to_owned()
    })
}

/// Returns the reason why a checker cannot be trusted.
fn reason(
    (task, target): (&Task, &Gold),
    found: &Qualification,
    gold: &Verdict,
    killed: Option<String>,
    thresholds: &Thresholds,
) -> Option<String> {
    if let Some(killed) = killed {
        return Some(format!("a check was killed: {killed}"));
    }
    if on_trial(task).is_empty() {
        let why = "only a model's opinion decides its reward, so that nothing can be tested; let its basis name another check";
        return Some(why.to_owned());
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
            (false, _) if target.acts() && !task.basis.is_empty() => format!(
                "the empty trajectory passes although gold makes {} changes; let its basis name what must be done",
                target.changes.len()
            ),
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
