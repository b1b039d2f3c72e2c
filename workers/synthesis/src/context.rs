//! The prompt context of one item: one section of the policy, and a few records that fit its words.
//!
//! Code chooses what a writer is shown and writes nothing of the instance. Sections take turns, so that a pilot covers the
//! policy; records are drawn from the reinforcement-learning side of the data, so that nothing shown is held out.

use agoge_world::said::is_spaceless;
use agoge_world::{Domain, Seed, Split};
use serde_json::Value;

use crate::random::draw;

/// Records drawn before the best fitting are chosen.
const DRAWN: usize = 24;
/// Records shown of the collection that the section speaks of most, and of any other.
const SHOWN: [usize; 2] = [3, 1];

/// A section of the policy with records of the domain.
#[derive(Clone, Debug, PartialEq)]
pub struct PromptContext {
    /// The section's heading.
    pub topic: String,
    /// Its text.
    pub rules: String,
    /// The records, one a line.
    pub records: String,
    /// A request that somebody made, where the domain has some. They take turns.
    pub seed: Option<String>,
}

impl PromptContext {
    /// Chooses the context of item `number`. The same number and seed give the same context.
    #[must_use]
    pub fn choose(domain: &Domain, seed: u64, number: u64) -> Self {
        let sections = sections(&domain.policy);
        let at = (draw(&[&seed.to_string(), "first"]) + number) as usize % sections.len();
        let (topic, rules) = sections[at];
        let mut lines = Vec::new();
        for (rank, collection) in collections(domain, rules).into_iter().enumerate() {
            let shown = SHOWN[rank.min(1)];
            for id in fitting(domain, collection, rules, seed, number, shown) {
                if let Some(record) = domain.state.get(collection, &id) {
                    lines.push(format!("{collection}/{id}: {record}"));
                }
            }
        }
        Self {
            topic: topic.to_owned(),
            rules: rules.trim().to_owned(),
            records: lines.join("\n"),
            seed: nth(&domain.seeds, draw(&[&seed.to_string(), "seeds"]), number),
        }
    }

    /// Returns the bold words of the section, each once: the outcomes that a policy names.
    #[must_use]
    pub fn bold_words(&self) -> String {
        let mut words: Vec<&str> = Vec::new();
        for word in self.rules.split("**").skip(1).step_by(2) {
            if !words.contains(&word) {
                words.push(word);
            }
        }
        if words.is_empty() {
            "a value of the record".into()
        } else {
            words.join(", ")
        }
    }
}

/// Returns the opening of the seed whose turn it is.
fn nth(seeds: &[Seed], first: u64, number: u64) -> Option<String> {
    let at = first.wrapping_add(number) % seeds.len().max(1) as u64;
    seeds
        .get(usize::try_from(at).ok()?)
        .map(|seed| seed.opening.clone())
}

/// Splits a policy into sections by `## ` headings. One that begins with `How` is about manner and no topic; a policy without
/// sections is one.
fn sections(policy: &str) -> Vec<(&str, &str)> {
    let mut found: Vec<(&str, &str)> = policy
        .split("\n## ")
        .skip(1)
        .filter_map(|section| section.split_once('\n'))
        .filter(|(heading, _)| !heading.starts_with("How"))
        .collect();
    if found.is_empty() {
        found.push(("the policy", policy));
    }
    found
}

/// Returns the collections that a section speaks of, the most frequent first; the largest one, what the domain is mainly about,
/// before them when the section takes it for granted.
fn collections<'a>(domain: &'a Domain, rules: &str) -> Vec<&'a str> {
    let text = rules.to_lowercase();
    let mut named: Vec<(usize, &str)> = domain
        .state
        .collections()
        .filter(|name| domain.state.ids(name).next().is_some())
        .map(|name| (text.matches(name.trim_end_matches('s')).count(), name))
        .collect();
    let largest = named
        .iter()
        .map(|(_, name)| *name)
        .max_by_key(|name| domain.state.ids(name).count());
    named.retain(|(count, _)| *count > 0);
    named.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
    let mut named: Vec<&str> = named.into_iter().map(|(_, name)| name).collect();
    if let Some(largest) = largest.filter(|largest| !named.contains(largest)) {
        named.insert(0, largest);
    }
    named
}

/// Returns ids whose text values are words of the section, the best first, each of another kind where there are several.
fn fitting(
    domain: &Domain,
    collection: &str,
    rules: &str,
    seed: u64,
    number: u64,
    shown: usize,
) -> Vec<String> {
    let mut ids: Vec<(u64, &str)> = domain
        .state
        .ids(collection)
        .filter(|id| {
            let record = domain.state.get(collection, id);
            record.is_some_and(|record| domain.split_of(collection, id, record) == Split::TrainRl)
        })
        .map(|id| {
            (
                draw(&[&seed.to_string(), &number.to_string(), collection, id]),
                id,
            )
        })
        .collect();
    ids.sort_unstable();
    ids.truncate(DRAWN);
    let words: Vec<&str> = rules
        .split(|c: char| !c.is_alphanumeric())
        .filter(|w| !w.is_empty())
        .collect();
    // Scripts without spaces have no words to compare.
    let within = |v: &str| v.chars().any(is_spaceless) && rules.contains(v);
    let in_section = |value: &Value| {
        value
            .as_str()
            .is_some_and(|v| words.contains(&v) || within(v))
    };
    let mut scored: Vec<(usize, Vec<&str>, &str)> = ids
        .into_iter()
        .map(|(_, id)| {
            let fields = domain.state.get(collection, id).and_then(Value::as_object);
            let fits: Vec<&str> = fields
                .into_iter()
                .flat_map(|f| f.values())
                .filter(|v| in_section(v))
                .filter_map(Value::as_str)
                .collect();
            (fits.len(), fits, id)
        })
        .collect();
    scored.sort_by_key(|(fits, ..)| std::cmp::Reverse(*fits));
    let mut kinds = Vec::new();
    let (mut first, mut later) = (Vec::new(), Vec::new());
    for (_, fits, id) in scored {
        if kinds.contains(&fits) {
            later.push(id.to_owned());
        } else {
            kinds.push(fits);
            first.push(id.to_owned());
        }
    }
    first.into_iter().chain(later).take(shown).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn openings_of_seeds_take_turns_and_nothing_else_of_a_context_depends_on_them() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/courier/domain");
        let mut domain = Domain::load(&dir).unwrap();
        let without: Vec<PromptContext> = (0..4)
            .map(|number| PromptContext::choose(&domain, 7, number))
            .collect();
        let seed =
            |opening: &str| serde_json::from_value(serde_json::json!({ "opening": opening }));
        domain.seeds = vec![
            seed("It is wet.").unwrap(),
            seed("Who signed for it?").unwrap(),
        ];
        let mut shown = Vec::new();
        for (number, plain) in (0..).zip(without) {
            let mut context = PromptContext::choose(&domain, 7, number);
            shown.extend(context.seed.take());
            assert_eq!(context, plain);
        }
        assert!(
            shown[0] != shown[1] && shown[..2] == shown[2..],
            "{shown:?}"
        );
    }
}
