//! Gold itself: it works, it does the same again, it passes its own checks, and it needs no synchronisation.

use agoge_checker::{Judge, counts, sees_state};
use agoge_world::{Basis, Episode, Lost, Task, World};

use crate::finding::{Finding, Repair, Severity, difference, short};
use crate::kind::Kind;
use crate::play::{Attempt, Played, all_said, play};

/// Differences that the evidence of a finding names.
const NAMED: usize = 4;

/// Finds the gold calls that fail, and those that should and do not.
pub(crate) fn failing(task: &Task, played: &Played) -> Vec<Finding> {
    let mut found = Vec::new();
    for one in &played.refused {
        let number = one.number as usize;
        let Some((call, _)) = number.checked_sub(1).and_then(|at| played.calls().get(at)) else {
            continue;
        };
        let marked = task.fails_at(number);
        let (severity, repair) = match (marked, played.acts()) {
            (true, _) => (Severity::Note, Repair::Keep),
            // The rest of the solution stands.
            (false, true) => (Severity::Error, Repair::MarkFails { call: one.number }),
            (false, false) => (Severity::Error, Repair::Quarantine),
        };
        let evidence = format!(
            "call {number} ({}) fails: {}",
            call.name,
            short(&one.answer, 200)
        );
        let finding = Finding::new(&task.id, Kind::GoldFails, severity, evidence, repair);
        found.push(
            finding
                .at(format!("gold[{number}]"))
                .shown(played.calls(), &played.changes),
        );
    }
    for number in &task.fails {
        if played.refused.iter().any(|one| one.number == *number) {
            continue;
        }
        let evidence = format!("`fails` says that call {number} fails, and it works");
        let repair = Repair::ClearFails { call: *number };
        let finding = Finding::new(&task.id, Kind::GoldFails, Severity::Error, evidence, repair);
        found.push(
            finding
                .at(format!("gold[{number}]"))
                .shown(played.calls(), &played.changes),
        );
    }
    found
}

/// Plays gold again, and holds it against the first replay.
pub(crate) fn again(
    world: &mut World,
    task: &Task,
    played: &Played,
) -> Result<Option<Finding>, Lost> {
    let Attempt::Played(second) = play(world, task)? else {
        return Ok(None);
    };
    let unlike = played
        .calls()
        .iter()
        .zip(second.calls())
        .find(|(one, two)| one.1 != two.1);
    let evidence = match unlike {
        Some(((call, one), (_, two))) => format!(
            "{} answered {:?} and then {:?}",
            call.name,
            short(&one.content, 120),
            short(&two.content, 120)
        ),
        None if played.fingerprint != second.fingerprint => {
            "two replays of gold end in different states".to_owned()
        }
        None => return Ok(None),
    };
    let kind = Kind::Nondeterministic;
    let finding = Finding::new(
        &task.id,
        kind,
        Severity::Error,
        evidence,
        Repair::Quarantine,
    );
    Ok(Some(finding.shown(second.calls(), &second.changes)))
}

/// Holds gold, with all outputs said, against the task's own checks.
pub(crate) fn own_checks(
    world: &mut World,
    judge: &mut Judge,
    task: &Task,
    played: &Played,
) -> Result<Option<Finding>, Lost> {
    let playable = played.playable(task);
    if agoge_checker::on_trial(&playable).is_empty() {
        return Ok(None);
    }
    let verdict = judge.check(world, &playable, &played.episode, &all_said(task));
    if let Some(reason) = verdict.lost {
        return Err(Lost(reason));
    }
    // A task whose reward counts a model's opinion has no verdict here.
    let unjudged = verdict.unjudged.is_some() && verdict.parts.iter().all(|part| part.pass);
    if verdict.pass || unjudged {
        return Ok(None);
    }
    let breakdown = verdict.breakdown();
    let failing: Vec<&str> = breakdown
        .iter()
        .filter(|(_, one)| **one < 1.0)
        .map(|(name, _)| *name)
        .collect();
    let others = breakdown.len().saturating_sub(failing.len());
    let repair = match (failing.as_slice(), others) {
        (["asserts"], 1..) => Repair::DropBasis {
            part: Basis::Asserts,
        },
        (["calls"], 1..) => Repair::DropBasis { part: Basis::Calls },
        _ => Repair::Quarantine,
    };
    let evidence = format!("gold itself gets no reward: {}", short(&verdict.why(), 400));
    let finding = Finding::new(
        &task.id,
        Kind::GoldFailsChecker,
        Severity::Error,
        evidence,
        repair,
    );
    Ok(Some(finding.shown(played.calls(), &played.changes)))
}

/// Plays gold without the synchronisation that follows each call, as a gold environment does that never synchronises, and
/// compares the states.
pub(crate) fn unsynced(
    unsynced: &mut World,
    task: &Task,
    played: &Played,
) -> Result<Option<Finding>, Lost> {
    let mut episode: Episode = played.begun.clone();
    for call in &task.gold {
        unsynced.call(&mut episode, call).known()?;
    }
    let domain = unsynced.domain().clone();
    if !sees_state(&domain) || episode.fingerprint(&domain) == played.fingerprint {
        return Ok(None);
    }
    let state = &domain.state;
    let unlike = played.episode.overlay.diff_from(&episode.overlay, state);
    let mut named: Vec<String> = unlike.iter().take(NAMED).map(difference).collect();
    let more = unlike.len().saturating_sub(NAMED);
    if more > 0 {
        named.push(format!("and {more} more"));
    }
    let (severity, weight) = match counts(task, Basis::State) {
        true => (Severity::Error, "a perfect trajectory gets no reward there"),
        false => (Severity::Note, "the state is no part of the reward here"),
    };
    let evidence = format!(
        "an environment that does not synchronise after gold's calls ends elsewhere than a perfect trajectory: {}; {weight}",
        named.join("; ")
    );
    let finding = Finding::new(
        &task.id,
        Kind::UnsyncedGold,
        severity,
        evidence,
        Repair::Keep,
    );
    Ok(Some(finding.shown(played.calls(), &unlike)))
}
