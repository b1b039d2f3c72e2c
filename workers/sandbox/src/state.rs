//! A domain's data: an immutable base, shared by all, and one small overlay an episode.
//!
//! An overlay holds exactly the records that differ from the base, so two overlays are equal when the states are.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use crate::Overlay;
use crate::shape::{self, Order, Shape, Shapes};

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
    /// A collection that the schema marks as a list is none.
    #[error("collection `{0}` is marked as a list in schema.json and must be an array of objects")]
    NotList(String),
    /// A collection that the schema marks as a singleton is not an object.
    #[error("collection `{0}` is marked as a singleton in schema.json and must be one object")]
    NotSingleton(String),
    /// An item of a list has no id.
    #[error(
        "item {n} of the list `{collection}` has no `{field}`, which is its id; give it one, a string or a number"
    )]
    NoId {
        /// The list.
        collection: String,
        /// The item, from 0.
        n: usize,
        /// The field of its id.
        field: String,
    },
    /// Two items of a list have one id.
    #[error(
        "item {n} of the list `{collection}` has the id {id:?}, as an earlier one has; make ids unique"
    )]
    Twice {
        /// The list.
        collection: String,
        /// The later item, from 0.
        n: usize,
        /// The id.
        id: String,
    },
}

type Records = BTreeMap<String, Value>;
type Index = HashMap<(String, String), HashMap<String, Vec<String>>>;

#[derive(Debug)]
struct Base {
    collections: BTreeMap<String, Records>,
    shapes: Shapes,
    orders: HashMap<String, Order>,
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
        Self::shaped(value, Shapes::new())
    }

    /// From `{collection: ..}`, in which each collection has its form: records by id where `shapes` does not name it.
    ///
    /// # Errors
    /// [`StateError`], naming the collection.
    pub fn shaped(value: Value, shapes: Shapes) -> Result<Self, StateError> {
        let Value::Object(top) = value else {
            return Err(StateError::NotCollections);
        };
        let (mut collections, mut orders) = (BTreeMap::new(), HashMap::new());
        for (name, value) in top {
            let shape = shapes.get(&name).unwrap_or(&Shape::Records);
            let (records, order) = shape::records(&name, shape, value)?;
            orders.extend(order.map(|order| (name.clone(), order)));
            collections.insert(name, records);
        }
        Ok(Self(Arc::new(Base {
            collections,
            shapes,
            orders,
            index: Mutex::default(),
        })))
    }

    /// The whole base, in the form in which it came.
    #[must_use]
    pub fn to_json(&self) -> Value {
        self.with(&Overlay::default())
    }

    /// The whole state of an episode, in the form in which the base came. New items of a list stand at its end.
    #[must_use]
    pub fn with(&self, overlay: &Overlay) -> Value {
        let view = View {
            base: self,
            overlay,
        };
        let new = overlay.changed.keys();
        let names: BTreeSet<&String> = self.0.collections.keys().chain(new).collect();
        let written = names.into_iter().filter_map(|name| {
            let records: Records = view.all(name);
            let shape = self.shape(name);
            if *shape == Shape::Singleton && records.is_empty() {
                return None;
            }
            let order = self.0.orders.get(name);
            Some((name.clone(), shape::written(shape, order, records)))
        });
        Value::Object(written.collect())
    }

    /// The form of a collection.
    #[must_use]
    pub fn shape(&self, collection: &str) -> &Shape {
        const RECORDS: &Shape = &Shape::Records;
        self.0.shapes.get(collection).unwrap_or(RECORDS)
    }

    /// The forms of the collections that are not plain records by id.
    #[must_use]
    pub fn shapes(&self) -> &Shapes {
        &self.0.shapes
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

    /// The ids of a collection, in order; those of a list in the list's.
    #[must_use]
    pub fn ids(&self, collection: &str) -> Vec<String> {
        let none = BTreeMap::new();
        let changed = self.overlay.changed.get(collection).unwrap_or(&none);
        let kept = self
            .base
            .ids(collection)
            .filter(|id| !changed.contains_key(*id))
            .map(str::to_owned);
        let new = changed
            .iter()
            .filter(|(_, record)| record.is_some())
            .map(|(id, _)| id.clone());
        self.arranged(collection, kept.chain(new).collect())
    }

    /// The records of a collection.
    fn all(&self, collection: &str) -> BTreeMap<String, Value> {
        let base = self.base.0.collections.get(collection);
        let mut all = base.cloned().unwrap_or_default();
        for (id, record) in self.overlay.changed.get(collection).into_iter().flatten() {
            match record {
                Some(record) => all.insert(id.clone(), record.clone()),
                None => all.remove(id),
            };
        }
        all
    }

    fn arranged(&self, collection: &str, mut ids: Vec<String>) -> Vec<String> {
        match self.base.0.orders.get(collection) {
            Some(order) => order.arranged(ids),
            None => {
                ids.sort();
                ids
            }
        }
    }

    /// The ids of the records whose `field` is `value`, in the order of [`View::ids`]. The base is searched by an index.
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
        }
        self.arranged(collection, ids)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn shaped(value: Value) -> Result<State, StateError> {
        let list = Shape::List("id".into());
        let shapes = [
            ("lines".to_owned(), list),
            ("phone".into(), Shape::Singleton),
        ];
        State::shaped(value, Shapes::from(shapes))
    }

    #[test]
    fn lists_and_singletons_are_records_inside_and_come_back_as_they_were() {
        let file = json!({
            "lines": [{"id": "z", "n": 1}, {"id": 7, "n": 2}, {"id": "a", "n": 3}],
            "none": {},
            "phone": {"on": true},
        });
        let state = shaped(file.clone()).unwrap();
        assert_eq!(state.to_json().to_string(), file.to_string());
        assert_eq!(state.get("lines", "7").unwrap()["n"], 2);
        assert_eq!(state.get("phone", "").unwrap()["on"], true);

        let mut overlay = Overlay::default();
        overlay.put(&state, "lines", "b", json!({"id": "b", "n": 4}));
        overlay.put(&state, "lines", "7", json!({"id": 7, "n": 5}));
        overlay.delete(&state, "lines", "a");
        overlay.put(&state, "phone", "", json!({"on": false}));
        overlay.put(&state, "new", "1", json!({}));
        let view = View {
            base: &state,
            overlay: &overlay,
        };
        assert_eq!(view.ids("lines"), ["z", "7", "b"]);
        assert_eq!(view.find("lines", "n", &json!(5)), ["7"]);
        let after = json!({
            "lines": [{"id": "z", "n": 1}, {"id": 7, "n": 5}, {"id": "b", "n": 4}],
            "new": {"1": {}},
            "none": {},
            "phone": {"on": false},
        });
        assert_eq!(state.with(&overlay).to_string(), after.to_string());
        let again = shaped(after).unwrap();
        assert_eq!(again.to_json(), state.with(&overlay));
    }

    #[test]
    fn a_collection_of_another_form_is_refused_by_its_name() {
        for (bad, words) in [
            (json!([]), "object of collections"),
            (json!({"none": []}), "`none` must be an object of records"),
            (json!({"lines": {}}), "`lines` is marked as a list"),
            (
                json!({"lines": [{"n": 1}]}),
                "item 0 of the list `lines` has no `id`",
            ),
            (
                json!({"lines": [{"id": 1}, {"id": "1"}]}),
                "item 1 of the list `lines` has the id \"1\"",
            ),
            (json!({"phone": 3}), "`phone` is marked as a singleton"),
        ] {
            let error = shaped(bad.clone()).unwrap_err().to_string();
            assert!(error.contains(words), "{bad}: {error}");
        }
    }
}
