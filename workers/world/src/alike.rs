//! Values of records that are as good as each other: another one in the same place leaves every right answer as it is.
//!
//! A result in JSON shows whole records. Most of their fields decide nothing: a price or an address may be that of another
//! record. Of a field that decides, two values are alike when every condition of the templates says the same of both: a debt
//! of 12.50 and one of 40 are, where the policy asks whether it is above 10. A value that the gold uses, that is computed with,
//! or that an expression compares with another field, is like no other.

mod uses;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;

use crate::bound::text;
use crate::domain::{Domain, Results};
use crate::names::Names;
use crate::schema;
use crate::task::Split;
use crate::template::Template;
use uses::Uses;

/// Values that a field has at least, when it is a text that differs from record to record.
const MANY: usize = 50;
/// Records that have the same text, at most, on average.
const SHARED: usize = 4;
/// Characters that a number has at least, when texts say it: fewer may stand there for something else.
const SAID: usize = 4;

/// The fields whose values may be exchanged.
#[derive(Clone, Debug, Default)]
pub struct Alike {
    fields: BTreeMap<String, Field>,
    /// The values of a template's fact that decides nothing, by both names.
    choices: BTreeMap<(String, String), Vec<String>>,
}

#[derive(Clone, Debug, Default)]
struct Field {
    /// Texts of dialogues may say its values.
    said: bool,
    /// The values of all records, as JSON, each with what the conditions say of it.
    known: HashMap<String, Class>,
    /// Those of training, in order.
    training: BTreeMap<Class, Vec<Value>>,
}

/// The answers of the conditions on a field, in order.
type Class = Vec<bool>;

/// A value in the place of another.
#[derive(Clone, Debug, PartialEq)]
pub struct Other {
    /// The new value.
    pub value: Value,
    /// The words for the old one and for the new one, where texts may say them.
    pub words: Option<(String, String)>,
}

impl Alike {
    /// Returns those fields of a domain. One without templates has none, nor one whose schema has `"x-agoge-id": false` at
    /// its top.
    #[must_use]
    pub fn of(domain: &Domain, names: &Names) -> Self {
        if schema::is_nameless(&domain.schema) || domain.templates.is_empty() {
            return Self::default();
        }
        let uses = Uses::of(domain);
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
        let fields = found.into_iter().filter_map(|(field, seen)| {
            let fit = !seen.unfit && uses.allow(field, &seen);
            fit.then(|| (field.to_owned(), seen.field(field, &uses)))
        });
        Self {
            fields: fields.collect(),
            choices: domain.templates.iter().flat_map(choices).collect(),
        }
    }

    /// Returns another value for a field of a result, chosen by a number; `None` when there is none like it, or the value is
    /// that of no record. A result may have a record's number as a text.
    #[must_use]
    pub fn other(&self, field: &str, value: &Value, number: u64) -> Option<Other> {
        let field = self.fields.get(field)?;
        if let Some(new) = field.like(value, number) {
            return field.exchange(value, new, new.clone());
        }
        let written: Value = serde_json::from_str(value.as_str()?).ok()?;
        let new = field
            .like(&written, number)
            .filter(|_| written.is_number())?;
        field.exchange(&written, new, new.to_string().into())
    }

    /// Returns the words for the value of a fact, and those for another one that it may have; `None` where it decides
    /// something, or has no such values.
    #[must_use]
    pub fn choice(
        &self,
        template: &str,
        fact: &str,
        value: &str,
        number: u64,
    ) -> Option<(String, String)> {
        let choices = self.choices.get(&(template.to_owned(), fact.to_owned()))?;
        let new = nth(choices, number).filter(|_| choices.iter().any(|one| one == value))?;
        Some((value.to_owned(), new.clone()))
    }
}

impl Field {
    /// Returns a value of training like this one, chosen by a number.
    fn like(&self, value: &Value, number: u64) -> Option<&Value> {
        let class = self.known.get(&value.to_string())?;
        nth(self.training.get(class)?, number)
    }

    /// Returns the exchange of a record's value for another that results have in this form; `None` where the old one might
    /// not be found in a text.
    fn exchange(&self, old: &Value, new: &Value, value: Value) -> Option<Other> {
        let told = text(old);
        let clear = old.is_string() || (told.len() >= SAID && told.contains('.'));
        (clear || !self.said).then(|| Other {
            value,
            words: self.said.then(|| (told, text(new))),
        })
    }
}

/// Returns one of several, chosen by a number.
fn nth<T>(of: &[T], number: u64) -> Option<&T> {
    let index = number % of.len().max(1) as u64;
    of.get(usize::try_from(index).ok()?)
}

/// Returns the values of those facts of a template that are chosen from words, and that no condition, computed value or
/// loop uses.
fn choices(template: &Template) -> impl Iterator<Item = ((String, String), Vec<String>)> {
    let used = template.judged_names();
    let free = template
        .facts
        .iter()
        .filter(move |(name, _)| !used.contains(name.as_str()));
    free.filter_map(|(name, fact)| {
        let of = |value: &Value| {
            value
                .as_str()
                .filter(|text| worded(text))
                .map(str::to_owned)
        };
        let words: Vec<String> = fact
            .one_of
            .as_ref()?
            .iter()
            .map(of)
            .collect::<Option<_>>()?;
        Some(((template.name.clone(), name.clone()), words))
    })
}

/// The values of a field.
#[derive(Default)]
struct Seen {
    records: usize,
    /// By their JSON.
    known: BTreeMap<String, Value>,
    /// The JSON of those of training.
    training: BTreeSet<String>,
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
            self.training.insert(written.clone());
        }
        self.known.insert(written, value.clone());
    }

    /// Returns true for texts that differ from record to record, such as titles.
    fn differs(&self) -> bool {
        let values = self.known.len();
        !self.bare && values >= MANY && values.saturating_mul(SHARED) > self.records
    }

    fn field(self, name: &str, uses: &Uses<'_>) -> Field {
        let mut field = Field {
            said: uses.says(name) || self.differs(),
            ..Field::default()
        };
        for (written, value) in self.known {
            let class: Class = uses.on(name).map(|one| one.admits(&value)).collect();
            if self.training.contains(&written) {
                let like = field.training.entry(class.clone()).or_default();
                like.push(value);
            }
            field.known.insert(written, class);
        }
        field
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A library of one template, with books by number.
    fn alike() -> Alike {
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/courier/domain");
        let mut domain = Domain::load(std::path::Path::new(dir)).unwrap();
        domain.id_lengths.clear();
        domain.schema = json!({});
        let books: serde_json::Map<String, Value> = (0..100)
            .map(|n| {
                let kind = if n % 2 == 0 { "new" } else { "worn" };
                let book = json!({
                    "title": format!("The Book of {n}"), "price": n, "waiting": n % 5, "shelf": format!("{}", n % 7),
                    "copy": format!("bk_{n:03}"), "tags": ["x"], "owner": format!("Ann {n}"), "kind": kind,
                    "fee": f64::from(n) + 0.25, "lent": n % 3, "at": if n % 4 == 0 { "north" } else { "south" }, "days": n % 9,
                });
                (format!("bk_{n:03}"), book)
            })
            .collect();
        domain.state = agoge_sandbox::State::from_json(json!({"books": books})).unwrap();
        let template = r#"
name: keep
topic: [keep]
facts:
  book: { record: books, by: [owner], asked: [book], question: ["which?"], answers: ["{book.owner}"] }
  place: { one_of: [north, south], asked: [where], question: ["where?"], answers: ["{place}"] }
  size: { one_of: [large, small], asked: [size], question: ["how large?"], answers: ["{size}"] }
branches:
  - name: ok
    where: ["book.waiting > 1", "book.fee <= 40", "book.kind == new", "book.lent + 1 < 3", "size == large"]
    gold: [{ keep: { book: "{book}", days: "{book.days}", place: "{place}" } }]
    outputs: ["{book.fee}"]
    say: ["{book.title}: {book.fee}"]
wordings:
  - { name: plain, open: ["keep {book.owner} at {place}"] }
  - { name: short, hold: [place], open: ["keep {book.owner}"] }
"#;
        domain.templates = vec![Template::parse("keep.yaml", template).unwrap()];
        Alike::of(&domain, &Names::of(&domain))
    }

    #[test]
    fn idle_and_judged_values_and_titles_are_exchanged_but_no_ids_and_nothing_told_computed_or_used()
     {
        let alike = alike();
        let fields: Vec<&str> = alike.fields.keys().map(String::as_str).collect();
        assert_eq!(
            fields,
            ["fee", "kind", "price", "shelf", "title", "waiting"]
        );
    }

    #[test]
    fn a_value_is_exchanged_for_one_of_training_of_which_the_conditions_say_the_same() {
        let alike = alike();
        assert_eq!(alike.other("price", &json!(100_000), 1), None);
        assert_eq!(alike.other("lent", &json!(1), 1), None);
        let mut waiting = BTreeSet::new();
        for number in 0..300 {
            let price = alike.other("price", &json!(7), number).unwrap();
            assert_eq!(price.words, None);
            let few = alike.other("waiting", &json!(1), number).unwrap().value;
            assert!(few.as_u64().unwrap() <= 1);
            waiting.insert(
                alike
                    .other("waiting", &json!(3), number)
                    .unwrap()
                    .value
                    .to_string(),
            );
            let fee = alike.other("fee", &json!(50.25), number).unwrap();
            assert!(fee.value.as_f64().unwrap() > 40.0);
            assert_eq!(fee.words, Some(("50.25".into(), text(&fee.value))));
            let written = alike.other("fee", &json!("50.25"), number).unwrap();
            assert_eq!(written.value, fee.value.to_string());
            // Too short to be found in a text.
            assert_eq!(alike.other("fee", &json!(0), number), None);
            assert_eq!(
                alike.other("kind", &json!("new"), number).unwrap().value,
                "new"
            );
        }
        assert_eq!(waiting.into_iter().collect::<Vec<_>>(), ["2", "3", "4"]);
    }

    #[test]
    fn a_fact_has_another_of_its_values_unless_a_condition_asks_for_it() {
        let alike = alike();
        let places: BTreeSet<String> = (0..20)
            .map(|number| alike.choice("keep", "place", "north", number).unwrap().1)
            .collect();
        assert_eq!(places.into_iter().collect::<Vec<_>>(), ["north", "south"]);
        assert_eq!(alike.choice("keep", "place", "elsewhere", 1), None);
        assert_eq!(alike.choice("keep", "size", "large", 1), None);
    }

    #[test]
    fn no_value_of_a_held_out_record_comes_up() {
        let alike = alike();
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/courier/domain");
        let domain = Domain::load(std::path::Path::new(dir)).unwrap();
        for number in 0..300 {
            let other = alike.other("price", &json!(7), number).unwrap().value;
            let id = format!("bk_{:03}", other.as_u64().unwrap());
            assert_ne!(domain.split_of("books", &id, &Value::Null), Split::Heldout);
        }
    }
}
