//! Records of a collection that are unlike each other, so that trying each of them reaches other paths of a tool.

use std::collections::{BTreeSet, HashMap, HashSet};

use serde_json::Value;

use super::FEW;
use crate::domain::Domain;

/// Records of one collection that are compared, at most.
const READ: usize = 2000;
/// Records that are compared two values at a time.
const READ_IN_PAIRS: usize = 600;
/// Values of a record that are compared, and those that are compared two at a time.
const FIELDS: usize = 200;
const IN_PAIRS: usize = 40;
/// Unlike records, at most.
const UNLIKE: usize = 64;
/// A value is rare when one record in so many has it, or fewer; so many records show it.
const RARE: usize = 10;
const OF_RARE: usize = 4;
/// Depth of links from record to record.
const LINKS: usize = 2;

/// The unlike records of collections, found once.
#[derive(Debug, Default)]
pub(crate) struct Unlike(HashMap<String, Vec<String>>);

impl Unlike {
    /// Returns ids of records that differ in the values of few-valued fields, one at a time and then two at a time, their
    /// own and those of the records that they name.
    pub(super) fn of(&mut self, domain: &Domain, collection: &str) -> &[String] {
        self.0
            .entry(collection.to_owned())
            .or_insert_with(|| unlike(domain, collection))
    }
}

fn unlike(domain: &Domain, collection: &str) -> Vec<String> {
    let ids: Vec<&str> = domain.state.ids(collection).take(READ).collect();
    let owners = owners(domain);
    let mut records: Vec<Vec<(String, &Value)>> = Vec::new();
    for id in &ids {
        let mut fields = Vec::new();
        if let Some(record) = domain.state.get(collection, id) {
            read("", record, LINKS, domain, &owners, &mut fields);
        }
        records.push(fields);
    }
    let features = features(&records);
    let mut counts: HashMap<usize, usize> = HashMap::new();
    for feature in features.iter().flatten() {
        *counts.entry(*feature).or_default() += 1;
    }
    // A rare value may meet a guard that refuses it, so several records show it.
    let wanted = |feature: usize| match counts.get(&feature) {
        Some(count) if count * RARE <= features.len() => OF_RARE,
        _ => 1,
    };
    let mut chosen: Vec<usize> = Vec::new();
    let mut shown: HashMap<usize, usize> = HashMap::new();
    let mut seen = HashSet::new();
    for (n, features) in features.iter().enumerate() {
        let lacks = |one: &usize| shown.get(one).copied().unwrap_or_default() < wanted(*one);
        if chosen.len() < UNLIKE && features.iter().any(lacks) {
            chosen.push(n);
            for feature in features {
                *shown.entry(*feature).or_default() += 1;
            }
        }
    }
    for (n, features) in features.iter().enumerate().take(READ_IN_PAIRS) {
        if chosen.len() >= UNLIKE {
            break;
        }
        let some = &features[..features.len().min(IN_PAIRS)];
        let pairs = some.iter().flat_map(|a| some.iter().map(move |b| (*a, *b)));
        let pairs: Vec<(usize, usize)> = pairs.filter(|(a, b)| a < b).collect();
        let new = pairs.iter().any(|pair| !seen.contains(pair));
        seen.extend(pairs);
        if new && !chosen.contains(&n) {
            chosen.push(n);
        }
    }
    chosen.into_iter().map(|n| ids[n].to_owned()).collect()
}

/// Returns the collection of each id; of an id that several have, the first.
fn owners(domain: &Domain) -> HashMap<&str, &str> {
    let mut owners = HashMap::new();
    for collection in domain.state.collections() {
        for id in domain.state.ids(collection) {
            owners.entry(id).or_insert(collection);
        }
    }
    owners
}

/// Collects the plain values of a record with their paths, and those of the records that it names.
fn read<'a>(
    path: &str,
    value: &'a Value,
    links: usize,
    domain: &'a Domain,
    owners: &HashMap<&'a str, &'a str>,
    found: &mut Vec<(String, &'a Value)>,
) {
    match value {
        _ if found.len() >= FIELDS => {}
        Value::Object(map) => {
            for (key, value) in map {
                read(
                    &format!("{path}.{key}"),
                    value,
                    links,
                    domain,
                    owners,
                    found,
                );
            }
        }
        Value::Array(items) => {
            static NONE: Value = Value::Bool(false);
            static SOME: Value = Value::Bool(true);
            let empty = if items.is_empty() { &NONE } else { &SOME };
            found.push((format!("{path}[]"), empty));
        }
        Value::String(text) if links > 0 => match owners.get(text.as_str()) {
            Some(collection) => {
                if let Some(record) = domain.state.get(collection, text) {
                    read(
                        &format!("{path}>"),
                        record,
                        links - 1,
                        domain,
                        owners,
                        found,
                    );
                }
            }
            None => found.push((path.to_owned(), value)),
        },
        value => found.push((path.to_owned(), value)),
    }
}

/// Returns for each record the numbers of the values that tell it apart: each value of a field that has few, and the least and
/// the largest number of a field that has many.
fn features(records: &[Vec<(String, &Value)>]) -> Vec<Vec<usize>> {
    let mut values: HashMap<&str, BTreeSet<String>> = HashMap::new();
    let mut bounds: HashMap<&str, (f64, f64)> = HashMap::new();
    for (path, value) in records.iter().flatten() {
        let all = values.entry(path).or_default();
        if all.len() <= FEW {
            all.insert(value.to_string());
        }
        if let Some(number) = value.as_f64() {
            let (low, high) = bounds.entry(path).or_insert((number, number));
            (*low, *high) = (low.min(number), high.max(number));
        }
    }
    let mut numbers: HashMap<(&str, String), usize> = HashMap::new();
    let mut all = Vec::new();
    for record in records {
        let mut own = Vec::new();
        for (path, value) in record {
            let few = values
                .get(path.as_str())
                .is_some_and(|all| all.len() <= FEW);
            let bound = bounds.get(path.as_str()).zip(value.as_f64());
            let text = match (few, bound) {
                (true, _) => value.to_string(),
                (false, Some(((low, _), number))) if number == *low => "least".to_owned(),
                (false, Some(((_, high), number))) if number == *high => "largest".to_owned(),
                (false, _) if value.is_null() => "null".to_owned(),
                (false, _) => continue,
            };
            let next = numbers.len();
            own.push(*numbers.entry((path.as_str(), text)).or_insert(next));
        }
        all.push(own);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn unlike_records_show_every_value_of_a_field_that_has_few_and_both_ends_of_one_that_has_many()
    {
        let tiers = ["standard", "staff"];
        let values: Vec<Value> = (0..100)
            .map(|n| json!({"tier": tiers[usize::from(n == 70)], "owed": n, "name": format!("n{n}")}))
            .collect();
        let records: Vec<Vec<(String, &Value)>> = values
            .iter()
            .map(|record| {
                record
                    .as_object()
                    .unwrap()
                    .iter()
                    .map(|(k, v)| (k.clone(), v))
                    .collect()
            })
            .collect();
        let features = features(&records);
        let with = |n: usize| features[n].len();
        assert_eq!((with(0), with(1), with(70), with(99)), (2, 1, 1, 2));
        assert_ne!(features[1], features[70]);
    }
}
