//! The differences of one episode from the shared base.

use std::collections::{BTreeMap, BTreeSet};

use agoge_digest::{Digest, canonical_numbers};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::state::{State, View};

/// The records of one episode that differ from the base; `None` is a deleted one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Overlay {
    pub(crate) changed: BTreeMap<String, BTreeMap<String, Option<Value>>>,
}

/// One difference from the base, for a reader. A whole record that came or went has the field `*`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// The collection.
    pub collection: String,
    /// The record.
    pub id: String,
    /// The field, or `*`.
    pub field: String,
    /// The value before; null when there was none.
    pub before: Value,
    /// The value after; null when there is none.
    pub after: Value,
}

impl Overlay {
    /// Returns true when nothing differs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changed.is_empty()
    }

    /// SHA-256 over what differs from the base: equal when the states are.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let text = canonical_numbers(&serde_json::to_value(self).unwrap_or_default());
        Digest::of(text.as_bytes()).hex().to_owned()
    }

    /// Returns the differences from the base, field by field, in order.
    #[must_use]
    pub fn diff(&self, base: &State) -> Vec<Change> {
        let mut changes = Vec::new();
        for (collection, records) in &self.changed {
            for (id, after) in records {
                let before = base.get(collection, id);
                push_changes(&mut changes, (collection, id), before, after.as_ref());
            }
        }
        changes
    }

    /// Returns the differences from an earlier state, field by field, in order.
    #[must_use]
    pub fn diff_from(&self, start: &Self, base: &State) -> Vec<Change> {
        let mut places: BTreeSet<(&String, &String)> = BTreeSet::new();
        for (collection, records) in self.changed.iter().chain(&start.changed) {
            places.extend(records.keys().map(|id| (collection, id)));
        }
        let seen = |overlay| View { base, overlay };
        let (old, new) = (seen(start), seen(self));
        let mut changes = Vec::new();
        for (collection, id) in places {
            let (before, after) = (old.get(collection, id), new.get(collection, id));
            push_changes(&mut changes, (collection, id), before, after);
        }
        changes
    }

    /// Returns the differences in the collections for which `of` is true.
    #[must_use]
    pub fn part(&self, of: &dyn Fn(&str) -> bool) -> Self {
        let all = self.changed.iter().filter(|(name, _)| of(name));
        Self {
            changed: all
                .map(|(name, records)| (name.clone(), records.clone()))
                .collect(),
        }
    }

    /// Adds the differences of another overlay of the same base. Collections of both are the other's afterwards.
    pub fn join(&mut self, other: Self) {
        self.changed.extend(other.changed);
    }

    /// Writes a record; one equal to the base's leaves no difference.
    pub fn put(&mut self, base: &State, collection: &str, id: &str, record: Value) {
        let unchanged = base
            .get(collection, id)
            .is_some_and(|old| same(old, &record));
        self.set(collection, id, (!unchanged).then_some(Some(record)));
    }

    /// Deletes a record; returns whether there was one.
    pub fn delete(&mut self, base: &State, collection: &str, id: &str) -> bool {
        let there = View {
            base,
            overlay: self,
        }
        .get(collection, id)
        .is_some();
        let in_base = base.get(collection, id).is_some();
        self.set(collection, id, in_base.then_some(None));
        there
    }

    /// Returns the differences that are left when `rewrite(collection, id, record)` is applied to both sides, so that what
    /// it makes equal is equal. The records are those that `rewrite` made.
    #[must_use]
    pub fn rewritten(&self, base: &State, rewrite: &dyn Fn(&str, &str, &mut Value)) -> Self {
        let mut all = Self::default();
        for (collection, records) in &self.changed {
            for (id, record) in records {
                let rewritten = |value: &Value| {
                    let mut value = value.clone();
                    rewrite(collection, id, &mut value);
                    value
                };
                let (old, new) = (
                    base.get(collection, id).map(rewritten),
                    record.as_ref().map(rewritten),
                );
                let unchanged = same_or_absent(old.as_ref(), new.as_ref());
                all.set(collection, id, (!unchanged).then_some(new));
            }
        }
        all
    }

    fn set(&mut self, collection: &str, id: &str, change: Option<Option<Value>>) {
        match change {
            Some(change) => {
                self.changed
                    .entry(collection.to_owned())
                    .or_default()
                    .insert(id.to_owned(), change);
            }
            None => {
                if let Some(records) = self.changed.get_mut(collection) {
                    records.remove(id);
                    if records.is_empty() {
                        self.changed.remove(collection);
                    }
                }
            }
        }
    }
}

/// Adds the differences between two versions of the record at `(collection, id)`.
fn push_changes(
    changes: &mut Vec<Change>,
    (collection, id): (&str, &str),
    before: Option<&Value>,
    after: Option<&Value>,
) {
    let change = |field: &str, before: Option<&Value>, after: Option<&Value>| Change {
        collection: collection.to_owned(),
        id: id.to_owned(),
        field: field.to_owned(),
        before: before.cloned().unwrap_or_default(),
        after: after.cloned().unwrap_or_default(),
    };
    match (before, after) {
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            let mut fields: Vec<&String> = old.keys().chain(new.keys()).collect();
            fields.sort();
            fields.dedup();
            for field in fields {
                let (before, after) = (old.get(field), new.get(field));
                if !same_or_absent(before, after) {
                    changes.push(change(field, before, after));
                }
            }
        }
        (before, after) if same_or_absent(before, after) => {}
        (before, after) => changes.push(change("*", before, after)),
    }
}

fn same_or_absent(a: Option<&Value>, b: Option<&Value>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => same(a, b),
        (None, None) => true,
        _ => false,
    }
}

/// Equality in which numbers compare by value: 3 is 3.0.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(x), Value::Number(y)) => x == y || x.as_f64() == y.as_f64(),
        (Value::Array(x), Value::Array(y)) => {
            x.len() == y.len() && x.iter().zip(y).all(|(x, y)| same(x, y))
        }
        (Value::Object(x), Value::Object(y)) => {
            x.len() == y.len()
                && x.iter()
                    .all(|(key, value)| y.get(key).is_some_and(|other| same(value, other)))
        }
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn base() -> State {
        State::from_json(json!({"p": {"1": {"x": 1.0, "s": "a"}, "2": {"x": 2.0, "s": "a"}}}))
            .unwrap()
    }

    #[test]
    fn writing_back_what_was_there_leaves_no_difference() {
        let base = base();
        let mut overlay = Overlay::default();
        overlay.put(&base, "p", "1", json!({"x": 5, "s": "a"}));
        assert_eq!(overlay.diff(&base).len(), 1);
        overlay.put(&base, "p", "1", json!({"s": "a", "x": 1}));
        assert_eq!(overlay, Overlay::default());
        overlay.put(&base, "p", "9", json!({"x": 1}));
        assert!(overlay.delete(&base, "p", "9"));
        assert_eq!(overlay.fingerprint(), Overlay::default().fingerprint());
    }

    #[test]
    fn what_a_rewriting_makes_equal_to_the_base_is_no_difference() {
        let base = base();
        let mut overlay = Overlay::default();
        overlay.put(&base, "p", "1", json!({"x": 1.0, "s": "b"}));
        overlay.put(&base, "p", "2", json!({"x": 7.0, "s": "b"}));
        overlay.delete(&base, "p", "3");
        let without_s = |_: &str, _: &str, record: &mut Value| {
            record.as_object_mut().unwrap().remove("s");
        };
        let left = overlay.rewritten(&base, &without_s);
        let mut expected = Overlay::default();
        expected.put(&base, "p", "2", json!({"x": 7.0}));
        assert_eq!(left, expected);
    }

    #[test]
    fn a_view_sees_writes_deletes_and_finds_through_both_layers() {
        let base = base();
        let mut overlay = Overlay::default();
        overlay.put(&base, "p", "1", json!({"x": 1.0, "s": "b"}));
        overlay.put(&base, "p", "3", json!({"x": 3.0, "s": "a"}));
        overlay.delete(&base, "p", "2");
        let view = View {
            base: &base,
            overlay: &overlay,
        };
        assert_eq!(view.ids("p"), ["1", "3"]);
        assert_eq!(view.find("p", "s", &json!("a")), ["3"]);
        assert!(view.get("p", "2").is_none());
        let fields: Vec<String> = overlay
            .diff(&base)
            .into_iter()
            .map(|c| format!("{}.{}", c.id, c.field))
            .collect();
        assert_eq!(fields, ["1.s", "2.*", "3.*"]);
    }
}
