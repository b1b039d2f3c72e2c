//! The outcome of each object, in the words of its conditions.

use serde_json::{Value, json};

use super::run::Run;
use super::text::{clip_to, list, text};

/// The objects with the condition that says how they are.
pub(super) fn part(run: &Run) -> Value {
    let objects: Vec<Value> = run
        .objects
        .iter()
        .map(|object| {
            let status = &object.status;
            let condition = telling(list(&status["conditions"]));
            json!({
                "kind": object.kind.name(),
                "name": object.name,
                "phase": status["phase"],
                "reason": condition["reason"],
                "message": clip_to(text(condition, "message"), 600),
                "since": condition["lastTransitionTime"],
                "start": status["startTime"],
                "end": status["completionTime"],
                "activeSeconds": status["activeSeconds"],
                "stage": status["stage"],
                "step": status["step"],
                "total": status["total"],
                "attempts": status["attempts"],
            })
        })
        .collect();
    let domain = run
        .objects
        .iter()
        .map(|o| text(&o.spec, "domain"))
        .find(|d| !d.is_empty());
    json!({
        "domain": domain.or_else(|| run.objects.first().map(|o| o.name.as_str())),
        "objects": objects,
    })
}

/// The condition that tells most: an end, else what is in the way, else progress.
fn telling(conditions: &[Value]) -> &Value {
    let is = |condition: &&Value, kind: &str, status: &str| {
        text(condition, "type") == kind && text(condition, "status") == status
    };
    [
        ("Failed", "True"),
        ("Complete", "True"),
        ("Suspended", "True"),
        ("Stalled", "True"),
        ("Accepted", "False"),
        ("Progressing", "True"),
    ]
    .into_iter()
    .find_map(|(kind, status)| conditions.iter().find(|c| is(c, kind, status)))
    .unwrap_or(&Value::Null)
}
