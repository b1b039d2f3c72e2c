//! The shapes that the ids of a collection have.

use std::collections::BTreeMap;

use super::{Alphabet, Piece, Shape};

/// Shorter parts - a copy's number, a seat - say which one only where nothing longer does.
const SHORT: usize = 2;

/// Returns the shapes of these ids: one for each order of signs within them that two ids have at least.
pub(super) fn shapes(ids: &[&str]) -> Vec<Shape> {
    let mut groups: BTreeMap<Vec<char>, Vec<Vec<&str>>> = BTreeMap::new();
    for id in ids {
        let signs = id.chars().filter(|c| !c.is_alphanumeric()).collect();
        let segments: Vec<&str> = id.split(|c: char| !c.is_alphanumeric()).collect();
        if segments.iter().all(|segment| !segment.is_empty()) {
            groups.entry(signs).or_default().push(segments);
        }
    }
    let groups = groups.into_iter().filter(|(_, ids)| ids.len() > 1);
    groups
        .filter_map(|(signs, ids)| shape(&signs, &ids))
        .collect()
}

/// Returns the shape of ids that have the same signs; `None` where no part of them may be replaced.
fn shape(signs: &[char], ids: &[Vec<&str>]) -> Option<Shape> {
    let letter = |segment: &&str| segment.contains(|c: char| c.is_alphabetic());
    if !signs.is_empty() && !ids.iter().flatten().any(letter) {
        // Days and amounts look like that.
        return None;
    }
    let columns: Vec<Vec<&str>> = (0..=signs.len())
        .map(|at| {
            let mut values: Vec<&str> = ids.iter().map(|segments| segments[at]).collect();
            values.sort_unstable();
            values.dedup();
            values
        })
        .collect();
    let differs = |values: &[&str]| values.len() > 1 && values.iter().any(|value| digit(value));
    let long = |values: &[&str]| values.iter().any(|value| value.len() > SHORT);
    let any_long = columns.iter().any(|values| differs(values) && long(values));
    // Without a longer part, the short one of the most values says which one it is.
    let most = columns
        .iter()
        .filter(|values| differs(values))
        .map(Vec::len)
        .max()?;
    let mut pieces = Vec::new();
    for (at, values) in columns.iter().enumerate() {
        if at > 0 {
            pieces.push(Piece::Same(signs[at - 1].to_string()));
        }
        let free = differs(values)
            && if any_long {
                long(values)
            } else {
                values.len() == most
            };
        match (values.as_slice(), free) {
            ([one], _) => pieces.push(Piece::Same((*one).to_owned())),
            (_, false) => pieces.push(Piece::Kept),
            (values, true) => pieces.extend(free_pieces(values)),
        }
    }
    Some(pieces)
}

/// Returns the pieces of a part: the letters that all begin with, then what differs.
fn free_pieces(values: &[&str]) -> Vec<Piece> {
    let first = values.first().copied().unwrap_or_default();
    let common = |length: &usize| {
        let prefix = &first[..*length];
        values
            .iter()
            .all(|v| v.len() > *length && v.starts_with(prefix))
    };
    let letters = first.bytes().take_while(u8::is_ascii_alphabetic).count();
    let prefix = (1..=letters).rev().find(common).unwrap_or(0);
    let rests: Vec<&str> = values.iter().map(|value| &value[prefix..]).collect();
    let lengths = || rests.iter().map(|rest| rest.chars().count());
    let mut pieces = Vec::new();
    if prefix > 0 {
        pieces.push(Piece::Same(first[..prefix].to_owned()));
    }
    pieces.push(Piece::Free {
        alphabet: Alphabet::of(&rests),
        least: lengths().min().unwrap_or(1),
        most: lengths().max().unwrap_or(1),
    });
    pieces
}

fn digit(text: &str) -> bool {
    text.bytes().any(|b| b.is_ascii_digit())
}

impl Alphabet {
    /// Returns the kinds of characters that these texts have: digits, hexadecimal digits, letters of either case.
    fn of(texts: &[&str]) -> Self {
        let all = || texts.iter().flat_map(|text| text.chars());
        let mut found = Self::default();
        if all().any(|c| c.is_ascii_digit()) {
            found.0.extend('0'..='9');
        }
        for (first, hex, last) in [('a', 'f', 'z'), ('A', 'F', 'Z')] {
            let most = all().filter(|c| (first..=last).contains(c)).max();
            match most {
                Some(most) if most <= hex => found.0.extend(first..=hex),
                Some(_) => found.0.extend(first..=last),
                None => {}
            }
        }
        found.0.extend(all().filter(|c| !c.is_ascii()));
        found
    }
}
