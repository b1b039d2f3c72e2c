//! The key of a qualification: two runs with the same key find the same, times aside, so that one of them is enough.
use crate::qualification::Thresholds;
use agoge_digest::Digest;
use agoge_sandbox::Limits;
use agoge_world::Task;

/// The version of the rules of qualification. Change it whenever what qualification does changes: the mutants that it draws,
/// the runs that it judges, its reasons.
pub const RULES: &str = "agoge-qualification/2";

/// Returns the digest of everything that decides what the qualification of a task finds. `domain` is the domain's digest.
///
/// The task counts as it is written, because mutants are drawn from a call's arguments in their order.
///
/// # Errors
/// When the task cannot be written as JSON.
pub fn qualification_key(
    domain: &str,
    task: &Task,
    seed: u64,
    thresholds: &Thresholds,
    limits: &Limits,
) -> Result<Digest, serde_json::Error> {
    let code = (RULES, env!("CARGO_PKG_VERSION"));
    let all = serde_json::to_vec(&(code, domain, seed, thresholds, limits, task))?;
    Ok(Digest::of(&all))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn task(text: &Value) -> Task {
        serde_json::from_value(text.clone()).unwrap()
    }

    #[test]
    fn another_task_domain_seed_threshold_or_limit_has_another_key() {
        let text = json!({"id": "a", "user": {}, "gold": [{"name": "hold", "arguments": {"parcel": "1", "days": 2}}]});
        let (one, thresholds, limits) = (task(&text), Thresholds::default(), Limits::default());
        let key = |domain: &str, task: &Task, seed, thresholds: &Thresholds, limits: &Limits| {
            qualification_key(domain, task, seed, thresholds, limits).unwrap()
        };
        let first = key("d", &one, 0, &thresholds, &limits);
        let read_again = task(&json!(one));
        assert_eq!(key("d", &read_again, 0, &thresholds, &limits), first);

        let mut changed = Vec::new();
        for (field, value) in [
            ("id", json!("b")),
            ("outputs", json!(["held"])),
            ("calls", json!([{"name": "hold", "arguments": {}}])),
            (
                "checker",
                json!("def check(calls, messages):\n    return True\n"),
            ),
            (
                "gold",
                json!([{"name": "hold", "arguments": {"days": 2, "parcel": "1"}}]),
            ),
        ] {
            let mut text = text.clone();
            text[field] = value;
            changed.push(key("d", &task(&text), 0, &thresholds, &limits));
        }
        let fewer = Thresholds {
            mutants: 3,
            ..thresholds
        };
        let tighter = Limits {
            recursion: 50,
            ..limits
        };
        changed.extend([
            key("e", &one, 0, &thresholds, &limits),
            key("d", &one, 1, &thresholds, &limits),
            key("d", &one, 0, &fewer, &limits),
            key("d", &one, 0, &thresholds, &tighter),
        ]);
        assert!(!changed.contains(&first));
    }
}
