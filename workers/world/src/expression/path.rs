//! Paths as texts, such as `items[0].price`, and the values that they lead to.

use serde_json::Value;

/// The part of a path before its first point or bracket.
pub(crate) fn first(path: &str) -> &str {
    path.split(['.', '[']).next().unwrap_or(path)
}

/// Returns the value at a path of fields and positions. A field of a list is the list of its elements' fields.
pub(crate) fn walk(value: &Value, path: &str) -> Option<Value> {
    let mut value = value.clone();
    for step in steps(path) {
        value = match step.strip_prefix('[') {
            Some(key) => at(&value, key.trim_end_matches(']'))?,
            None => field(&value, step)?,
        };
    }
    Some(value)
}

/// Returns true when a path leads to a value, in one element or value at least where it crosses lists and maps.
pub(crate) fn reaches(value: &Value, path: &str) -> bool {
    let mut steps = steps(path);
    let Some(step) = steps.next() else {
        return true;
    };
    let rest: String = steps
        .map(|step| match step.starts_with('[') {
            true => step.to_owned(),
            false => format!(".{step}"),
        })
        .collect();
    let rest = rest.trim_start_matches('.');
    match (value, step.starts_with('[')) {
        (Value::Array(items), false) => items.iter().any(|item| reaches(item, path)),
        (Value::Object(map), false) => match map.get(step) {
            Some(value) => reaches(value, rest),
            None => map
                .values()
                .any(|value| value.is_object() && reaches(value, path)),
        },
        (Value::Array(items), true) => items.iter().any(|item| reaches(item, rest)),
        (Value::Object(map), true) => map.values().any(|item| reaches(item, rest)),
        _ => false,
    }
}

/// The steps of a path; those in brackets keep the opening one.
fn steps(path: &str) -> impl Iterator<Item = &str> {
    let mut rest = path;
    std::iter::from_fn(move || {
        rest = rest.strip_prefix('.').unwrap_or(rest);
        if rest.is_empty() {
            return None;
        }
        let end = match rest.starts_with('[') {
            true => rest.find(']').map_or(rest.len(), |at| at + 1),
            false => rest.find(['.', '[']).unwrap_or(rest.len()),
        };
        // A point that nothing follows, or two in a row, are a step without a name.
        let (step, left) = rest.split_at(end);
        rest = left;
        Some(step)
    })
}

/// Returns a field of an object, or the list of this field of a list's elements.
pub(super) fn field(value: &Value, name: &str) -> Option<Value> {
    match value {
        Value::Array(items) => {
            let mut found = Vec::new();
            for value in items.iter().filter_map(|item| field(item, name)) {
                match value {
                    Value::Array(inner) => found.extend(inner),
                    value => found.push(value),
                }
            }
            Some(Value::Array(found))
        }
        value => value.get(name).cloned(),
    }
}

/// Returns the element at a position, from the end below 0, or the value of a key.
pub(super) fn at(value: &Value, key: &str) -> Option<Value> {
    match value {
        Value::Array(items) => {
            let position: i64 = key.parse().ok()?;
            let position = match position < 0 {
                true => items
                    .len()
                    .checked_sub(usize::try_from(position.unsigned_abs()).ok()?)?,
                false => usize::try_from(position).ok()?,
            };
            items.get(position).cloned()
        }
        value => value.get(key).cloned(),
    }
}
