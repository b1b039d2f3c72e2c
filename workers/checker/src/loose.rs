//! Fields of the final state that are not compared as they are: those that an argument wrote which the task compares with a
//! tolerance, roughly or not at all.
//!
//! Gold is replayed once more for each such argument, with another value in it. The fields that then differ depend on the
//! argument, and only they are compared by its rule. A record whose existence depends on an argument stays compared as it is,
//! and so do the fields of an argument that the tool takes no other value of.
//!
//! Not covered: a field that depends on another argument, too, is compared by the rule all the same; and the items of an
//! unordered list are told apart by their place.
use agoge_sandbox::{Overlay, State, View};
use agoge_world::{Compare, Domain, Episode, GoldError, Lost, Task, World};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// The words that take the place of a text.
const OTHER: &str = "other words";

/// Fields with their rules.
#[derive(Clone, Debug, Default)]
pub struct Loose(Vec<Place>);

/// A field of a record.
#[derive(Clone, Debug, PartialEq)]
struct Place {
    collection: String,
    id: String,
    path: Vec<Key>,
    rule: Compare,
}

/// A step within a record.
#[derive(Clone, Debug, PartialEq)]
enum Key {
    Field(String),
    At(usize),
}

impl Loose {
    /// Finds the fields that depend on the arguments which a task does not compare as they are.
    ///
    /// # Errors
    /// The sandbox gave no result.
    pub(crate) fn of(world: &mut World, task: &Task, gold: &Episode) -> Result<Self, Lost> {
        let mut found = Vec::new();
        if task.compare.is_empty() {
            return Ok(Self(found));
        }
        let domain = world.domain().clone();
        for (number, call) in task.gold.iter().enumerate() {
            let Some(tool) = domain.tool(&call.name) else {
                continue;
            };
            let none = Map::new();
            let properties = tool.parameters["properties"].as_object().unwrap_or(&none);
            for (argument, schema) in properties {
                let Some(rule) = task.comparison(&call.name, argument) else {
                    continue;
                };
                for other in others(schema, call.arguments.get(argument)) {
                    let mut varied = task.clone();
                    varied.gold[number]
                        .arguments
                        .insert(argument.clone(), other);
                    let Some(episode) = replayed(world, &varied)? else {
                        continue;
                    };
                    for place in differences(&domain.state, &gold.overlay, &episode.overlay, rule) {
                        if !found.contains(&place) {
                            found.push(place);
                        }
                    }
                    break;
                }
            }
        }
        Ok(Self(found))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns an episode's end in which the fields that are alike by their rules are those of gold. Its calls are left out.
    pub(crate) fn settled(&self, domain: &Domain, gold: &Episode, episode: &Episode) -> Episode {
        let base = &domain.state;
        let right = View {
            base,
            overlay: &gold.overlay,
        };
        let mut overlay = episode.overlay.clone();
        for place in &self.0 {
            let Some(wanted) = right.get(&place.collection, &place.id) else {
                continue;
            };
            let given = View {
                base,
                overlay: &overlay,
            };
            let Some(mut record) = given.get(&place.collection, &place.id).cloned() else {
                continue;
            };
            let (wanted, own) = (at(wanted, &place.path), at(&record, &place.path));
            let alike = place
                .rule
                .alike(wanted.unwrap_or(&Value::Null), own.unwrap_or(&Value::Null));
            if alike && wanted != own && put(&mut record, &place.path, wanted.cloned()) {
                overlay.put(base, &place.collection, &place.id, record);
            }
        }
        Episode {
            start: episode.start.clone(),
            overlay,
            ..Episode::default()
        }
    }
}

/// Replays a task's gold; `None` where a call does not go as the task says.
fn replayed(world: &mut World, task: &Task) -> Result<Option<Episode>, Lost> {
    match agoge_world::replay(world, task) {
        Ok(episode) => Ok(Some(episode)),
        Err(GoldError::Lost(lost)) => Err(lost),
        Err(_) => Ok(None),
    }
}

/// Returns other values for an argument, the likelier to be accepted first.
fn others(schema: &Value, given: Option<&Value>) -> Vec<Value> {
    if let Some(all) = schema.get("enum").and_then(Value::as_array) {
        return all
            .iter()
            .filter(|one| Some(*one) != given)
            .cloned()
            .collect();
    }
    match given {
        None | Some(Value::Null) => match schema.get("type").and_then(Value::as_str) {
            Some("integer" | "number") => vec![json!(1)],
            Some("boolean") => vec![json!(true)],
            Some("array") => vec![json!([OTHER])],
            Some("object") => Vec::new(),
            _ => vec![json!(OTHER)],
        },
        Some(value) => (0..3)
            .filter_map(|which| varied(value, which))
            .filter(|other| other != value)
            .collect(),
    }
}

/// Returns a value whose texts and numbers are others, in one of three ways.
fn varied(value: &Value, which: usize) -> Option<Value> {
    Some(match value {
        Value::String(text) => match which {
            0 => json!(format!("{text} {OTHER}")),
            1 => json!(OTHER),
            _ => json!(text.chars().rev().collect::<String>()),
        },
        Value::Number(number) => match (number.as_i64(), which) {
            (Some(whole), 0) => json!(whole.checked_add(1)?),
            (Some(whole), 1) => json!(whole.checked_sub(1)?),
            (Some(whole), _) => json!(whole.checked_mul(2)?),
            (None, 0) => json!(number.as_f64()? + 1.0),
            (None, 1) => json!(number.as_f64()? - 1.0),
            (None, _) => json!(number.as_f64()? * 2.0),
        },
        Value::Bool(holds) => Value::Bool(!holds),
        Value::Array(items) => Value::Array(
            items
                .iter()
                .map(|item| varied(item, which))
                .collect::<Option<_>>()?,
        ),
        Value::Object(map) => {
            let fields = map
                .iter()
                .map(|(key, value)| Some((key.clone(), varied(value, which)?)));
            Value::Object(fields.collect::<Option<_>>()?)
        }
        Value::Null => Value::Null,
    })
}

/// Returns the fields in which two ends differ, within the records that both have.
fn differences(base: &State, one: &Overlay, other: &Overlay, rule: Compare) -> Vec<Place> {
    let touched: BTreeSet<(String, String)> = [one, other]
        .into_iter()
        .flat_map(|overlay| overlay.diff(base))
        .map(|change| (change.collection, change.id))
        .collect();
    let mut found = Vec::new();
    for (collection, id) in touched {
        let at = |overlay| View { base, overlay }.get(&collection, &id);
        let (Some(one), Some(other)) = (at(one), at(other)) else {
            continue;
        };
        let mut paths = Vec::new();
        leaves(one, other, &mut Vec::new(), &mut paths);
        let places = paths.into_iter().filter(|path| !path.is_empty());
        found.extend(places.map(|path| Place {
            collection: collection.clone(),
            id: id.clone(),
            path,
            rule,
        }));
    }
    found
}

/// Adds the paths at which two values differ, as deep as they are of one form.
fn leaves(one: &Value, other: &Value, path: &mut Vec<Key>, found: &mut Vec<Vec<Key>>) {
    let null = Value::Null;
    match (one, other) {
        (one, other) if one == other => {}
        (Value::Object(a), Value::Object(b)) => {
            let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for key in keys {
                path.push(Key::Field(key.clone()));
                leaves(
                    a.get(key).unwrap_or(&null),
                    b.get(key).unwrap_or(&null),
                    path,
                    found,
                );
                path.pop();
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (at, (a, b)) in a.iter().zip(b).enumerate() {
                path.push(Key::At(at));
                leaves(a, b, path, found);
                path.pop();
            }
        }
        _ => found.push(path.clone()),
    }
}

fn at<'a>(record: &'a Value, path: &[Key]) -> Option<&'a Value> {
    path.iter().try_fold(record, |value, key| match key {
        Key::Field(field) => value.get(field),
        Key::At(at) => value.get(at),
    })
}

/// Puts a value into a field, or takes the field away; returns false where the record has no such place.
fn put(record: &mut Value, path: &[Key], wanted: Option<Value>) -> bool {
    let Some((last, before)) = path.split_last() else {
        return false;
    };
    let parent = before.iter().try_fold(record, |value, key| match key {
        Key::Field(field) => value.get_mut(field),
        Key::At(at) => value.get_mut(at),
    });
    match (parent, last, wanted) {
        (Some(Value::Object(map)), Key::Field(field), Some(wanted)) => {
            map.insert(field.clone(), wanted);
            true
        }
        (Some(Value::Object(map)), Key::Field(field), None) => map.shift_remove(field).is_some(),
        (Some(Value::Array(items)), Key::At(at), Some(wanted)) => match items.get_mut(*at) {
            Some(item) => {
                *item = wanted;
                true
            }
            None => false,
        },
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_are_found_as_deep_as_the_forms_agree() {
        let one = json!({"a": [{"note": "x", "n": 1}], "b": [1], "c": {"d": 1}});
        let other = json!({"a": [{"note": "y", "n": 1}], "b": [1, 2], "c": {"e": 1}});
        let mut found = Vec::new();
        leaves(&one, &other, &mut Vec::new(), &mut found);
        let shown = |path: &Vec<Key>| {
            let keys = path.iter().map(|key| match key {
                Key::Field(field) => field.clone(),
                Key::At(at) => at.to_string(),
            });
            keys.collect::<Vec<_>>().join(".")
        };
        assert_eq!(
            found.iter().map(shown).collect::<Vec<_>>(),
            ["a.0.note", "b", "c.d", "c.e"]
        );
        let mut record = one;
        assert!(put(&mut record, &found[0], Some(json!("z"))) && put(&mut record, &found[2], None));
        assert_eq!(
            record,
            json!({"a": [{"note": "z", "n": 1}], "b": [1], "c": {}})
        );
        assert_eq!(at(&record, &found[0]), Some(&json!("z")));
    }
}
