//! Arguments to try a tool with: those of the gold, ids of unlike records, members of enums, and a few odd values.

use std::collections::{BTreeMap, HashSet};

use agoge_dialogue::ToolSpec;
use serde_json::{Map, Value, json};

use crate::domain::Domain;

mod unlike;

pub(super) use unlike::Unlike;

/// A field with so many different values, or fewer, tells records apart by each of them.
const FEW: usize = 12;
/// Values of the gold that are tried for one parameter.
const OF_GOLD: usize = 4;

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

#[cfg(test)]
mod tests {
    use super::*;

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
