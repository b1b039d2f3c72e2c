//! Synthesis: each strategy's funnel with the reasons of rejection, and the generations of plans with their prompts.

use agoge_artifacts::funnel::{Reason, Stop, funnel};
use agoge_artifacts::{Attempt, Gate, PlanRecord, Prompts};
use agoge_crds::synthesis_job::StrategyStatus;
use serde_json::{Value, json};

use super::run::{Attempts, Run};
use super::text::{clip, clip_value};

/// Reasons shown of one gate at most.
const MAX_REASONS: usize = 12;
/// Pairs of plans shown at most.
const MAX_PLANS: usize = 16;

/// The strategies and the generations.
pub(super) fn part(run: &Run) -> Value {
    let strategies: Vec<Value> = run.attempts.iter().map(strategy).collect();
    let generations: Vec<Value> = run
        .jobs()
        .flat_map(|job| job.status.iter().flat_map(|status| &status.lineage))
        .map(|generation| clip_value(&json!(generation)))
        .collect();
    let plans: Vec<Value> = run.plans().iter().take(MAX_PLANS).map(plan).collect();
    json!({ "strategies": strategies, "generations": generations, "plans": plans })
}

fn strategy(of: &Attempts) -> Value {
    let status = &of.status;
    json!({
        "name": of.strategy,
        "job": of.job,
        "ended": status.ended,
        "target": status.target,
        "attempted": status.attempted,
        "valid": status.valid,
        "accepted": status.accepted,
        "tokens": status.tokens,
        "cost": status.cost,
        "attribution": status.attribution,
        "funnel": if of.attempts.is_empty() { from_counts(status) } else { counted(&of.attempts) },
    })
}

/// Counts the attempts that ended at each gate, with their reasons.
fn counted(attempts: &[Attempt]) -> Value {
    let stops = funnel(attempts).into_iter();
    stops
        .map(
            |Stop {
                 gate,
                 count,
                 reasons,
             }| {
                let kinds = reasons.len();
                let reasons: Vec<Value> = reasons.iter().take(MAX_REASONS).map(reason).collect();
                json!({ "gate": gate, "count": count, "reasons": reasons, "kinds": kinds })
            },
        )
        .collect()
}

fn reason(reason: &Reason) -> Value {
    json!({
        "reason": reason.reason, "count": reason.count, "causes": reason.causes,
        "example": clip(&reason.example),
    })
}

/// The funnel of a status, while there are no attempts to read: counts without reasons.
fn from_counts(status: &StrategyStatus) -> Value {
    let count = |gate: Gate| match gate {
        Gate::Accepted => status.accepted,
        _ => status.rejected.get(gate.name()).copied().unwrap_or(0),
    };
    let known = Gate::ALL
        .iter()
        .map(|gate| json!({ "gate": gate, "count": count(*gate), "reasons": [] }));
    known.collect()
}

fn plan(plan: &PlanRecord) -> Value {
    json!({
        "digest": plan.digest,
        "parent": plan.parent,
        "generation": plan.generation,
        "change": clip(&plan.change),
        "outcome": plan.outcome,
        "better": plan.better,
        "pilot": plan.pilot,
        "synthesis": prompts(&plan.pair.synthesis),
        "evaluation": prompts(&plan.pair.evaluation),
    })
}

fn prompts(prompts: &Prompts) -> Value {
    let prompts = prompts.iter();
    prompts
        .map(|(name, text)| (name.clone(), json!(clip(text))))
        .collect()
}
