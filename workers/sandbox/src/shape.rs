//! The form that a collection has in `state.json`. Inside, each is records by id.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::state::StateError;

/// The id of a singleton's one record.
pub const SINGLETON: &str = "";

/// The form of one collection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Shape {
    /// An object of records by id.
    #[default]
    Records,
    /// An array of records, each with its id in this field.
    List(String),
    /// One object; inside, a record with the id [`SINGLETON`].
    Singleton,
}

/// The collections that are not plain [`Shape::Records`].
pub type Shapes = BTreeMap<String, Shape>;

/// The order in which the records of a list came.
#[derive(Debug, Default)]
pub(crate) struct Order {
    at: HashMap<String, usize>,
}

impl Order {
    /// Returns ids as the list has them; new ones come last, in the order of their ids.
    pub fn arranged(&self, ids: Vec<String>) -> Vec<String> {
        let place = |id: &str| self.at.get(id).copied().unwrap_or(usize::MAX);
        let mut placed: Vec<(usize, String)> = ids.into_iter().map(|id| (place(&id), id)).collect();
        placed.sort_unstable();
        placed.into_iter().map(|(_, id)| id).collect()
    }
}

/// Reads a collection of this form; returns its records by id, and their order where it is a list.
pub(crate) fn records(
    name: &str,
    shape: &Shape,
    value: Value,
) -> Result<(BTreeMap<String, Value>, Option<Order>), StateError> {
    match (shape, value) {
        (Shape::Records, Value::Object(records)) => Ok((records.into_iter().collect(), None)),
        (Shape::Records, _) => Err(StateError::NotRecords(name.into())),
        (Shape::Singleton, record @ Value::Object(_)) => {
            Ok((BTreeMap::from([(SINGLETON.to_owned(), record)]), None))
        }
        (Shape::Singleton, _) => Err(StateError::NotSingleton(name.into())),
        (Shape::List(field), Value::Array(items)) => list(name, field, items),
        (Shape::List(_), _) => Err(StateError::NotList(name.into())),
    }
}

fn list(
    name: &str,
    field: &str,
    items: Vec<Value>,
) -> Result<(BTreeMap<String, Value>, Option<Order>), StateError> {
    let (mut records, mut order) = (BTreeMap::new(), Order::default());
    for (n, item) in items.into_iter().enumerate() {
        let id = item.get(field).and_then(id_of).ok_or_else(|| {
            let (collection, field) = (name.to_owned(), field.to_owned());
            StateError::NoId {
                collection,
                n,
                field,
            }
        })?;
        order.at.insert(id.clone(), n);
        if records.insert(id.clone(), item).is_some() {
            let collection = name.to_owned();
            return Err(StateError::Twice { collection, n, id });
        }
    }
    Ok((records, Some(order)))
}

/// Writes records of a collection in its form, those of a list in their order.
pub(crate) fn written(
    shape: &Shape,
    order: Option<&Order>,
    mut records: BTreeMap<String, Value>,
) -> Value {
    match shape {
        Shape::Records => Value::Object(Map::from_iter(records)),
        Shape::Singleton => records.remove(SINGLETON).unwrap_or_default(),
        Shape::List(_) => {
            let ids: Vec<String> = records.keys().cloned().collect();
            let ids = match order {
                Some(order) => order.arranged(ids),
                None => ids,
            };
            let items = ids.iter().filter_map(|id| records.remove(id));
            Value::Array(items.collect())
        }
    }
}

/// The id that a value is: a text, or a number as it is written.
pub(crate) fn id_of(value: &Value) -> Option<String> {
    match value {
        Value::String(id) => Some(id.clone()),
        Value::Number(id) => Some(id.to_string()),
        _ => None,
    }
}
