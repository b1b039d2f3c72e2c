//! A domain's data: an immutable base, shared by all, and one small overlay an episode.
//!
//! An overlay holds exactly the records that differ from the base, so two overlays are equal when the states are.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use agoge_digest::{Digest, canonical_numbers};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The reason why data cannot be a state.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The top is not an object of collections.
    #[error(
        "the state must be an object of collections, as {{\"parcels\": {{\"10001\": {{..}}}}}}"
    )]
    NotCollections,
    /// A collection is not an object of records by id.
    #[error("collection `{0}` must be an object of records by id")]
    NotRecords(String),
}

type Records = BTreeMap<String, Value>;
type Index = HashMap<(String, String), HashMap<String, Vec<String>>>;

#[derive(Debug)]
struct Base {
    collections: BTreeMap<String, Records>,
    index: Mutex<Index>,
}

/// The immutable base. Cloning shares it.
#[derive(Clone, Debug)]
pub struct State(Arc<Base>);

impl State {
    /// From `{collection: {id: record}}`.
    ///
    /// # Errors
    /// [`StateError`], naming the collection.
    pub fn from_json(value: Value) -> Result<Self, StateError> {
        let Value::Object(top) = value else {
            return Err(StateError::NotCollections);
        };
        let mut collections = BTreeMap::new();
        for (name, records) in top {
            let Value::Object(records) = records else {
                return Err(StateError::NotRecords(name));
            };
            collections.insert(name, records.into_iter().collect());
        }
        Ok(Self(Arc::new(Base {
            collections,
            index: Mutex::default(),
        })))
    }

    /// The whole base, as it came.
    #[must_use]
    pub fn to_json(&self) -> Value {
        serde_json::to_value(&self.0.collections).unwrap_or_default()
    }

    /// A record.
    #[must_use]
    pub fn get(&self, collection: &str, id: &str) -> Option<&Value> {
        self.0.collections.get(collection)?.get(id)
    }

    /// The ids of a collection, in order.
    pub fn ids(&self, collection: &str) -> impl Iterator<Item = &str> {
        self.0
            .collections
            .get(collection)
            .into_iter()
            .flatten()
            .map(|(id, _)| id.as_str())
    }

    /// The collections' names, in order.
    pub fn collections(&self) -> impl Iterator<Item = &str> {
        self.0.collections.keys().map(String::as_str)
    }

    /// Number of records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.collections.values().map(BTreeMap::len).sum()
    }

    /// Returns true when there is no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn find(&self, collection: &str, field: &str, value: &Value) -> Vec<String> {
        let mut index = self.0.index.lock().unwrap_or_else(PoisonError::into_inner);
        let by_value = index
            .entry((collection.to_owned(), field.to_owned()))
            .or_insert_with(|| {
                let mut by_value: HashMap<String, Vec<String>> = HashMap::new();
                for (id, record) in self.0.collections.get(collection).into_iter().flatten() {
                    if let Some(value) = record.get(field) {
                        by_value
                            .entry(value.to_string())
                            .or_default()
                            .push(id.clone());
                    }
                }
                by_value
            });
        by_value
            .get(&value.to_string())
            .cloned()
            .unwrap_or_default()
    }
}

/// The records of one episode that differ from the base; `None` is a deleted one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Overlay {
    changed: BTreeMap<String, BTreeMap<String, Option<Value>>>,
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

    /// Returns the differences, field by field, in order.
    #[must_use]
    pub fn diff(&self, base: &State) -> Vec<Change> {
        let mut changes = Vec::new();
        for (collection, records) in &self.changed {
            for (id, after) in records {
                let change = |field: &str, before: Option<&Value>, after: Option<&Value>| Change {
                    collection: collection.clone(),
                    id: id.clone(),
                    field: field.to_owned(),
                    before: before.cloned().unwrap_or_default(),
                    after: after.cloned().unwrap_or_default(),
                };
                match (base.get(collection, id), after) {
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
                    (before, after) => changes.push(change("*", before, after.as_ref())),
                }
            }
        }
        changes
    }
}

/// A base seen through an overlay.
#[derive(Debug)]
pub struct View<'a> {
    /// The base.
    pub base: &'a State,
    /// The records that differ.
    pub overlay: &'a Overlay,
}

impl<'a> View<'a> {
    /// A record.
    #[must_use]
    pub fn get(&self, collection: &str, id: &str) -> Option<&'a Value> {
        match self
            .overlay
            .changed
            .get(collection)
            .and_then(|records| records.get(id))
        {
            Some(changed) => changed.as_ref(),
            None => self.base.get(collection, id),
        }
    }

    /// The ids of a collection, in order.
    #[must_use]
    pub fn ids(&self, collection: &str) -> Vec<String> {
        let Some(changed) = self.overlay.changed.get(collection) else {
            return self.base.ids(collection).map(str::to_owned).collect();
        };
        let kept = self
            .base
            .ids(collection)
            .filter(|id| !changed.contains_key(*id))
            .map(str::to_owned);
        let new = changed
            .iter()
            .filter(|(_, record)| record.is_some())
            .map(|(id, _)| id.clone());
        let mut ids: Vec<String> = kept.chain(new).collect();
        ids.sort();
        ids
    }

    /// The ids of the records whose `field` is `value`, in order. The base is searched by an index.
    #[must_use]
    pub fn find(&self, collection: &str, field: &str, value: &Value) -> Vec<String> {
        let mut ids = self.base.find(collection, field, value);
        if let Some(changed) = self.overlay.changed.get(collection) {
            ids.retain(|id| !changed.contains_key(id));
            let matches = |record: &Option<Value>| {
                record
                    .as_ref()
                    .and_then(|r| r.get(field))
                    .is_some_and(|v| v == value)
            };
            ids.extend(
                changed
                    .iter()
                    .filter(|(_, record)| matches(record))
                    .map(|(id, _)| id.clone()),
            );
            ids.sort();
        }
        ids
    }
}

impl Overlay {
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
