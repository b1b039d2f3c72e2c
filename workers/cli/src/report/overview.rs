//! The outcome of each object, in the words of its conditions.

use agoge_crds::conditions as c;
use agoge_crds::{Condition, Manifest, RunStatus};
use serde_json::{Value, json};

use super::run::Run;
use super::text::clip_to;

/// The objects with the condition that says how they are.
pub(super) fn part(run: &Run) -> Value {
    let objects: Vec<Value> = run.objects.iter().map(one).collect();
    json!({
        "domain": run.objects.first().map(Manifest::domain),
        "objects": objects,
    })
}

fn one(object: &Manifest) -> Value {
    let run = life(object);
    let condition = run.and_then(|run| telling(&run.conditions));
    let training = match object {
        Manifest::GRPORun(run) => run.status.as_ref(),
        _ => None,
    };
    json!({
        "kind": object.kind(),
        "name": object.name(),
        "phase": run.map(|run| run.phase),
        "reason": condition.map(|condition| &condition.reason),
        "message": clip_to(condition.map_or("", |condition| &condition.message), 600),
        "since": condition.map(|condition| &condition.last_transition_time),
        "start": run.and_then(|run| run.start_time.as_ref()),
        "end": run.and_then(|run| run.completion_time.as_ref()),
        "activeSeconds": run.map(|run| run.active_seconds),
        "stage": training.and_then(|status| status.stage.as_ref()),
        "step": training.map(|status| status.step),
        "total": training.map(|status| status.total),
        "attempts": run.map(|run| &run.attempts).filter(|attempts| !attempts.is_empty()),
    })
}

/// The part of an object's status that all kinds share; `None` before the first status.
fn life(object: &Manifest) -> Option<&RunStatus> {
    match object {
        Manifest::SynthesisJob(job) => job.status.as_ref().map(|status| &status.run),
        Manifest::CheckerSuite(suite) => suite.status.as_ref().map(|status| &status.run),
        Manifest::GRPORun(run) => run.status.as_ref().map(|status| &status.run),
    }
}

/// The condition that tells most: an end, else what is in the way, else progress.
fn telling(conditions: &[Condition]) -> Option<&Condition> {
    [
        (c::FAILED, "True"),
        (c::COMPLETE, "True"),
        (c::SUSPENDED, "True"),
        (c::STALLED, "True"),
        (c::ACCEPTED, "False"),
        (c::PROGRESSING, "True"),
    ]
    .into_iter()
    .find_map(|(kind, status)| c::get(conditions, kind).filter(|found| found.status == status))
}
