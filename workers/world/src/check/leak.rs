//! Records for training that show ids of held-out records: what is learnt from them is known in evaluation.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;

use crate::domain::Domain;
use crate::problem::Problem;
use crate::split::SplitRule;
use crate::task::Split;

/// A field refers to a collection when so many of ten of its texts are ids of it.
const OF_TEN: usize = 8;

/// One kind of reference: from the records of a collection, by a field, to those of another.
#[derive(Default)]
struct Reference<'a> {
    /// Texts in the field.
    texts: usize,
    /// Texts that are ids.
    ids: usize,
    /// Records for training that name a held-out one.
    crossing: BTreeSet<&'a str>,
    example: Option<(&'a str, &'a str)>,
}

/// Returns a warning for each kind of reference by which records for training show ids of held-out records that tasks are
/// about.
pub(super) fn references(domain: &Domain) -> Vec<Problem> {
    if domain.split == SplitRule::Task {
        return Vec::new();
    }
    let facts = domain
        .templates
        .iter()
        .flat_map(|template| template.facts.values());
    let subjects: BTreeSet<&str> = facts.filter_map(|fact| fact.record.as_deref()).collect();
    let mut owners: HashMap<&str, Vec<&str>> = HashMap::new();
    for collection in subjects {
        for id in domain.state.ids(collection) {
            owners.entry(id).or_default().push(collection);
        }
    }
    if owners.is_empty() {
        return Vec::new();
    }
    let mut counts: BTreeMap<(&str, String), usize> = BTreeMap::new();
    let mut found: BTreeMap<(&str, String, &str), Reference<'_>> = BTreeMap::new();
    for collection in domain.state.collections() {
        for id in domain.state.ids(collection) {
            let Some(record) = domain.state.get(collection, id) else {
                continue;
            };
            let trains = domain.split_of(collection, id, record) != Split::Heldout;
            each_text("", record, &mut |path, text| {
                *counts.entry((collection, path.to_owned())).or_default() += 1;
                for &target in owners.get(text).into_iter().flatten() {
                    let reference = found
                        .entry((collection, path.to_owned(), target))
                        .or_default();
                    reference.ids += 1;
                    let Some(named) = domain.state.get(target, text) else {
                        continue;
                    };
                    if trains && domain.split_of(target, text, named) == Split::Heldout {
                        reference.crossing.insert(id);
                        reference.example = reference.example.or(Some((id, text)));
                    }
                }
            });
        }
    }
    let file = domain.dir.join("state.json");
    let mut told = Vec::new();
    for ((collection, path, target), mut reference) in found {
        reference.texts = counts
            .get(&(collection, path.clone()))
            .copied()
            .unwrap_or_default();
        // An id that is a text by chance is no reference.
        let refers = reference.ids * 10 >= reference.texts * OF_TEN;
        let (true, Some((id, named))) = (refers, reference.example) else {
            continue;
        };
        let message = format!(
            "{} records of `{collection}` for training show ids of held-out `{target}` in `{path}`, such as {id}: {named}",
            reference.crossing.len()
        );
        let remedy = match domain.format {
            1 => {
                "keep references on one side, or declare `format: 2` with `split: {by: owner, ..}` in domain.yaml"
            }
            _ => "keep references on one side, or declare `split: {by: owner, ..}` in domain.yaml",
        };
        told.push(Problem::new(&file, message, remedy));
    }
    told
}

/// Calls `with` for each text of a value, with its path; items of a list share the path of the list.
fn each_text<'a>(path: &str, value: &'a Value, with: &mut dyn FnMut(&str, &'a str)) {
    match value {
        Value::String(text) if !text.is_empty() => with(path, text),
        Value::Array(items) => items.iter().for_each(|item| each_text(path, item, with)),
        Value::Object(map) => {
            for (key, value) in map {
                let inner = match path {
                    "" => key.clone(),
                    path => format!("{path}.{key}"),
                };
                each_text(&inner, value, with);
            }
        }
        _ => {}
    }
}
