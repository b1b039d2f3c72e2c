//! The ids of records in texts: words of the shapes that the schema marks, or else that the ids of the state have.
//!
//! An id such as `dev_7f3a` or `bk_0417-c1` has a part that says what it is and a part that says which one. Only the latter
//! may be replaced. An id within an id, as of a book in that of its copy, is found as the same text.

use std::collections::{BTreeSet, HashSet};
use std::ops::Range;

use serde_json::Value;

use crate::domain::Domain;
use crate::schema;
use crate::task::Split;

mod learnt;
mod pattern;

pub(crate) use pattern::Mark;

/// Fewer digits are as likely an amount or a year as a name, where nothing but digits stands.
const PLAIN: usize = 5;

/// The shapes of a domain's ids.
#[derive(Clone, Debug, Default)]
pub struct Names {
    lengths: Vec<usize>,
    shapes: Vec<Shape>,
    /// Signs that stand between letters and digits of an id.
    joints: BTreeSet<char>,
    known: HashSet<String>,
    heldout: HashSet<String>,
    /// The parts of held-out ids.
    held_parts: HashSet<(Alphabet, String)>,
}

/// An id in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Its bytes.
    pub range: Range<usize>,
    /// The bytes of each part that says which one it is, and the characters of such a part.
    pub parts: Vec<(Range<usize>, Alphabet)>,
}

/// The characters that a part of an id is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Alphabet(BTreeSet<char>);

/// A piece of a shape.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Piece {
    /// This text.
    Same(String),
    /// Letters and digits that are never replaced.
    Kept,
    /// So many characters of an alphabet, which say which one it is.
    Free {
        alphabet: Alphabet,
        least: usize,
        most: usize,
    },
}

/// The pieces of an id, in order.
type Shape = Vec<Piece>;

impl Names {
    /// Returns the shapes that the schema marks by `x-agoge-id`; where it marks none, those of the state's ids. A schema
    /// with `"x-agoge-id": false` at its top has none.
    #[must_use]
    pub fn of(domain: &Domain) -> Self {
        let mut names = Self {
            lengths: domain.id_lengths.clone(),
            ..Self::default()
        };
        if schema::is_nameless(&domain.schema) {
            return names;
        }
        let marked = schema::marks(&domain.schema).unwrap_or_default();
        if marked.is_empty() {
            for collection in domain.state.collections() {
                let ids: Vec<&str> = domain.state.ids(collection).collect();
                names.shapes.extend(learnt::shapes(&ids));
            }
        } else {
            names.shapes = marked.into_iter().filter_map(Mark::shape).collect();
        }
        if names.shapes.is_empty() {
            return names;
        }
        names.shapes.sort_unstable();
        names.shapes.dedup();
        for collection in domain.state.collections() {
            for id in domain.state.ids(collection) {
                names.joints.extend(id.chars().filter(|c| joins(*c)));
                names.known.insert(id.to_owned());
                let record = domain.state.get(collection, id).unwrap_or(&Value::Null);
                if domain.split_of(collection, id, record) == Split::Heldout {
                    names.heldout.insert(id.to_owned());
                }
            }
        }
        let fixed = names
            .shapes
            .iter()
            .flatten()
            .filter_map(|piece| match piece {
                Piece::Same(text) => Some(text),
                _ => None,
            });
        let fixed = fixed.flat_map(|text| text.chars());
        names.joints.extend(fixed.filter(|c| joins(*c)));
        let mut held = HashSet::new();
        for id in &names.heldout {
            let parts = names
                .named(id, 0)
                .map(|named| named.parts)
                .unwrap_or_default();
            held.extend(
                parts
                    .into_iter()
                    .map(|(range, of)| (of, id[range].to_owned())),
            );
        }
        names.held_parts = held;
        names
    }

    /// The lengths of ids that are nothing but digits, as the schema marks them, in ascending order.
    #[must_use]
    pub fn lengths(&self) -> &[usize] {
        &self.lengths
    }

    /// Returns true when this is the id of a record.
    pub(crate) fn knows(&self, id: &str) -> bool {
        self.known.contains(id)
    }

    /// Returns true when this is the id of a record of evaluation.
    #[must_use]
    pub fn heldout(&self, id: &str) -> bool {
        self.heldout.contains(id)
    }

    /// Returns true when the id of a record of evaluation has this part.
    #[must_use]
    pub fn heldout_part(&self, of: &Alphabet, part: &str) -> bool {
        self.held_parts.contains(&(of.clone(), part.to_owned()))
    }

    /// Returns the ids in a text, in order. Those of [`Names::lengths`] are not among them.
    #[must_use]
    pub fn find(&self, text: &str) -> Vec<Named> {
        if self.shapes.is_empty() {
            return Vec::new();
        }
        self.words(text)
            .filter_map(|range| self.named(&text[range.clone()], range.start))
            .collect()
    }

    /// The words of a text: letters, digits and the signs between them that ids have.
    fn words<'a>(&'a self, text: &'a str) -> impl Iterator<Item = Range<usize>> + 'a {
        let inside = |c: char| c.is_alphanumeric() || self.joints.contains(&c);
        let mut from = 0;
        std::iter::from_fn(move || {
            let start = from + text[from..].find(char::is_alphanumeric)?;
            let end = text[start..].find(|c: char| !inside(c));
            let end = end.map_or(text.len(), |end| start + end);
            from = end;
            let word = text[start..end].trim_end_matches(|c: char| !c.is_alphanumeric());
            Some(start..start + word.len())
        })
    }

    fn named(&self, word: &str, start: usize) -> Option<Named> {
        let known = self.known.contains(word);
        // A word that no record has for a name is one when it has a digit, as names that tools make up have.
        if !known && !word.contains(|c: char| c.is_ascii_digit()) {
            return None;
        }
        let parts = self.shapes.iter().find_map(|shape| {
            let plain = matches!(shape.as_slice(), [Piece::Free { .. }]);
            let digits = word.bytes().all(|b| b.is_ascii_digit());
            let fits = !plain || known && (!digits || word.len() >= PLAIN);
            fits.then(|| parts(shape, word)).flatten()
        })?;
        let parts = parts.into_iter();
        Some(Named {
            range: start..start + word.len(),
            parts: parts
                .map(|(range, alphabet)| (start + range.start..start + range.end, alphabet))
                .collect(),
        })
    }
}

impl Alphabet {
    /// The characters, in order.
    pub fn chars(&self) -> impl ExactSizeIterator<Item = char> + '_ {
        self.0.iter().copied()
    }
}

/// Returns true for a sign that may stand within an id.
fn joins(c: char) -> bool {
    !c.is_alphanumeric() && !c.is_whitespace() && !"\"'`,;()[]{}<>=\\".contains(c)
}

/// Returns the free parts of a word of this shape.
fn parts(shape: &Shape, word: &str) -> Option<Vec<(Range<usize>, Alphabet)>> {
    let mut at = 0;
    let mut found = Vec::new();
    for piece in shape {
        let rest = &word[at..];
        let run = |of: &dyn Fn(char) -> bool, most: usize| -> (usize, usize) {
            let taken = rest.chars().take(most).take_while(|c| of(*c));
            taken.fold((0, 0), |(count, bytes), c| {
                (count + 1, bytes + c.len_utf8())
            })
        };
        at += match piece {
            Piece::Same(text) => rest.starts_with(text.as_str()).then_some(text.len())?,
            Piece::Kept => {
                let (count, bytes) = run(&|c| c.is_alphanumeric(), usize::MAX);
                (count > 0).then_some(bytes)?
            }
            Piece::Free {
                alphabet,
                least,
                most,
            } => {
                let (count, bytes) = run(&|c| alphabet.0.contains(&c), *most);
                found.push((at..at + bytes, alphabet.clone()));
                (count >= *least).then_some(bytes)?
            }
        };
    }
    (at == word.len() && !found.is_empty()).then_some(found)
}

#[cfg(test)]
mod tests;
