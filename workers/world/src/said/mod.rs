//! The one rule of what counts as said: for required outputs, openings, facts, the judge of the user, and the check of a
//! domain.
//!
//! A text says a value when it has the value's words in a row, whole, or its number by value. Spelling does not matter:
//! case, composed and decomposed accents, full-width forms, typographic dashes, quotes and spaces, invisible characters,
//! punctuation between words. Numbers are compared by value in every usual form (`1,234.50`, `1.234,50`, `1 234,50`,
//! `12,34,567`, `١٢٫٥`), with or without a sign, a currency or a unit beside them; currencies only must not contradict
//! each other. A number is never said by a part of another, of a date, a time, a version, a range or a name:
//! `2024-05-03` says itself and not 3, `3-5` says neither end, `-5` is not 5.
//! Chinese, Japanese, Thai and the like put no spaces between words: there a value is said where its graphemes stand in a
//! row.

mod accident;
mod fold;
mod number;
mod sentence;
mod token;
mod unit;

pub use accident::{Accident, Accidents, said_by_accident};
pub(crate) use sentence::{is_question, sentences};
pub use token::is_spaceless;

use fold::folded;
use token::{Token, has_spaced_digits, tokens};

/// A text, read once to be asked often for what it says.
#[derive(Clone, Debug)]
pub struct Text {
    chars: Vec<char>,
    tokens: Vec<Token>,
    /// The tokens when a space between groups of digits belongs to their number; empty when that makes no difference.
    spaced: Vec<Token>,
}

impl Text {
    /// Reads a text.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let chars = folded(text);
        let spaced = if has_spaced_digits(&chars) {
            tokens(&chars, true)
        } else {
            Vec::new()
        };
        Self {
            tokens: tokens(&chars, false),
            spaced,
            chars,
        }
    }

    /// Returns true when the text says a value; an empty value is said by every text.
    #[must_use]
    pub fn says(&self, value: &str) -> bool {
        let chars = folded(value);
        let wanted = wanted(&chars);
        if wanted.is_empty() {
            return has_signs(&self.chars, &chars);
        }
        in_a_row(&self.tokens, &wanted) || in_a_row(&self.spaced, &wanted)
    }

    /// Returns true when the text says a value that has at least one word, number or sign.
    #[must_use]
    pub fn mentions(&self, value: &str) -> bool {
        !wanted(&folded(value)).is_empty() && self.says(value)
    }

    /// The words of the text, without its numbers.
    pub(crate) fn words(&self) -> impl Iterator<Item = &str> {
        self.tokens.iter().filter_map(|token| match token {
            Token::Word(word) => Some(word.as_str()),
            _ => None,
        })
    }
}

/// Returns true when a text says a value: see the module. An empty value is said by every text.
#[must_use]
pub fn says(text: &str, value: &str) -> bool {
    Text::new(text).says(value)
}

/// Returns true when a text says a value that has at least one word, number or sign.
#[must_use]
pub fn mentions(text: &str, value: &str) -> bool {
    Text::new(text).mentions(value)
}

/// Returns the number that a text is and nothing else, as a decimal with a point: `$1,250.50` is `1250.5`.
#[must_use]
pub fn amount(text: &str) -> Option<String> {
    match wanted(&folded(text)).as_slice() {
        [Token::Number { values, .. }] => values.first().cloned(),
        _ => None,
    }
}

/// Returns true for a text that is one number, written as an amount of money: with a currency, or with two decimals.
#[must_use]
pub fn is_amount(text: &str) -> bool {
    let chars = folded(text);
    let (mut numbers, mut currency) = (0, false);
    for token in tokens(&chars, true) {
        match token {
            Token::Number { currencies, .. } => {
                numbers += 1;
                currency |= !currencies.is_empty();
            }
            Token::Currency(_) => currency = true,
            Token::Sign('+') => {}
            Token::Word(_) | Token::Sign(_) => return false,
        }
    }
    let mut digits = chars.iter().copied().skip_while(|c| !c.is_ascii_digit());
    // 01.05 is a day of a month.
    let padded = digits.next() == Some('0') && digits.next().is_some_and(|c| c.is_ascii_digit());
    numbers == 1 && !padded && (currency || has_two_decimals(&chars))
}

/// Returns true when the last number of a text ends with a separator and two digits.
fn has_two_decimals(chars: &[char]) -> bool {
    let end = chars.iter().rposition(char::is_ascii_digit);
    let number = &chars[..end.map_or(0, |end| end + 1)];
    let decimals = number.iter().rev().take_while(|c| c.is_ascii_digit());
    let decimals = decimals.count();
    let separator = number.iter().rev().nth(decimals);
    decimals == 2 && matches!(separator, Some('.' | ','))
}

/// Returns the runs of digits of a text, in its order, in ASCII.
pub(crate) fn digit_runs(text: &str) -> Vec<String> {
    let chars = folded(text);
    let runs = chars.split(|c| !c.is_ascii_digit());
    runs.filter(|run| !run.is_empty())
        .map(|run| run.iter().collect())
        .collect()
}

/// The tokens that a text must have in a row to say a value. Its numbers mean one value each; their currencies stand
/// beside them, and other signs beside them are left out, as in `+5`, `5 %`.
fn wanted(chars: &[char]) -> Vec<Token> {
    let mut wanted = tokens(chars, true);
    let is_number = |token: &Token| matches!(token, Token::Number { .. });
    if !wanted.iter().any(is_number) {
        return wanted;
    }
    wanted.retain(|token| match token {
        Token::Currency(_) => false,
        Token::Sign(sign) => !matches!(sign, '+' | '#' | '%' | '‰' | '=' | '×' | '±' | '≈'),
        _ => true,
    });
    for token in &mut wanted {
        if let Token::Number { values, .. } = token {
            values.truncate(1);
        }
    }
    wanted
}

/// Returns true when the wanted tokens stand in a row; signs and currencies that are not wanted may stand between them.
fn in_a_row(text: &[Token], wanted: &[Token]) -> bool {
    (0..text.len()).any(|start| {
        let mut rest = wanted;
        for (at, token) in text[start..].iter().enumerate() {
            let Some((next, later)) = rest.split_first() else {
                break;
            };
            if says_token(token, next) {
                rest = later;
            } else if at == 0 || matches!(token, Token::Word(_) | Token::Number { .. }) {
                return false;
            }
        }
        rest.is_empty()
    })
}

/// Returns true when one token of a text says one that is wanted.
fn says_token(token: &Token, wanted: &Token) -> bool {
    match (token, wanted) {
        (
            Token::Number { values, currencies },
            Token::Number {
                values: wanted,
                currencies: asked,
            },
        ) => {
            let same_currency = currencies.is_empty()
                || asked.is_empty()
                || asked.iter().any(|sign| currencies.contains(sign));
            same_currency && values.iter().any(|value| wanted.contains(value))
        }
        (token, wanted) => token == wanted,
    }
}

/// Returns true when a text has these signs somewhere, white space around them aside.
fn has_signs(text: &[char], signs: &[char]) -> bool {
    let literal: String = signs.iter().collect();
    let literal: Vec<char> = literal.trim().chars().collect();
    literal.is_empty() || text.windows(literal.len()).any(|window| window == literal)
}

#[cfg(test)]
mod tests;
