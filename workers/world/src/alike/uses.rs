//! The uses that templates make of the fields of records: which decide, which are said, and which are bound to a value.

use std::collections::{BTreeSet, HashSet};

use serde_json::Value;

use super::Seen;
use crate::domain::Domain;
use crate::template::{Condition, Template};

/// The uses that templates make of the fields of records.
pub(super) struct Uses<'a> {
    /// Named anywhere, also in a comment.
    named: BTreeSet<String>,
    /// Used by more than plain conditions and texts.
    bound: BTreeSet<String>,
    /// Said in texts.
    said: BTreeSet<String>,
    /// By which a user knows a record.
    told: HashSet<&'a str>,
    /// The values that facts may have.
    choices: HashSet<&'a str>,
    /// The plain conditions.
    conditions: Vec<&'a Condition>,
}

impl<'a> Uses<'a> {
    pub fn of(domain: &'a Domain) -> Self {
        let templates = || domain.templates.iter();
        let conditions = || {
            let branches = templates().flat_map(|template| &template.branches);
            branches.flat_map(|branch| &branch.conditions)
        };
        let facts = || templates().flat_map(|template| template.facts.values());
        let full = conditions().filter(|condition| condition.is_full());
        let bound = templates().flat_map(Template::bound_texts);
        let scripts = || templates().flat_map(Template::scripts);
        let texts = templates().map(|template| template.text.as_str());
        let choices = facts().flat_map(|fact| fact.one_of.iter().flatten());
        Self {
            named: named(texts.chain(scripts())),
            bound: named(bound.chain(scripts()).chain(full.map(Condition::text))),
            said: named(templates().flat_map(Template::said_texts)),
            told: facts()
                .flat_map(|fact| fact.by.0.iter().map(String::as_str))
                .collect(),
            choices: choices.filter_map(Value::as_str).collect(),
            conditions: conditions()
                .filter(|condition| !condition.is_full())
                .collect(),
        }
    }

    /// Returns true for a field whose values may be exchanged.
    pub fn allow(&self, field: &str, seen: &Seen) -> bool {
        let mut texts = seen.known.values().filter_map(Value::as_str);
        let chosen = texts.any(|text| self.choices.contains(text));
        let judged = self.on(field).next().is_some();
        let said = self.says(field);
        // Words that many records share may stand in a text for something else.
        let shared = said && seen.known.values().any(Value::is_string);
        let free = !self.named.contains(field) || judged || said;
        let plain = free && !self.bound.contains(field) && !shared && !chosen;
        (plain || seen.differs()) && !self.told.contains(field)
    }

    /// Returns true where texts say the values of a field.
    pub fn says(&self, field: &str) -> bool {
        self.said.contains(field)
    }

    /// The plain conditions on a field, whichever record has it.
    pub fn on(&self, field: &str) -> impl Iterator<Item = &'a Condition> {
        let of = move |condition: &&&Condition| condition.path.rsplit('.').next() == Some(field);
        self.conditions.iter().filter(of).copied()
    }
}

/// Returns the fields that texts name: words after a dot, words in quotes, as Python has them, and the field of
/// `records(orders, customer, ..)`.
fn named<'a>(texts: impl Iterator<Item = &'a str>) -> BTreeSet<String> {
    let letter = |c: char| c.is_alphanumeric() || c == '_';
    let mut found = BTreeSet::new();
    for text in texts {
        for (_, call) in text
            .match_indices("records(")
            .map(|(at, call)| text[at..].split_at(call.len()))
        {
            let field = call.split(',').nth(1).unwrap_or_default().trim();
            found.insert(field.to_owned());
        }
        for (at, sign) in text.match_indices(['.', '"', '\'']) {
            let after = &text[at + sign.len()..];
            let end = after.find(|c: char| !letter(c)).unwrap_or(after.len());
            let (word, rest) = after.split_at(end);
            if !word.is_empty() && (sign == "." || rest.starts_with(sign)) {
                found.insert(word.to_owned());
            }
        }
    }
    found
}
