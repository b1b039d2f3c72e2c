//! The canonical form of a task, by which duplicates are found.
//!
//! Two tasks are the same when the same calls must be made with the same arguments (in any order of keys; numbers by
//! value) and the same things must be said: wording makes no new task. Refusals, which need no call, differ by what the
//! user asks for: the facts of its script.

use agoge_digest::{Digest, canonical_numbers};
use agoge_world::Task;
use serde_json::Value;

/// The digest of a task's canonical form.
#[must_use]
pub fn canonical(task: &Task) -> String {
    let mut text = String::new();
    for call in &task.gold {
        text.push_str(&call.name);
        text.push_str(&canonical_numbers(&Value::Object(call.arguments.clone())));
        text.push('\n');
    }
    let mut outputs: Vec<String> = task
        .outputs
        .iter()
        .map(|o| o.trim().to_lowercase())
        .collect();
    outputs.sort();
    text.push_str(&outputs.join("\u{1f}"));
    if task.refusal {
        text.push('\n');
        text.push_str(&task.intent);
        let mut facts: Vec<String> = task
            .user
            .facts()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        facts.sort();
        text.push_str(&facts.join("\u{1f}"));
    }
    Digest::of(text.as_bytes()).hex().to_owned()
}
