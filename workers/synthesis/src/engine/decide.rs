//! The end of a generation: the pilots of child and parent compared by the rule, with a person's decision where one is asked for.

use agoge_crds::lineage::Outcome;
use agoge_crds::synthesis_job::{Evolution, Promotion};

use super::tally::Tally;
use crate::evolution::{self, Decision, Pilot};
use crate::plan::PlanRecord;

/// The end of a generation.
pub(super) struct Ending {
    pub outcome: Outcome,
    /// The chance that the child is better.
    pub better: Option<f64>,
}

/// Compares the last plan, if it is a child, with everything its parent has shown. `person` is the decision about it.
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

/// Returns the reason why no child is proposed any more, if there is one. `plans` are the generations that have ended.
pub(super) fn stopped(
    plans: &[PlanRecord],
    tally: &Tally,
    evolution: &Evolution,
) -> Option<String> {
    let last = plans.last()?;
    let (attempted, accepted) = tally.acceptance(last.generation);
    if let Some(target) = evolution.target_acceptance
        && attempted > 0
        && accepted as f64 / attempted as f64 >= target
    {
        return Some(format!(
            "{accepted} of {attempted} were accepted: good enough"
        ));
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
