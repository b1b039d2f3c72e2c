//! JSON documents as collections of records, and the differences of two of them.

use std::collections::{BTreeMap, BTreeSet};

use agoge_sandbox::{Overlay, State};
use serde_json::{Map, Value};

/// Records by id, by collection.
pub(crate) type Records = BTreeMap<String, BTreeMap<String, Value>>;

/// Adds the records of a document to `all`.
///
/// The members of an object whose members are all objects or lists of records are collections; the members of any other
/// object are the records of one collection that is named `stem`. The items of a list are records by their `id`, else by their
/// position; an item that is no object is a record too.
pub(crate) fn add(all: &mut Records, stem: &str, document: &Value) {
    match document {
        Value::Object(members) if !members.is_empty() && members.values().all(is_collection) => {
            for (name, value) in members {
                all.entry(name.clone()).or_default().extend(records(value));
            }
        }
        Value::Object(_) | Value::Array(_) => {
            let stem = all.entry(stem.to_owned()).or_default();
            stem.extend(records(document));
        }
        other => {
            let stem = all.entry(stem.to_owned()).or_default();
            stem.insert(String::new(), other.clone());
        }
    }
}

fn is_collection(value: &Value) -> bool {
    match value {
        Value::Object(members) => members.values().all(Value::is_object),
        Value::Array(items) => items.iter().all(Value::is_object),
        _ => false,
    }
}

fn records(value: &Value) -> Vec<(String, Value)> {
    match value {
        Value::Object(members) => members
            .iter()
            .map(|(id, value)| (id.clone(), value.clone()))
            .collect(),
        Value::Array(items) => {
            let ids: Option<Vec<String>> = items.iter().map(id).collect();
            let unique = |ids: &Vec<String>| ids.iter().collect::<BTreeSet<_>>().len() == ids.len();
            let ids = ids
                .filter(unique)
                .unwrap_or_else(|| (0..items.len()).map(|at| at.to_string()).collect());
            ids.into_iter().zip(items.iter().cloned()).collect()
        }
        _ => Vec::new(),
    }
}

fn id(item: &Value) -> Option<String> {
    match item.get("id")? {
        Value::String(id) => Some(id.clone()),
        Value::Number(id) => Some(id.to_string()),
        _ => None,
    }
}

/// Returns the differences of the records `now` from those of the base that are named by `before`.
pub(crate) fn differences(base: &State, before: &Records, now: &Records) -> Overlay {
    let mut overlay = Overlay::default();
    for (collection, records) in before {
        let left = now.get(collection);
        for id in records.keys() {
            if left.is_none_or(|left| !left.contains_key(id)) {
                overlay.delete(base, collection, id);
            }
        }
    }
    for (collection, records) in now {
        let old = before.get(collection);
        for (id, record) in records {
            if old.and_then(|old| old.get(id)) != Some(record) {
                overlay.put(base, collection, id, record.clone());
            }
        }
    }
    overlay
}

/// Returns the records as a state.
///
/// # Errors
/// They cannot be one.
pub(crate) fn state(records: &Records) -> Result<State, String> {
    let top = records.iter().map(|(collection, records)| {
        let records = records
            .iter()
            .map(|(id, record)| (id.clone(), record.clone()));
        (collection.clone(), Value::Object(records.collect()))
    });
    let top = Value::Object(top.collect::<Map<_, _>>());
    State::from_json(top).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(document: Value) -> Records {
        let mut all = Records::new();
        add(&mut all, "desk", &document);
        all
    }

    #[test]
    fn documents_of_every_shape_become_records() {
        let tables =
            of(json!({"rooms": {"1": {"free": true}}, "guests": [{"id": 7}, {"id": "x"}]}));
        assert_eq!(tables["rooms"]["1"], json!({"free": true}));
        assert_eq!(tables["guests"].keys().collect::<Vec<_>>(), ["7", "x"]);
        let mixed = of(json!({"open": true, "rooms": {"1": {}}}));
        assert_eq!(mixed["desk"]["open"], json!(true));
        assert_eq!(mixed["desk"].len(), 2);
        let list = of(json!([{"id": 1}, {"id": 1}, 3]));
        assert_eq!(list["desk"].keys().collect::<Vec<_>>(), ["0", "1", "2"]);
        assert_eq!(of(json!(3))["desk"][""], json!(3));
    }

    #[test]
    fn equal_documents_have_no_differences_and_others_name_the_place() {
        let before = of(json!({"rooms": {"1": {"free": true}, "2": {"free": true}}}));
        let base = state(&before).unwrap();
        assert!(differences(&base, &before, &before).is_empty());
        let now = of(json!({"rooms": {"1": {"free": false}}, "guests": [{"id": "ann"}]}));
        let changes = differences(&base, &before, &now).diff(&base);
        let places: Vec<String> = changes
            .iter()
            .map(|change| format!("{}/{}.{}", change.collection, change.id, change.field))
            .collect();
        assert_eq!(places, ["guests/ann.*", "rooms/1.free", "rooms/2.*"]);
    }
}
