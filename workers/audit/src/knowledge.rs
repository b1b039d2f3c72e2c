//! The values that an agent can learn in a task: from the user, the policy, the tools, the results of calls, and the records
//! that those lead to. The approximation is generous: what it does not hold, no agent can know.

use std::collections::{BTreeMap, HashMap, HashSet};

use agoge_world::Domain;
use serde_json::Value;

/// Steps from a named record to those that it names, and so on.
const STEPS: usize = 4;
/// Records that are followed in one task; a task about more is about everything.
const RECORDS: usize = 4000;
/// Numbers that sums and differences are made of.
const NUMBERS: usize = 400;
/// The length from which a value with a digit or an `@` names a record alone, such as a telephone number.
const STRONG: usize = 6;
/// Records of a collection that two values together may fit, at least, and as a share, to count as a way to find them.
const FEW: (usize, f64) = (5, 0.05);
/// Texts in a row that may be one value, such as a first and a last name.
const GRAM: usize = 3;

/// The records of a domain by their ids, and by the texts in them.
#[derive(Debug, Default)]
pub(crate) struct Index<'a> {
    records: Vec<(&'a str, &'a str, &'a Value)>,
    ids: HashMap<String, Vec<usize>>,
    texts: HashMap<String, Vec<usize>>,
    sizes: HashMap<&'a str, usize>,
}

impl<'a> Index<'a> {
    /// Reads a domain's state.
    pub fn of(domain: &'a Domain) -> Self {
        let mut index = Self::default();
        for collection in domain.state.collections() {
            for id in domain.state.ids(collection) {
                let Some(record) = domain.state.get(collection, id) else {
                    continue;
                };
                let at = index.records.len();
                index.records.push((collection, id, record));
                *index.sizes.entry(collection).or_default() += 1;
                if !id.is_empty() {
                    index.ids.entry(folded(id)).or_default().push(at);
                }
                let mut texts = Vec::new();
                leaves(record, &mut |leaf| {
                    if let Value::String(text) = leaf
                        && text.len() >= 3
                        && text.len() <= 80
                    {
                        texts.push(words(text).join(" "));
                    }
                });
                texts.sort();
                texts.dedup();
                for text in texts {
                    index.texts.entry(text).or_default().push(at);
                }
            }
        }
        index
    }

    /// Returns the records that a person's words single out by what stands in them.
    fn described(&self, said: &[String]) -> Vec<usize> {
        let mut by_record: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
        let mut heard = HashSet::new();
        for length in 1..=GRAM {
            for part in said.windows(length) {
                let part = part.join(" ");
                let Some((text, records)) = self.texts.get_key_value(&part) else {
                    continue;
                };
                if !heard.insert(part) {
                    continue;
                }
                for at in records {
                    by_record.entry(*at).or_default().push(text);
                }
            }
        }
        // How many records of a collection fit the same values.
        let mut alike: HashMap<(&str, &[&str]), usize> = HashMap::new();
        for (at, fits) in &by_record {
            *alike
                .entry((self.records[*at].0, fits.as_slice()))
                .or_default() += 1;
        }
        let found = by_record.iter().filter(|(at, fits)| {
            let collection = self.records[**at].0;
            let size = self.sizes.get(collection).copied().unwrap_or_default();
            let few = FEW.0.max((size as f64 * FEW.1) as usize);
            let count = alike.get(&(collection, fits.as_slice())).copied();
            let strong = fits.iter().any(|text| is_strong(text));
            count.is_some_and(|count| count <= few) && (fits.len() >= 2 || strong)
        });
        found.map(|(at, _)| *at).collect()
    }
}

/// The values that can be learnt so far.
#[derive(Clone, Debug)]
pub(crate) struct Known<'a> {
    index: &'a Index<'a>,
    words: HashSet<String>,
    numbers: Vec<i64>,
    known_numbers: HashSet<i64>,
    text: String,
    read: HashSet<usize>,
    fresh: Vec<String>,
}

impl<'a> Known<'a> {
    /// Nothing yet.
    pub fn new(index: &'a Index<'a>) -> Self {
        Self {
            index,
            words: HashSet::new(),
            numbers: Vec::new(),
            known_numbers: HashSet::new(),
            text: String::new(),
            read: HashSet::new(),
            fresh: Vec::new(),
        }
    }

    /// Adds a text that leads to no record, such as the policy.
    pub fn learn(&mut self, text: &str) {
        for word in words(text) {
            self.word(word);
        }
        self.text.push_str(&text.to_lowercase());
        self.text.push('\n');
        self.fresh.clear();
    }

    /// Adds the words of the user, and the records that they single out.
    pub fn hear(&mut self, text: &str) {
        let said = words(text);
        for at in self.index.described(&said) {
            self.record(at);
        }
        self.result(text);
    }

    /// Adds a result, and the records that it names.
    pub fn result(&mut self, text: &str) {
        match serde_json::from_str::<Value>(text) {
            Ok(value) if value.is_object() || value.is_array() => self.value(&value),
            _ => {
                self.text.push_str(&text.to_lowercase());
                self.text.push('\n');
                for word in words(text) {
                    self.word(word);
                }
            }
        }
        self.follow();
    }

    /// Returns true when a word is known as it is.
    pub fn holds(&self, word: &str) -> bool {
        let word = folded(word);
        let same = |number| self.known_numbers.contains(&number);
        self.words.contains(&word) || number(&word).is_some_and(same) || self.text.contains(&word)
    }

    /// Returns true when a word is known as it is, or is a number that follows from known ones.
    pub fn has(&self, word: &str) -> bool {
        self.holds(word) || number(&folded(word)).is_some_and(|number| self.derives(number))
    }

    /// Returns true when every word of a text is known.
    pub fn has_all(&self, text: &str) -> bool {
        let words = words(text);
        words.iter().all(|word| self.has(word)) || self.text.contains(&text.to_lowercase())
    }

    /// Returns true when a number is known, or is a sum, a difference or a small multiple of known ones. Amounts are in
    /// hundredths.
    fn derives(&self, wanted: i64) -> bool {
        let has = |number: i64| self.known_numbers.contains(&number);
        if has(wanted) || has(wanted.saturating_neg()) {
            return true;
        }
        let first = &self.numbers[..self.numbers.len().min(NUMBERS)];
        for times in 1..=9_i64 {
            if wanted % times != 0 {
                continue;
            }
            let part = wanted / times;
            let sum = |one: &i64| {
                has(part.saturating_sub(*one)) || has(part.saturating_add(*one)) || part == *one
            };
            if first.iter().any(sum) {
                return true;
            }
        }
        let few = &first[..first.len().min(60)];
        let three = few.iter().enumerate().any(|(at, one)| {
            let rest = wanted.saturating_sub(*one);
            few[at..].iter().any(|two| has(rest.saturating_sub(*two)))
        });
        // A share of an amount, such as a fee of 10 percent.
        three
            || first.iter().any(|one| {
                [10, 20, 25, 50]
                    .iter()
                    .any(|p| one.saturating_mul(*p) / 100 == wanted)
            })
    }

    fn word(&mut self, word: String) {
        if let Some(number) = number(&word) {
            self.number(number);
        }
        if !self.words.contains(&word) {
            self.fresh.push(word.clone());
            self.words.insert(word);
        }
    }

    fn number(&mut self, number: i64) {
        if self.known_numbers.insert(number) {
            self.numbers.push(number);
        }
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::String(text) => {
                self.text.push_str(&text.to_lowercase());
                self.text.push('\n');
                for word in words(text) {
                    self.word(word);
                }
            }
            Value::Number(number) => {
                if let Some(number) = hundredths(number.as_f64()) {
                    self.number(number);
                }
                self.word(number.to_string());
            }
            Value::Array(items) => {
                self.counts(items.len(), items.iter());
                items.iter().for_each(|item| self.value(item));
            }
            Value::Object(map) => {
                self.counts(map.len(), map.values());
                for (key, item) in map {
                    for word in words(key) {
                        self.word(word);
                    }
                    self.value(item);
                }
            }
            Value::Bool(_) | Value::Null => {}
        }
    }

    /// Adds what a person counts: the items, and those of them that have a value in common.
    fn counts<'v>(&mut self, length: usize, items: impl Iterator<Item = &'v Value>) {
        let mut alike: HashMap<String, i64> = HashMap::new();
        for item in items {
            let Value::Object(fields) = item else {
                continue;
            };
            for (key, value) in fields {
                if value.is_boolean() || value.as_str().is_some_and(|text| text.len() < 20) {
                    *alike.entry(format!("{key}={value}")).or_default() += 1;
                }
            }
        }
        let length = i64::try_from(length).unwrap_or(i64::MAX);
        for count in alike.into_values().chain([length]) {
            self.number(count.saturating_mul(100));
        }
    }

    fn record(&mut self, at: usize) {
        if self.read.len() < RECORDS && self.read.insert(at) {
            let (_, id, record) = self.index.records[at];
            self.word(folded(id));
            self.value(record);
        }
    }

    /// Reads the records that new words name, and those that they name.
    fn follow(&mut self) {
        for _ in 0..STEPS {
            let fresh = std::mem::take(&mut self.fresh);
            let named = fresh.iter().filter_map(|word| self.index.ids.get(word));
            let named: Vec<usize> = named.flatten().copied().collect();
            if named.is_empty() {
                return;
            }
            named.into_iter().for_each(|at| self.record(at));
        }
        self.fresh.clear();
    }
}

/// Calls `each` with every value that holds no other.
pub(crate) fn leaves<'v>(value: &'v Value, each: &mut dyn FnMut(&'v Value)) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| leaves(item, each)),
        Value::Object(map) => map.values().for_each(|item| leaves(item, each)),
        leaf => each(leaf),
    }
}

/// Returns the words of a text in small letters: ids, numbers, dates and addresses stay whole.
pub(crate) fn words(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.to_lowercase().chars().collect();
    let between_digits = |at: usize| {
        let digit = |at: Option<usize>| {
            at.and_then(|at| chars.get(at))
                .is_some_and(char::is_ascii_digit)
        };
        digit(at.checked_sub(1)) && digit(at.checked_add(1))
    };
    let mut cleaned = String::with_capacity(text.len());
    for (at, c) in chars.iter().enumerate() {
        match c {
            // A comma between thousands.
            ',' if between_digits(at) => {}
            c if c.is_alphanumeric() || "_#@.-+/:".contains(*c) => cleaned.push(*c),
            _ => cleaned.push(' '),
        }
    }
    let bare = |word: &str| {
        let word = word.trim_matches(['.', '-', '+', '/', ':']);
        word.strip_prefix('#').unwrap_or(word).to_owned()
    };
    let found = cleaned.split_whitespace().map(bare);
    found.filter(|word| !word.is_empty()).collect()
}

/// Returns an id as [`words`] writes it.
fn folded(id: &str) -> String {
    id.trim().to_lowercase().trim_start_matches('#').to_owned()
}

fn is_strong(text: &str) -> bool {
    text.len() >= STRONG && (text.contains('@') || text.chars().any(|c| c.is_ascii_digit()))
}

/// Returns the number that a word is, in hundredths.
fn number(word: &str) -> Option<i64> {
    hundredths(word.parse().ok())
}

fn hundredths(number: Option<f64>) -> Option<i64> {
    let number = number.filter(|number| number.is_finite() && number.abs() < 1e12)?;
    Some((number * 100.0).round() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_keep_ids_amounts_and_addresses_whole() {
        assert_eq!(
            words("Order #W217, $1,250.50 to ann_lee@x.org (May 5)."),
            [
                "order",
                "w217",
                "1250.50",
                "to",
                "ann_lee@x.org",
                "may",
                "5"
            ]
        );
    }

    #[test]
    fn sums_and_multiples_of_known_amounts_can_be_known_and_others_not() {
        let index = Index::default();
        let mut known = Known::new(&index);
        known.result("{\"price\": 120, \"bag\": 35.5}");
        for reachable in ["120", "155.5", "84.50", "240", "311"] {
            assert!(known.has(reachable), "{reachable}");
        }
        for other in ["7413", "w99", "zebra"] {
            assert!(!known.has(other), "{other}");
        }
    }
}
