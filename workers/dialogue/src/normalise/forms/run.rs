//! Values and calls that follow each other up to the marks that close them.

use serde_json::Value;

use crate::json::{first_of, until, value_at};
use crate::normalise::call::CallError;

/// Reads the JSON values that begin a text, one after another, up to the marks that close them. Returns the values and the
/// place after those marks; where they are missing, and where `again` opens the next call before them, the place after the
/// last value.
///
/// # Errors
/// There is no value, or something else stands between the last one and the marks; with the place after them.
pub(super) fn values(
    text: &str,
    closers: &[&str],
    again: &str,
) -> Result<(Vec<Value>, usize), (CallError, usize)> {
    let mut values = Vec::new();
    let mut at = 0;
    loop {
        let rest = text[at..].trim_start_matches(|c: char| {
            c.is_whitespace() || (!values.is_empty() && matches!(c, ',' | ';'))
        });
        let Some((value, length)) = value_at(rest) else {
            break;
        };
        values.push(value);
        at = text.len() - rest.len() + length;
    }
    if values.is_empty() {
        let (raw, end) = until(text, closers);
        return Err((not_json(raw), end));
    }
    match closing(text, at, closers, again) {
        Ok(end) => Ok((values, end)),
        Err((raw, end)) => Err((not_json(raw), end)),
    }
}

/// The place after the marks that close what ends at `at`. White space and brackets too many may stand before them.
///
/// # Errors
/// Something else stands there: the text up to the marks, and the place after them.
pub(super) fn closing<'a>(
    text: &'a str,
    at: usize,
    closers: &[&str],
    again: &str,
) -> Result<usize, (&'a str, usize)> {
    let tail = &text[at..];
    let Some((junk, length)) = first_of(tail, closers) else {
        return Ok(at);
    };
    let next = if again.is_empty() {
        None
    } else {
        tail.find(again)
    };
    if next.is_some_and(|next| next < junk) {
        return Ok(at);
    }
    let end = at + junk + length;
    let blank = |c: char| c.is_whitespace() || "]},;".contains(c);
    if tail[..junk].chars().all(blank) {
        Ok(end)
    } else {
        Err((&text[..at + junk], end))
    }
}

/// The reason why a text is no JSON.
pub(super) fn not_json(text: &str) -> CallError {
    match serde_json::from_str::<Value>(text.trim()) {
        Err(error) => CallError::Json(error.to_string()),
        Ok(_) => CallError::Json("it is not an object".into()),
    }
}
