//! Which plan pair is at work: the pilots of a job's generations, compared by the rule, waited for by a person if asked.

use std::collections::BTreeSet;

use agoge_crds::lineage::Outcome;
use agoge_crds::synthesis_job::{Evolution, Promotion};

use super::book::Item;
use crate::evolution::{self, Decision, Pilot};
use crate::plan::PlanRecord;

/// What the attempts of these generations came to.
pub(super) fn pilot(items: &[Item], generations: &[u32]) -> Pilot {
    let own = items
        .iter()
        .filter(|item| generations.contains(&item.attempt.generation));
    let mut pilot = Pilot::default();
    let mut kinds = BTreeSet::new();
    for item in own {
        pilot.attempted += 1;
        pilot.tokens += item.stage_tokens;
        if item.attempt.valid() {
            pilot.valid += 1;
            kinds.extend(item.attempt.task.as_ref().map(|task| task.branch.as_str()));
        }
    }
    pilot.coverage = kinds.len() as u64;
    pilot
}

/// How a generation ends.
pub(super) struct Ending {
    pub outcome: Outcome,
    /// The chance that the child is better.
    pub better: Option<f64>,
}

/// Compares the last plan, if it is a child, with all that its parent has shown. `person` is what was decided about it.
pub(super) fn ending(
    plan: &PlanRecord,
    parent: Option<&Pilot>,
    evolution: &Evolution,
    person: Option<bool>,
) -> Ending {
    let Some(parent) = parent else {
        return Ending {
            outcome: Outcome::Pilot,
            better: None,
        };
    };
    let better = evolution::chance_child_is_better(parent, &plan.pilot);
    let outcome = match evolution::decide(parent, &plan.pilot, evolution.confidence) {
        Decision::RolledBack => Outcome::RolledBack,
        Decision::Undecided => Outcome::Undecided,
        Decision::Promoted => match (evolution.promotion, person) {
            (Promotion::Automatic, _) | (Promotion::Manual, Some(true)) => Outcome::Promoted,
            (Promotion::Manual, Some(false)) => Outcome::RolledBack,
            (Promotion::Manual, None) => Outcome::Awaiting,
        },
    };
    Ending {
        outcome,
        better: Some(better),
    }
}

/// Why no child is proposed any more, if so. `plans` are the generations that have ended.
pub(super) fn stopped(
    plans: &[PlanRecord],
    items: &[Item],
    evolution: &Evolution,
) -> Option<String> {
    let last = plans.last()?;
    if let Some(target) = evolution.target_acceptance {
        let own: Vec<&Item> = items
            .iter()
            .filter(|item| item.attempt.generation == last.generation)
            .collect();
        let accepted = own.iter().filter(|item| item.attempt.accepted()).count();
        if !own.is_empty() && accepted as f64 / own.len() as f64 >= target {
            return Some(format!(
                "{accepted} of {} were accepted: good enough",
                own.len()
            ));
        }
    }
    let in_vain = plans
        .iter()
        .rev()
        .take_while(|plan| plan.outcome != Outcome::Promoted)
        .filter(|plan| plan.better.is_some())
        .count();
    (in_vain >= evolution.patience as usize)
        .then(|| format!("{in_vain} children in a row were not promoted"))
}
