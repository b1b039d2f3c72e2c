//! The differences of two states in the form of golden rows: objects field by field; lists and plain values whole.

use serde_json::Value;

use crate::rows::Change;

/// Returns them in no particular order.
pub fn differences(before: &Value, after: &Value) -> Vec<Change> {
    let mut found = Vec::new();
    walk(before, after, &mut Vec::new(), &mut found);
    found
}

fn walk(before: &Value, after: &Value, path: &mut Vec<Value>, found: &mut Vec<Change>) {
    let (Value::Object(old), Value::Object(new)) = (before, after) else {
        if before != after {
            found.push(change("replace", path, after));
        }
        return;
    };
    for name in old.keys().filter(|name| !new.contains_key(*name)) {
        path.push(name.as_str().into());
        found.push(change("remove", path, &Value::Null));
        path.pop();
    }
    for (name, value) in new {
        path.push(name.as_str().into());
        match old.get(name) {
            Some(was) => walk(was, value, path, found),
            None => found.push(change("add", path, value)),
        }
        path.pop();
    }
}

fn change(op: &str, path: &[Value], value: &Value) -> Change {
    Change {
        op: op.into(),
        path: path.to_vec(),
        value: value.clone(),
    }
}

/// Returns true when both have the same differences, in any order.
pub fn same(ours: &[Change], theirs: &[Change]) -> bool {
    ours.len() == theirs.len() && ours.iter().all(|change| theirs.contains(change))
}
