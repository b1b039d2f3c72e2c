//! The words, numbers and signs of a text, in their order.
//!
//! A number stands alone (`3`), between signs (`$12.50/month`), before a unit (`3kg`, `3-day`) or after a currency
//! (`EUR12.50`). Dates, times, versions and ranges (`2024-05-03`, `12:30`, `3-5`) and names with digits (`P-12`, `10233A`)
//! are words: nothing is said by a part of them. Scripts that put no spaces between words give one token a grapheme.

use unicode_normalization::char::is_combining_mark;
use unicode_segmentation::UnicodeSegmentation;

use super::fold::GROUP;
use super::{number, unit};

/// Signs after a digit that multiply it: 3万 is not 3.
const MAGNITUDES: &str = "万萬亿億兆千百";
/// Signs that bind two numbers to a date or a time.
const DATE_SIGNS: &str = "年月時时点點";

/// One piece of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// An amount.
    Number {
        /// The values it can have, the likeliest first: see [`number::readings`].
        values: Vec<String>,
        /// The signs of the currencies beside it.
        currencies: Vec<char>,
    },
    /// A currency, by its sign or code.
    Currency(char),
    /// A word, or a name with digits.
    Word(String),
    /// A sign that a name may have, such as the last of `C#`.
    Sign(char),
}

/// Returns the tokens of folded characters. With `spaced`, a space between groups of digits is part of their number.
pub(super) fn tokens(chars: &[char], spaced: bool) -> Vec<Token> {
    let scan = Scan { chars, spaced };
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(c) = chars.get(at).copied() {
        if is_spaceless(c) {
            at = scan.graphemes(at, &mut found);
        } else if is_letter(c) {
            at = scan.chunk(at, &mut found);
        } else {
            let before_word = chars.get(at + 1).is_some_and(|next| is_letter(*next));
            if let Some(currency) = unit::sign(c) {
                found.push(Token::Currency(currency));
            } else if is_sign(c) && !(before_word && matches!(c, '#' | '+')) {
                found.push(Token::Sign(c));
            }
            at += 1;
        }
    }
    attach(&mut found);
    found
}

/// Returns true when a space may be part of a number somewhere.
pub(super) fn has_spaced_digits(chars: &[char]) -> bool {
    chars
        .windows(3)
        .any(|w| w[0].is_ascii_digit() && w[1] == ' ' && w[2].is_ascii_digit())
}

/// Adds to each number the currencies right before and after it.
fn attach(tokens: &mut [Token]) {
    let currency = |token: Option<&Token>| match token {
        Some(Token::Currency(sign)) => Some(*sign),
        _ => None,
    };
    for at in 0..tokens.len() {
        let before = at
            .checked_sub(1)
            .and_then(|before| currency(tokens.get(before)));
        let after = currency(tokens.get(at + 1));
        if let Token::Number { currencies, .. } = &mut tokens[at] {
            currencies.extend(before.into_iter().chain(after));
        }
    }
}

/// Returns true for letters, marks and digits of scripts that put no spaces between words, or attach particles to them:
/// Chinese, Japanese, Korean, Thai, Lao, Khmer, Burmese.
#[must_use]
pub fn is_spaceless(c: char) -> bool {
    let block = matches!(u32::from(c),
        0xe00..=0xeff | 0x1000..=0x109f | 0x1100..=0x11ff | 0x1780..=0x17ff | 0x2e80..=0x2fdf
        | 0x3005..=0x3007 | 0x3021..=0x312f | 0x3130..=0x318f | 0x31a0..=0x31ff | 0x3400..=0x4dbf
        | 0x4e00..=0x9fff | 0xa960..=0xa97f | 0xac00..=0xd7ff | 0xf900..=0xfaff | 0x20000..=0x3ffff);
    block && (c.is_alphanumeric() || is_combining_mark(c))
}

/// Returns true for a letter, digit or mark of any other script.
fn is_letter(c: char) -> bool {
    let inner = c.is_alphanumeric() || (!c.is_ascii() && is_combining_mark(c));
    inner && !is_spaceless(c)
}

/// Returns true for signs that belong to a name or a meaning; all others are punctuation.
fn is_sign(c: char) -> bool {
    matches!(
        c,
        '+' | '#' | '%' | '&' | '@' | '=' | '^' | '°' | '©' | '®' | '±' | '×' | '÷' | '‰'
    ) || matches!(u32::from(c), 0x2190..=0x2bff | 0x1f000..=0x1faff)
}

struct Scan<'a> {
    chars: &'a [char],
    spaced: bool,
}

impl Scan<'_> {
    fn is_digit(&self, at: usize) -> bool {
        self.chars.get(at).is_some_and(char::is_ascii_digit)
    }

    fn is_letter(&self, at: usize) -> bool {
        self.chars.get(at).is_some_and(|c| is_letter(*c))
    }

    /// Reads a run of a script without spaces and returns its end.
    fn graphemes(&self, start: usize, found: &mut Vec<Token>) -> usize {
        let inner = |c: &&char| is_spaceless(**c) || is_combining_mark(**c);
        let run: String = self.chars[start..].iter().take_while(inner).collect();
        let graphemes = run
            .graphemes(true)
            .map(|grapheme| Token::Word(grapheme.into()));
        found.extend(graphemes);
        start + run.chars().count()
    }

    /// Reads letters and digits with what binds them, and returns their end.
    fn chunk(&self, start: usize, found: &mut Vec<Token>) -> usize {
        let mut end = start + 1;
        while self.is_letter(end) || self.binds(end) {
            end += 1;
        }
        let chunk = &self.chars[start..end];
        let head = chunk.iter().take_while(|c| !c.is_ascii_digit()).count();
        let (head, rest) = chunk.split_at(head);
        let core = rest
            .iter()
            .take_while(|c| c.is_ascii_digit() || !is_letter(**c));
        let (core, tail) = rest.split_at(core.count());
        let text = |part: &[char]| part.iter().collect::<String>();
        let (before, after) = (text(head), text(tail));
        // Of scripts without case, a letter before a number is a word of its own: `و3`.
        let caseless = head
            .last()
            .is_some_and(|c| !c.is_lowercase() && c.is_alphabetic());
        let only_letters = tail.iter().all(|c| is_letter(*c) && !c.is_ascii_digit());
        let multiplied = self.chars.get(end).is_some_and(|c| MAGNITUDES.contains(*c));
        let amount = !core.is_empty()
            && !multiplied
            && only_letters
            && (unit::may_precede(&before) || caseless)
            && unit::may_follow(&after);
        let values = if amount {
            self.values(start, core, head.is_empty())
        } else {
            None
        };
        match values {
            Some(values) => {
                found.extend(word(before));
                found.push(Token::Number {
                    values,
                    currencies: Vec::new(),
                });
                found.extend(word(after));
            }
            // A time or a date with letters at its end: `12:30pm`.
            None if head.is_empty() && only_letters && tail.len() > 1 && core.len() > 1 => {
                found.push(Token::Word(text(core)));
                found.push(Token::Word(after));
            }
            None => found.push(whole(text(chunk))),
        }
        end
    }

    /// The values of an amount whose digits begin at `start` unless letters stand before them, with the sign and the
    /// point before it.
    fn values(&self, start: usize, core: &[char], bare: bool) -> Option<Vec<String>> {
        let before = |back: usize| {
            start
                .checked_sub(back)
                .and_then(|at| self.chars.get(at))
                .copied()
        };
        let outside =
            |c: Option<char>| c.is_none_or(|c| !is_letter(c) && !matches!(c, '.' | '-' | ')'));
        if bare
            && before(1) == Some('.')
            && outside(before(2))
            && core.iter().all(char::is_ascii_digit)
        {
            let decimal: Vec<char> = "0.".chars().chain(core.iter().copied()).collect();
            return number::readings(&decimal);
        }
        let minus = match (before(1), before(2)) {
            (Some('-'), _) => outside(before(2)),
            (Some(sign), Some('-')) => unit::sign(sign).is_some() && outside(before(3)),
            _ => false,
        };
        let signed = |value: String| match minus && value != "0" {
            true => format!("-{value}"),
            false => value,
        };
        let values = number::readings(core)?;
        Some(values.into_iter().map(signed).collect())
    }

    /// Returns true when the sign at `at` binds what is before and after it to one piece.
    fn binds(&self, at: usize) -> bool {
        let Some(c) = self.chars.get(at).copied() else {
            return false;
        };
        let (before, after) = (self.is_digit(at - 1), self.is_digit(at + 1));
        match c {
            '.' | ',' | ':' | '\'' | '~' | '\u{2044}' => before && after,
            '/' | '^' => after,
            '-' => after || (before && self.ends_name(at + 1)),
            '_' | '@' => self.is_letter(at + 1),
            ' ' => self.spaced && self.groups(at),
            GROUP => self.groups(at),
            c => DATE_SIGNS.contains(c) && before && after,
        }
    }

    /// Returns true when what stands at `at` can end a name but is no unit: a single letter, or letters with digits, as in
    /// `10233-B` and `17-c2`.
    fn ends_name(&self, at: usize) -> bool {
        let run = self.chars.iter().skip(at).take_while(|c| is_letter(**c));
        let (mut length, mut digits) = (0, 0);
        for c in run {
            length += 1;
            digits += usize::from(c.is_ascii_digit());
        }
        length == 1 || digits > 0
    }

    /// Returns true when one to three digits stand before `at` and exactly three after it.
    fn groups(&self, at: usize) -> bool {
        let before = (1..=4)
            .take_while(|back| at >= *back && self.is_digit(at - back))
            .count();
        let after = (1..=4).take_while(|on| self.is_digit(at + on)).count();
        (1..=3).contains(&before) && after == 3
    }
}

/// The word beside a number, if there is one.
fn word(text: String) -> Option<Token> {
    if text.is_empty() {
        return None;
    }
    Some(unit::touching(&text).map_or(Token::Word(text), Token::Currency))
}

/// A whole piece: the code of a currency, or a word.
fn whole(text: String) -> Token {
    unit::code(&text).map_or(Token::Word(text), Token::Currency)
}
