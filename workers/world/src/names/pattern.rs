//! The patterns by which a schema marks ids, such as `^[0-9]{5}$` or `^dev_[0-9a-f]{4}$`.

use super::{Alphabet, Piece, Shape};

/// Digits of an id that is nothing else.
const DIGITS: std::ops::RangeInclusive<usize> = 4..=18;

/// An id that a schema marks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mark(Shape);

impl Mark {
    /// Reads a pattern of fixed characters, classes, and numbers of either in braces. `None`: it is another pattern, or a
    /// number of digits too few to be a name.
    pub fn read(pattern: &str) -> Option<Self> {
        let mut rest = pattern.strip_prefix('^')?.strip_suffix('$')?;
        let mut pieces: Shape = Vec::new();
        while !rest.is_empty() {
            let (set, after) = set(rest)?;
            let (least, most, after) = times(after)?;
            rest = after;
            match (set.as_slice(), least == most) {
                ([one], true) => same(&mut pieces, &one.to_string().repeat(least)),
                _ => pieces.push(Piece::Free {
                    alphabet: Alphabet(set.iter().copied().collect()),
                    least,
                    most,
                }),
            }
        }
        let mark = Self(pieces);
        let named = match mark.digits() {
            Some((least, most)) => least == most && DIGITS.contains(&most),
            None => (mark.0.iter()).any(|piece| matches!(piece, Piece::Free { .. })),
        };
        // Letters alone are words.
        let letters = mark.0.iter().all(|piece| match piece {
            Piece::Free { alphabet, .. } => alphabet.chars().all(|c| !c.is_ascii_digit()),
            _ => true,
        });
        (named && !letters).then_some(mark)
    }

    /// Returns the number of digits of an id that is nothing else.
    pub fn length(&self) -> Option<usize> {
        self.digits().map(|(_, most)| most)
    }

    /// Returns the shape of an id that is not digits alone.
    pub(super) fn shape(self) -> Option<Shape> {
        self.digits().is_none().then_some(self.0)
    }

    fn digits(&self) -> Option<(usize, usize)> {
        match self.0.as_slice() {
            [
                Piece::Free {
                    alphabet,
                    least,
                    most,
                },
            ] if alphabet.chars().eq('0'..='9') => Some((*least, *most)),
            _ => None,
        }
    }
}

/// Adds fixed text to the pieces.
fn same(pieces: &mut Shape, text: &str) {
    match pieces.last_mut() {
        Some(Piece::Same(last)) => last.push_str(text),
        _ => pieces.push(Piece::Same(text.to_owned())),
    }
}

/// Reads one character or class. Returns the characters that it stands for, and the rest.
fn set(pattern: &str) -> Option<(Vec<char>, &str)> {
    let mut chars = pattern.chars();
    match chars.next()? {
        '\\' => match chars.next()? {
            'd' => Some((('0'..='9').collect(), chars.as_str())),
            c if c.is_alphanumeric() => None,
            c => Some((vec![c], chars.as_str())),
        },
        '[' => {
            let (inside, rest) = chars.as_str().split_once(']')?;
            Some((class(inside)?, rest))
        }
        c if "^$.|?*+(){}]".contains(c) => None,
        c => Some((vec![c], chars.as_str())),
    }
}

/// Reads a class without its brackets: characters and ranges.
fn class(inside: &str) -> Option<Vec<char>> {
    let digits = inside.replace("\\d", "0-9");
    let chars: Vec<char> = digits.chars().collect();
    let (mut at, mut found) = (0, Vec::new());
    while let Some(first) = chars.get(at) {
        if "^\\".contains(*first) {
            return None;
        }
        match (chars.get(at + 1), chars.get(at + 2)) {
            (Some('-'), Some(last)) if first <= last && last.is_ascii() => {
                found.extend(*first..=*last);
                at += 3;
            }
            _ => {
                found.push(*first);
                at += 1;
            }
        }
    }
    found.sort_unstable();
    found.dedup();
    (!found.is_empty()).then_some(found)
}

/// Reads `{n}` or `{n,m}`; one time where neither stands.
fn times(pattern: &str) -> Option<(usize, usize, &str)> {
    let Some(braced) = pattern.strip_prefix('{') else {
        return Some((1, 1, pattern));
    };
    let (inside, rest) = braced.split_once('}')?;
    let (least, most) = inside.split_once(',').unwrap_or((inside, inside));
    let (least, most) = (least.parse().ok()?, most.parse().ok()?);
    (1 <= least && least <= most && most <= 64).then_some((least, most, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_read_whole_or_refused() {
        let length = |pattern: &str| Mark::read(pattern).map(|mark| mark.length());
        assert_eq!(length("^[0-9]{5}$"), Some(Some(5)));
        assert_eq!(length(r"^\d{8}$"), Some(Some(8)));
        for named in [
            "^dev_[0-9a-f]{4}$",
            "^M-[0-9]{5}$",
            r"^HAT\d{3}$",
            r"^[A-Z0-9]{6}$",
            "^bk_[0-9]{4}-c[0-9]{1,2}$",
        ] {
            assert_eq!(length(named), Some(None), "{named}");
        }
        for bad in [
            "[0-9]{5}",
            "^[0-9]{2}$",
            "^[0-9]{4,6}$",
            "^[a-z]+$",
            "^[a-z]{4}$",
            "^(a|b)[0-9]{4}$",
            "^[^0-9]{4}$",
            r"^\w{4}$",
            "^[0-9]{5$",
            "^abc$",
            "^$",
            "^[0-9]{0,5}x$",
        ] {
            assert_eq!(length(bad), None, "{bad}");
        }
    }
}
