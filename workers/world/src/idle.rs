//! Fields of records that decide nothing: those that no template names, and texts that are as good as names.
//!
//! A result in JSON shows whole records. Whatever else stands in one - a price, an address, a day - may be that of another
//! record, and the right answer stays the same.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde_json::Value;

use crate::domain::{Domain, Results};
use crate::names::Names;
use crate::schema;
use crate::task::Split;
use crate::template::Template;

/// Values that a field has at least, when it is a text that differs from record to record.
const MANY: usize = 50;
/// Records that have the same text, at most, on average.
const SHARED: usize = 4;

/// The fields that decide nothing, with the values that they have.
#[derive(Clone, Debug, Default)]
pub struct Idle {
    fields: BTreeMap<String, Field>,
}

#[derive(Clone, Debug, Default)]
struct Field {
    /// The values of all records, as JSON.
    known: HashSet<String>,
    /// Those of training, in order.
    training: Vec<Value>,
}

impl Idle {
    /// Returns those fields of a domain. One without templates has none, nor one whose schema has `"x-agoge-id": false` at
    /// its top.
    #[must_use]
    pub fn of(domain: &Domain, names: &Names) -> Self {
        let off = domain.schema.get(schema::ID_MARK) == Some(&Value::Bool(false));
        if off || domain.templates.is_empty() {
            return Self::default();
        }
        let named = named(domain);
        let told: HashSet<&str> = (domain.templates.iter())
            .flat_map(|template| template.facts.values())
            .flat_map(|fact| fact.by.0.iter().map(String::as_str))
            .collect();
        let mut found: BTreeMap<&str, Seen> = BTreeMap::new();
        for collection in domain.state.collections() {
            for id in domain.state.ids(collection) {
                let Some(record) = domain.state.get(collection, id) else {
                    continue;
                };
                let training = domain.split_of(collection, id, record) != Split::Heldout;
                for (field, value) in record.as_object().into_iter().flatten() {
                    let seen = found.entry(field.as_str()).or_default();
                    seen.add(value, training, names, domain.results);
                }
            }
        }
        let idle = found.into_iter().filter(|(field, seen)| {
            let free = !named.contains(*field) || seen.differs();
            free && !seen.unfit && !told.contains(field) && seen.training.len() > 1
        });
        Self {
            fields: idle
                .map(|(field, seen)| (field.to_owned(), seen.field()))
                .collect(),
        }
    }

    /// Returns another value for a field of a result, chosen by a number; `None` when the field decides something, or the
    /// value is that of no record.
    #[must_use]
    pub fn other(&self, field: &str, value: &Value, number: u64) -> Option<&Value> {
        let field = self.fields.get(field)?;
        if !field.known.contains(&value.to_string()) {
            return None;
        }
        let index = number % field.training.len().max(1) as u64;
        field.training.get(usize::try_from(index).ok()?)
    }
}

/// The values of a field.
#[derive(Default)]
struct Seen {
    records: usize,
    known: HashSet<String>,
    training: BTreeMap<String, Value>,
    /// The field holds ids, or more than one value.
    unfit: bool,
    /// Some value is not a text with letters.
    bare: bool,
}

impl Seen {
    fn add(&mut self, value: &Value, training: bool, names: &Names, results: Results) {
        self.records += 1;
        self.unfit |= match value {
            Value::Array(_) | Value::Object(_) => true,
            Value::String(text) => names.knows(text) || !names.find(text).is_empty(),
            _ => false,
        };
        self.bare |= !value.as_str().is_some_and(worded);
        if self.unfit || !value.as_str().is_none_or(|text| plain(text, results)) {
            return;
        }
        let written = value.to_string();
        if training {
            self.training.insert(written.clone(), value.clone());
        }
        self.known.insert(written);
    }

    /// Returns true for texts that differ from record to record, such as titles.
    fn differs(&self) -> bool {
        let values = self.known.len();
        !self.bare && values >= MANY && values.saturating_mul(SHARED) > self.records
    }

    fn field(self) -> Field {
        Field {
            known: self.known,
            training: self.training.into_values().collect(),
        }
    }
}

/// Returns true for a text that has letters and is too long to stand in other words by accident.
fn worded(text: &str) -> bool {
    text.chars().count() > 3 && text.contains(char::is_alphabetic)
}

/// Returns true for a text that JSON writes as it is.
fn plain(text: &str, results: Results) -> bool {
    let fine = |c: char| match results {
        Results::Json => (' '..='~').contains(&c),
        Results::Text => !c.is_control(),
    };
    text.chars().all(|c| fine(c) && c != '"' && c != '\\')
}

/// Returns the fields that the templates and their checks name: words after a dot, words in quotes, as Python has them, and
/// the field of `records(orders, customer, ..)`.
fn named(domain: &Domain) -> BTreeSet<String> {
    let letter = |c: char| c.is_alphanumeric() || c == '_';
    let mut found = BTreeSet::new();
    let scripts = domain.templates.iter().flat_map(Template::scripts);
    let texts = domain
        .templates
        .iter()
        .map(|template| template.text.as_str());
    for text in texts.chain(scripts) {
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_that_no_template_names_are_idle_and_so_are_titles_but_no_ids_and_nothing_told() {
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/courier/domain");
        let mut domain = Domain::load(std::path::Path::new(dir)).unwrap();
        domain.id_lengths.clear();
        domain.schema = json!({});
        let books: serde_json::Map<String, Value> = (0..100)
            .map(|n| {
                let kind = if n % 2 == 0 { "new" } else { "worn" };
                let book = json!({
                    "title": format!("The Book of {n}"), "price": n, "waiting": n % 3, "shelf": format!("{}", n % 7),
                    "copy": format!("bk_{n:03}"), "tags": ["x"], "owner": format!("Ann {n}"), "kind": kind,
                });
                (format!("bk_{n:03}"), book)
            })
            .collect();
        domain.state = agoge_sandbox::State::from_json(json!({"books": books})).unwrap();
        domain.templates.truncate(1);
        domain.templates[0].text =
            "where: [\"book.waiting > 0\", \"book.kind == new\"]\nsay: \"{book.title} of {book.owner}\"".into();
        let fact = domain.templates[0].facts.values_mut().next().unwrap();
        fact.by.0 = vec!["owner".into()];
        let idle = Idle::of(&domain, &Names::of(&domain));
        let fields: Vec<&str> = idle.fields.keys().map(String::as_str).collect();
        assert_eq!(fields, ["price", "shelf", "title"]);
        assert_eq!(idle.other("price", &json!(100_000), 1), None);
        assert_eq!(idle.other("waiting", &json!(1), 1), None);
        for number in 0..300 {
            let other = idle.other("price", &json!(7), number).unwrap();
            let id = format!("bk_{:03}", other.as_u64().unwrap());
            assert_ne!(domain.split_of("books", &id, &Value::Null), Split::Heldout);
        }
    }
}
