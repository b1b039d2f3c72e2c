//! The words and signs of an expression.

use serde_json::Value;

use super::date::Moment;
use super::decimal::Decimal;

/// A word or sign.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// A number, a text in quotes, or a date.
    Literal(Value),
    Word(String),
    Sign(&'static str),
}

/// Signs, the longer ones first.
const SIGNS: [&str; 18] = [
    "==", "!=", "<=", ">=", "<", ">", "(", ")", "[", "]", ",", ".", "+", "-", "*", "/", "%", "=",
];

/// Returns the tokens of a text. A word may have a hyphen where `is_name` knows it so.
pub(super) fn tokens(text: &str, is_name: &dyn Fn(&str) -> bool) -> Result<Vec<Token>, String> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, length) = match first {
            '"' | '\'' => quoted(rest, first)?,
            first if first.is_ascii_digit() => digits(rest)?,
            first if first.is_alphabetic() || first == '_' => word(rest, is_name),
            _ => match SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
                Some(&"=") => return Err("write `==` to compare".into()),
                Some(sign) => (Token::Sign(sign), sign.len()),
                None => return Err(format!("`{first}` has no meaning here")),
            },
        };
        found.push(token);
        rest = rest.get(length..).unwrap_or_default().trim_start();
    }
    Ok(found)
}

fn quoted(rest: &str, quote: char) -> Result<(Token, usize), String> {
    let inner = rest.get(1..).unwrap_or_default();
    let end = inner
        .find(quote)
        .ok_or_else(|| format!("a text begins with {quote} and does not end"))?;
    let text = inner.get(..end).unwrap_or_default();
    Ok((Token::Literal(Value::from(text)), end.saturating_add(2)))
}

/// Reads a date or a number.
fn digits(rest: &str) -> Result<(Token, usize), String> {
    let of_date = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | ':' | '.' | '+');
    let length = rest.find(|c| !of_date(c)).unwrap_or(rest.len());
    let whole = rest.get(..length).unwrap_or_default();
    let date = rest.get(..10).unwrap_or_default();
    for text in [whole, date] {
        let ends = rest
            .get(text.len()..)
            .is_some_and(|after| !after.starts_with(|c: char| c.is_alphanumeric()));
        if ends && Moment::of(text).is_some() {
            return Ok((Token::Literal(Value::from(text)), text.len()));
        }
    }
    let run = |from: usize| {
        let after = rest.get(from..).unwrap_or_default();
        from + after
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(after.len())
    };
    let whole = run(0);
    let fraction = rest.get(whole..).is_some_and(|after| {
        after.starts_with('.')
            && after
                .get(1..)
                .is_some_and(|after| after.starts_with(|c: char| c.is_ascii_digit()))
    });
    let length = if fraction { run(whole + 1) } else { whole };
    let text = rest.get(..length).unwrap_or_default();
    let next = rest.get(length..).and_then(|after| after.chars().next());
    if let Some(next) = next.filter(|next| next.is_alphanumeric() || *next == '_') {
        return Err(format!(
            "`{text}{next}` is no number; put a text into quotes"
        ));
    }
    let number = Decimal::parse(text).and_then(Decimal::to_value);
    let number = number.ok_or_else(|| format!("`{text}` is no number"))?;
    Ok((Token::Literal(number), length))
}

fn word(rest: &str, is_name: &dyn Fn(&str) -> bool) -> (Token, usize) {
    let plain = |c: char| c.is_alphanumeric() || c == '_';
    let end = |with: char| rest.find(|c| !plain(c) && c != with).unwrap_or(rest.len());
    let (short, long) = (end('_'), end('-'));
    let length = match rest.get(..long).is_some_and(is_name) {
        true => long,
        false => short,
    };
    (
        Token::Word(rest.get(..length).unwrap_or_default().to_owned()),
        length,
    )
}
