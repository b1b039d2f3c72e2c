//! The empty trajectory, refusals, and gold without effect.

use std::collections::HashSet;

use agoge_checker::{Judge, only_state, sees_state};
use agoge_world::{Lost, Task, World};

use crate::finding::{Finding, Repair, Severity};
use crate::kind::Kind;
use crate::knowledge::words;
use crate::play::Played;

/// The first words of tools that change records, such as `cancel` of `cancel_reservation`.
#[derive(Debug, Default)]
pub(crate) struct Verbs(HashSet<String>);

impl Verbs {
    /// Learns from a played gold.
    pub fn learn(&mut self, played: &Played) {
        let after = played
            .before
            .iter()
            .skip(1)
            .chain([&played.episode.overlay]);
        for ((call, _), (before, after)) in
            played.calls().iter().zip(played.before.iter().zip(after))
        {
            if before != after {
                let verb = call.name.split('_').next().unwrap_or_default();
                self.0.insert(verb.to_lowercase());
            }
        }
    }

    /// Returns the verb of a change that the user asks for.
    fn asked(&self, task: &Task) -> Option<String> {
        let asked = match task.user.opening.is_empty() {
            true => &task.user.instruction,
            false => &task.user.opening,
        };
        words(asked).into_iter().find(|word| self.0.contains(word))
    }
}

/// Lets nobody say or do anything, and looks at who passes.
pub(crate) fn check(
    world: &mut World,
    judge: &mut Judge,
    task: &Task,
    played: &Played,
    verbs: &Verbs,
) -> Result<Vec<Finding>, Lost> {
    let mut found = Vec::new();
    if task.refusal && played.acts() {
        let evidence = format!(
            "the task is marked as a refusal, in which nothing may change, and its gold makes {} changes",
            played.changes.len()
        );
        let finding = Finding::new(
            &task.id,
            Kind::WrongRefusal,
            Severity::Error,
            evidence,
            Repair::ClearRefusal,
        );
        found.push(finding.at("refusal").shown(played.calls(), &played.changes));
    }
    if task.refusal {
        return Ok(found);
    }
    let playable = played.playable(task);
    let verdict = judge.check(world, &playable, &played.begun, &task.history);
    if let Some(reason) = verdict.lost {
        return Err(Lost(reason));
    }
    if !verdict.pass {
        return Ok(found);
    }
    let state_counts = only_state(task) && sees_state(world.domain());
    let (why, repair) = match (played.acts(), state_counts) {
        (false, true) => (
            "gold changes nothing, and nothing must be said, called or asserted; it is a refusal that is not marked as one",
            Repair::DeriveRefusal,
        ),
        (true, _) => (
            "gold changes records, and the basis of the reward does not count them",
            Repair::Quarantine,
        ),
        (false, false) => (
            "all that the reward rests on holds from the beginning",
            Repair::Quarantine,
        ),
    };
    let evidence = format!("an agent that says and does nothing gets the full reward: {why}");
    let finding = Finding::new(
        &task.id,
        Kind::EmptyPasses,
        Severity::Error,
        evidence,
        repair,
    );
    found.push(finding.shown(played.calls(), &played.changes));
    if let (false, Some(verb)) = (played.acts(), verbs.asked(task)) {
        let evidence = format!(
            "the user asks to {verb}, which a tool does, and gold changes nothing: right only if the policy refuses it"
        );
        let kind = Kind::GoldNoEffect;
        let finding = Finding::new(&task.id, kind, Severity::Warning, evidence, Repair::Keep);
        found.push(finding.shown(played.calls(), &[]));
    }
    Ok(found)
}
