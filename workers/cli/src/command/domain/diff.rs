//! Calls with the differences that they make, for a person.

use agoge_sandbox::Change;
use agoge_world::{Trace, TracedCall};
use serde_json::Value;

/// Characters of a result that are shown in an overview.
const RESULT: usize = 120;

/// Returns a task with its calls and their differences.
pub fn of_task(trace: &Trace) -> String {
    let head = match (trace.branch.is_empty(), trace.refusal) {
        (true, _) => trace.task.clone(),
        (false, true) => format!("{} (a refusal): {}", trace.branch, trace.task),
        (false, false) => format!("{}: {}", trace.branch, trace.task),
    };
    let mut text = format!("{head}\n");
    for call in &trace.calls {
        text.push_str(&of_call(call, RESULT));
    }
    if trace.calls.iter().all(|call| call.changes.is_empty()) {
        text.push_str("    nothing changes\n");
    }
    if !trace.outputs.is_empty() {
        text.push_str(&format!("  says {}\n", trace.outputs.join(", ")));
    }
    text
}

/// Returns a call with so many characters of its result, and its differences.
pub fn of_call(call: &TracedCall, shown: usize) -> String {
    let arguments = call.arguments.iter();
    let arguments: Vec<String> = arguments
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let mut result: String = call.result.chars().take(shown).collect();
    if result.len() < call.result.len() {
        result.push('…');
    }
    let mut text = format!("  {}({}) -> {result}\n", call.name, arguments.join(", "));
    for change in &call.changes {
        text.push_str(&format!("    {}\n", of_change(change)));
    }
    text
}

fn of_change(change: &Change) -> String {
    let Change {
        collection,
        id,
        field,
        before,
        after,
    } = change;
    match (field.as_str(), before, after) {
        ("*", Value::Null, after) => format!("{collection} {id} is new: {after}"),
        ("*", before, Value::Null) => format!("{collection} {id} is deleted: {before}"),
        (field, before, after) => format!("{collection} {id} {field}: {before} → {after}"),
    }
}
