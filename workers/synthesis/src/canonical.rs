//! The canonical form of a task, by which duplicates are found.
//!
//! Two tasks are the same when the same calls must be made with the same arguments (in any order of keys; numbers by
//! value) and the same things must be said: wording makes no new task. Refusals, which need no call, differ by what the
//! user asks for: the facts of its script.

use agoge_store::Digest;
use agoge_world::Task;
use serde_json::Value;

/// The digest of a task's canonical form.
#[must_use]
pub fn canonical(task: &Task) -> String {
    let mut text = String::new();
    for call in &task.gold {
        text.push_str(&call.name);
        write(&Value::Object(call.arguments.clone()), &mut text);
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

fn write(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort();
            out.push('{');
            for key in keys {
                out.push_str(key);
                out.push(':');
                write(&map[key], out);
                out.push(',');
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for item in items {
                write(item, out);
                out.push(',');
            }
            out.push(']');
        }
        Value::Number(number) => match number.as_f64() {
            Some(float) if float.fract() == 0.0 && float.abs() < 1e15 => {
                out.push_str(&format!("{float:.0}"))
            }
            _ => out.push_str(&number.to_string()),
        },
        other => out.push_str(&other.to_string()),
    }
}
