//! Arguments to try a tool with: those of the gold, ids of unlike records, members of enums, and a few odd values.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use agoge_dialogue::ToolSpec;
use serde_json::{Map, Value, json};

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
/// A field with so many different values, or fewer, tells records apart by each of them.
const FEW: usize = 12;
/// Values of the gold that are tried for one parameter.
const OF_GOLD: usize = 4;
/// Depth of links from record to record.
const LINKS: usize = 2;

/// A value to try.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Candidate {
    pub value: Value,
    /// True for a value that no right call has, such as an unknown id.
    pub odd: bool,
}

/// A call to try.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Trial {
    pub arguments: Map<String, Value>,
    pub odd: bool,
}

/// The arguments of each tool's gold calls.
pub(super) type Examples = BTreeMap<String, Vec<Map<String, Value>>>;

/// Returns the calls to try a tool with, the most telling first.
pub(super) fn trials(
    domain: &Domain,
    tool: &ToolSpec,
    examples: &Examples,
    unlike: &mut Unlike,
) -> Vec<Trial> {
    let none = Vec::new();
    let examples = examples.get(&tool.name).unwrap_or(&none);
    let empty = Map::new();
    let properties = tool.parameters["properties"].as_object().unwrap_or(&empty);
    let required: Vec<&str> = tool.parameters["required"]
        .as_array()
        .map_or_else(Vec::new, |names| {
            names.iter().filter_map(Value::as_str).collect()
        });
    let mut candidates: Vec<(&String, Vec<Candidate>)> = Vec::new();
    for (name, schema) in properties {
        candidates.push((name, of_parameter(domain, name, schema, examples, unlike)));
    }
    let mut bases: Vec<Trial> = Vec::new();
    for arguments in examples {
        // Calls that differ in the parameters they give take different paths.
        let keys: Vec<&String> = arguments.keys().collect();
        let known = bases
            .iter()
            .any(|base| base.arguments.keys().collect::<Vec<_>>() == keys);
        if !known {
            bases.push(Trial {
                arguments: arguments.clone(),
                odd: false,
            });
        }
    }
    if bases.is_empty() {
        let mut base = Trial {
            arguments: Map::new(),
            odd: false,
        };
        for (name, some) in &candidates {
            if let (true, Some(first)) = (required.contains(&name.as_str()), some.first()) {
                base.odd |= first.odd;
                base.arguments.insert((*name).clone(), first.value.clone());
            }
        }
        bases.push(base);
    }
    varied(&bases, &candidates)
}

/// Returns the base calls, each with one argument replaced by each candidate, the bases in turn; those with odd values come
/// last.
fn varied(bases: &[Trial], candidates: &[(&String, Vec<Candidate>)]) -> Vec<Trial> {
    let mut changes: Vec<(&String, &Candidate)> = Vec::new();
    for (name, some) in candidates {
        changes.extend(some.iter().map(|candidate| (*name, candidate)));
    }
    let mut all: Vec<Trial> = bases.to_vec();
    for (name, candidate) in changes {
        for base in bases {
            let mut trial = base.clone();
            trial
                .arguments
                .insert(name.clone(), candidate.value.clone());
            trial.odd |= candidate.odd;
            all.push(trial);
        }
    }
    let mut seen = HashSet::new();
    all.retain(|trial| seen.insert(Value::from(trial.arguments.clone()).to_string()));
    let (odd, even): (Vec<Trial>, Vec<Trial>) = all.into_iter().partition(|trial| trial.odd);
    even.into_iter().chain(odd).collect()
}

/// Returns the values to try for a parameter.
fn of_parameter(
    domain: &Domain,
    name: &str,
    schema: &Value,
    examples: &[Map<String, Value>],
    unlike: &mut Unlike,
) -> Vec<Candidate> {
    let right = |value: Value| Candidate { value, odd: false };
    let odd = |value: Value| Candidate { value, odd: true };
    let mut given: Vec<Value> = Vec::new();
    for value in examples.iter().filter_map(|arguments| arguments.get(name)) {
        if !given.contains(value) {
            given.push(value.clone());
        }
    }
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        return values.iter().take(FEW).cloned().map(right).collect();
    }
    let texts: Vec<&str> = given.iter().filter_map(Value::as_str).collect();
    if is(schema, "string")
        && let Some(collection) = collection_of(domain, name, &texts)
    {
        let ids = unlike.of(domain, &collection).iter();
        let ids = ids.map(|id| right(json!(id)));
        return ids.chain([odd(json!("no such id"))]).collect();
    }
    let few = given.into_iter().take(OF_GOLD).map(right);
    let more: Vec<Candidate> = if is(schema, "boolean") {
        vec![right(json!(true)), right(json!(false))]
    } else if is(schema, "integer") || is(schema, "number") {
        vec![
            right(json!(1)),
            odd(json!(0)),
            odd(json!(-1)),
            odd(json!(1_000_000)),
        ]
    } else if is(schema, "string") {
        vec![odd(json!("text")), odd(json!(""))]
    } else {
        vec![odd(sample(schema, 0))]
    };
    few.chain(more).collect()
}

/// Returns the collection whose ids a parameter takes: the one that has all ids of the gold, else the one of its name.
fn collection_of(domain: &Domain, parameter: &str, given: &[&str]) -> Option<String> {
    let named = |collection: &&str| {
        let stem = parameter.trim_end_matches("_ids").trim_end_matches("_id");
        let last = stem.rsplit('_').next().unwrap_or(stem);
        [stem, last].iter().any(|word| is_plural(collection, word))
    };
    let holds = |collection: &&str| {
        !given.is_empty()
            && given
                .iter()
                .all(|id| domain.state.get(collection, id).is_some())
    };
    let held: Vec<&str> = domain.state.collections().filter(holds).collect();
    let found = match held.iter().find(|collection| named(collection)) {
        Some(found) => Some(*found),
        None if given.is_empty() => domain
            .state
            .collections()
            .find(|collection| named(collection)),
        None => held.first().copied(),
    };
    found.map(str::to_owned)
}

/// Returns true when a collection is named by a word or its plural.
fn is_plural(collection: &str, word: &str) -> bool {
    let ies = word.strip_suffix('y').map(|stem| format!("{stem}ies"));
    !word.is_empty()
        && (collection == word
            || collection == format!("{word}s")
            || collection == format!("{word}es")
            || ies.is_some_and(|ies| collection == ies))
}

/// Returns true when a schema allows a type.
pub(super) fn is(schema: &Value, ty: &str) -> bool {
    match schema.get("type") {
        Some(Value::String(one)) => one == ty,
        Some(Value::Array(some)) => some.iter().any(|one| one == ty),
        _ => false,
    }
}

/// Returns the least value of a schema.
fn sample(schema: &Value, depth: usize) -> Value {
    if let Some(first) = schema["enum"].get(0) {
        return first.clone();
    }
    if depth < 8 && is(schema, "object") {
        let names = schema["required"].as_array().into_iter().flatten();
        let names = names.filter_map(Value::as_str);
        return names
            .map(|name| {
                (
                    name.to_owned(),
                    sample(&schema["properties"][name], depth + 1),
                )
            })
            .collect::<Map<String, Value>>()
            .into();
    }
    if depth < 8 && is(schema, "array") {
        return json!([sample(&schema["items"], depth + 1)]);
    }
    if is(schema, "boolean") {
        json!(true)
    } else if is(schema, "integer") || is(schema, "number") {
        json!(1)
    } else if is(schema, "object") {
        json!({})
    } else if is(schema, "array") {
        json!([])
    } else {
        json!("text")
    }
}

/// The unlike records of collections, found once.
#[derive(Debug, Default)]
pub(super) struct Unlike(HashMap<String, Vec<String>>);

impl Unlike {
    /// Returns ids of records that differ in the values of few-valued fields, one at a time and then two at a time, their
    /// own and those of the records that they name.
    fn of(&mut self, domain: &Domain, collection: &str) -> &[String] {
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

    #[test]
    fn a_collection_is_known_by_singular_and_plural() {
        for (collection, word) in [
            ("books", "book"),
            ("copies", "copy"),
            ("boxes", "box"),
            ("stock", "stock"),
        ] {
            assert!(is_plural(collection, word), "{collection}");
        }
        assert!(!is_plural("books", "member"));
    }
}
