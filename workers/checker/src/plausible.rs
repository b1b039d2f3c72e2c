//! Plausible values: what else an argument could have been, taken from the domain's records and from the task.
use agoge_dialogue::random::Rng;
use agoge_world::said::amount;
use agoge_world::{Domain, Task, says};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Values remembered for a field or collection; a sample is enough to draw a handful of mutants from.
const SAMPLE: usize = 48;

/// Values by the name of the field that holds them, and record ids by collection.
#[derive(Clone, Debug, Default)]
pub struct Plausible {
    ids: BTreeMap<String, Vec<String>>,
    fields: BTreeMap<String, Vec<Value>>,
    known: BTreeMap<String, Vec<Value>>,
}

impl Plausible {
    /// Reads a sample of the domain's records, once for all tasks.
    pub fn of(domain: &Domain) -> Plausible {
        let mut found = Plausible::default();
        for collection in domain.state.collections() {
            let count = domain.state.ids(collection).count();
            let ids = domain
                .state
                .ids(collection)
                .step_by((count / SAMPLE).max(1));
            let sample: Vec<&str> = ids.take(SAMPLE).collect();
            for id in &sample {
                if let Some(Value::Object(record)) = domain.state.get(collection, id) {
                    for (name, value) in record {
                        note(&mut found.fields, name, value);
                    }
                }
            }
            found.ids.insert(
                collection.to_owned(),
                sample.into_iter().map(String::from).collect(),
            );
        }
        found
    }

    /// Adds what the task itself speaks of: arguments of its gold and facts of its user.
    pub fn with_task(&self, task: &Task) -> Plausible {
        let mut all = self.clone();
        for (name, value) in task.gold.iter().flat_map(|call| &call.arguments) {
            note(&mut all.known, name, value);
        }
        for (name, value) in task.user.facts() {
            note(&mut all.known, name, &json!(value));
            if let Ok(number) = value.parse::<i64>() {
                note(&mut all.known, name, &json!(number));
            }
        }
        all
    }

    /// Values that could stand where `value` stands, without it.
    pub fn others(&self, schema: &Value, name: &str, value: &Value) -> Vec<Value> {
        let mut found: Vec<Value> = Vec::new();
        if let Some(choices) = schema["enum"].as_array() {
            found.extend(choices.iter().cloned());
        } else {
            match value {
                Value::Bool(b) => found.push(json!(!b)),
                Value::Number(n) => match n.as_i64() {
                    Some(i) => {
                        found.extend(
                            [
                                i.saturating_add(1),
                                i.saturating_sub(1),
                                i.saturating_mul(2),
                                0,
                            ]
                            .map(Value::from),
                        );
                    }
                    None => {
                        let x = n.as_f64().unwrap_or_default();
                        found.extend([x + 1.0, x - 1.0, x * 2.0, 0.0].map(|y| json!(y)));
                    }
                },
                Value::String(text) => found.extend(self.other_texts(name, text)),
                Value::Array(items) => {
                    for (i, item) in items.iter().enumerate() {
                        let mut shorter = items.clone();
                        shorter.remove(i);
                        found.push(Value::Array(shorter));
                        for other in self
                            .others(&schema["items"], name, item)
                            .into_iter()
                            .take(2)
                        {
                            let mut changed = items.clone();
                            changed[i] = other;
                            found.push(Value::Array(changed));
                        }
                    }
                }
                Value::Object(map) => {
                    for (key, item) in map {
                        let inner = &schema["properties"][key];
                        for other in self.others(inner, key, item).into_iter().take(2) {
                            let mut changed = map.clone();
                            changed.insert(key.clone(), other);
                            found.push(Value::Object(changed));
                        }
                    }
                }
                Value::Null => {}
            }
        }
        found.retain(|other| other != value);
        distinct(found)
    }

    /// Values for an argument that nothing is known of but its name and schema, the likeliest first.
    pub(crate) fn fill(&self, schema: &Value, name: &str, rng: &mut Rng) -> Vec<Value> {
        if let Some(choices) = schema["enum"].as_array() {
            let mut choices = choices.clone();
            rng.shuffle(&mut choices);
            return choices;
        }
        let fits = |value: &&Value| match schema["type"].as_str() {
            Some("string") => value.is_string(),
            Some("integer") => value.is_i64() || value.is_u64(),
            Some("number") => value.is_number(),
            Some("boolean") => value.is_boolean(),
            Some("array") => value.is_array(),
            Some("object") => value.is_object(),
            _ => true,
        };
        let mut found: Vec<Value> = self
            .known
            .get(name)
            .into_iter()
            .flatten()
            .filter(fits)
            .cloned()
            .collect();
        let mut general: Vec<Value> = Vec::new();
        match schema["type"].as_str() {
            Some("boolean") => general.extend([json!(true), json!(false)]),
            Some("integer") => general.extend([1, 2, 3, 5, 10].map(Value::from)),
            Some("number") => general.extend([1.0, 5.0, 10.0, 25.0].map(Value::from)),
            Some("array") => {
                let items = self.fill(&schema["items"], singular(name), rng);
                general.extend(items.into_iter().take(4).map(|item| json!([item])));
            }
            Some("object") => {}
            _ => general.extend(self.other_texts(name, "")),
        }
        general.extend(self.like(name).into_iter().filter(|v| fits(&v)));
        rng.shuffle(&mut general);
        found.extend(general);
        distinct(found)
    }

    /// Returns texts that could stand in the place of an output.
    pub fn other_outputs(&self, output: &str) -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        if let Ok(whole) = output.parse::<i64>() {
            found.extend(
                [
                    whole.saturating_add(1),
                    whole.saturating_mul(2).saturating_add(3),
                ]
                .map(|n| n.to_string()),
            );
        } else if let Some(number) = decimal(output) {
            found.extend([number + 1.0, number * 2.0 + 0.5].map(|n| format!("{n:.2}")));
        } else {
            found.extend(
                self.other_texts("", output)
                    .iter()
                    .filter_map(Value::as_str)
                    .map(String::from),
            );
        }
        found.retain(|other| !says(other, output));
        if found.is_empty() {
            found.push("something else".to_owned());
        }
        found
    }

    /// Other texts of the same sort: ids of the same collection, values of the same field, another day.
    fn other_texts(&self, name: &str, text: &str) -> Vec<Value> {
        let mut found: Vec<Value> = self.known.get(name).cloned().unwrap_or_default();
        let named: Vec<&Vec<String>> = self
            .ids
            .iter()
            .filter(|(c, _)| names_collection(name, c))
            .map(|(_, ids)| ids)
            .collect();
        let shaped = self.ids.values().filter(|ids| {
            !text.is_empty() && ids.first().is_some_and(|id| shape(id) == shape(text))
        });
        let ids = if named.is_empty() {
            shaped.collect()
        } else {
            named
        };
        found.extend(ids.into_iter().flatten().map(|id| json!(id)));
        if found.len() < 4 {
            found.extend(self.like(name));
        }
        if found.len() < 4 && !text.is_empty() {
            let holding = self
                .fields
                .values()
                .filter(|values| values.iter().any(|v| v == text));
            found.extend(holding.flatten().cloned());
        }
        if let Some(day) = text.get(8..10).and_then(|d| d.parse::<u32>().ok())
            && shape(text).starts_with("0000-00-00")
        {
            for other in [day % 28 + 1, (day + 6) % 28 + 1] {
                found.push(json!(format!("{}{other:02}{}", &text[..8], &text[10..])));
            }
        }
        found.retain(Value::is_string);
        if found.iter().all(|v| v == text) {
            found.push(json!(if text.is_empty() {
                "as asked".to_owned()
            } else {
                format!("{text} too")
            }));
        }
        found.retain(|v| v != text);
        distinct(found)
    }

    /// Values of fields whose name is this argument's, or whose name ends it (`new_address` -> `address`).
    fn like(&self, name: &str) -> Vec<Value> {
        let named = |field: &str| {
            name == field
                || name.ends_with(&format!("_{field}"))
                || field.ends_with(&format!("_{name}"))
        };
        if name.is_empty() {
            return Vec::new();
        }
        let fields = self.fields.iter().filter(|(field, _)| named(field));
        fields
            .flat_map(|(_, values)| values.iter().take(SAMPLE / 2).cloned())
            .collect()
    }
}

fn note(into: &mut BTreeMap<String, Vec<Value>>, name: &str, value: &Value) {
    if value.is_object() || value.is_null() || value == "" {
        return;
    }
    let values = into.entry(name.to_owned()).or_default();
    if values.len() < SAMPLE && !values.contains(value) {
        values.push(value.clone());
    }
}

/// The value of a number, however it is written.
fn decimal(text: &str) -> Option<f64> {
    let plain = text.parse().ok();
    plain.or_else(|| amount(text)?.parse().ok())
}

/// Without repetitions, in the order of first occurrence.
fn distinct(values: Vec<Value>) -> Vec<Value> {
    let mut found: Vec<Value> = Vec::with_capacity(values.len());
    for value in values {
        if !found.contains(&value) {
            found.push(value);
        }
    }
    found
}

/// Returns true when an argument's name speaks of a collection: `parcel_id`, `parcel` or `new_parcel_id` of `parcels`.
fn names_collection(name: &str, collection: &str) -> bool {
    let stem = name.strip_suffix("_id").unwrap_or(name);
    let one = singular(collection);
    !stem.is_empty() && (stem == one || stem == collection || stem.ends_with(&format!("_{one}")))
}

fn singular(name: &str) -> &str {
    if name.ends_with("ss") {
        name
    } else {
        name.strip_suffix('s').unwrap_or(name)
    }
}

/// A text with each digit as `0` and each letter as `a`: ids of one collection share it.
fn shape(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            c if c.is_ascii_digit() => '0',
            c if c.is_alphabetic() => 'a',
            c => c,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Plausible {
        let mut p = Plausible::default();
        p.ids.insert(
            "parcels".into(),
            vec!["48213".into(), "48214".into(), "48215".into()],
        );
        p.fields.insert(
            "address".into(),
            vec![json!("1 Elm Road"), json!("2 Oak Lane")],
        );
        p
    }

    #[test]
    fn other_values_are_of_the_same_sort() {
        let p = sample();
        let string = json!({"type": "string"});
        let ids = p.others(&string, "parcel_id", &json!("48213"));
        assert_eq!(ids, [json!("48214"), json!("48215")]);
        assert_eq!(
            p.others(&string, "new_address", &json!("1 Elm Road")),
            [json!("2 Oak Lane")]
        );
        let choice = json!({"type": "string", "enum": ["locker", "depot"]});
        assert_eq!(
            p.others(&choice, "place", &json!("depot")),
            [json!("locker")]
        );
        assert!(
            p.others(&json!({"type": "integer"}), "days", &json!(3))
                .contains(&json!(4))
        );
        assert_eq!(
            p.others(&json!({}), "insured", &json!(true)),
            [json!(false)]
        );
        let dates = p.others(&string, "date", &json!("2025-03-04"));
        assert_eq!(dates, [json!("2025-03-05"), json!("2025-03-11")]);
    }

    #[test]
    fn an_argument_is_filled_from_its_name_and_type() {
        let (p, mut rng) = (sample(), Rng::keyed_be(1, "x"));
        let string = json!({"type": "string"});
        assert!(
            p.fill(&string, "parcel_id", &mut rng)
                .contains(&json!("48214"))
        );
        assert!(
            p.fill(&string, "address", &mut rng)
                .contains(&json!("2 Oak Lane"))
        );
        let list = json!({"type": "array", "items": {"type": "string"}});
        assert!(
            p.fill(&list, "parcels", &mut rng)
                .iter()
                .all(Value::is_array)
        );
        assert!(!p.fill(&string, "reason", &mut rng).is_empty());
    }

    #[test]
    fn an_altered_output_never_says_the_right_one() {
        let p = sample();
        for output in ["12", "12.5", "48213", "held"] {
            let others = p.other_outputs(output);
            assert!(!others.is_empty(), "{output}");
            assert!(
                others.iter().all(|o| !says(o, output)),
                "{output}: {others:?}"
            );
        }
    }
}
