//! Texts cut to a length, reasons without what differs from case to case, and values read leniently.

use std::collections::BTreeMap;

use serde_json::Value;

/// Characters of one text at most: a message, a draft, a piece of evidence.
const LONGEST: usize = 6000;

/// A text in bounds, marked where it was cut.
pub(super) fn clip(text: &str) -> String {
    clip_to(text, LONGEST)
}

/// A text of at most `limit` characters and the mark of the cut.
pub(super) fn clip_to(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        Some((at, _)) => format!("{} … ({} more bytes)", &text[..at], text.len() - at),
        None => text.to_owned(),
    }
}

/// Every text of a value in bounds, and no list longer than 200.
pub(super) fn clip_value(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(clip(text)),
        Value::Array(items) => items.iter().take(200).map(clip_value).collect(),
        Value::Object(map) => Value::Object(
            map.iter()
                .map(|(k, v)| (k.clone(), clip_value(v)))
                .collect(),
        ),
        other => other.clone(),
    }
}

/// A reason without numbers, quoted values and what follows a dash, so that like reasons fall together.
pub(super) fn general(reason: &str) -> String {
    let head = reason.split(" - ").next().unwrap_or(reason);
    let mut out = String::with_capacity(head.len());
    let (mut in_number, mut quote) = (false, None);
    for c in head.chars() {
        if let Some(end) = quote {
            if c == end {
                quote = None;
                out.push_str("…\"");
            }
            continue;
        }
        let digit = c.is_ascii_digit();
        match c {
            '"' | '`' => {
                quote = Some(c);
                out.push('"');
            }
            _ if digit && in_number => {}
            _ if digit => out.push('…'),
            _ => out.push(c),
        }
        in_number = digit;
    }
    clip_to(out.trim(), 160)
}

/// Like reasons together, the most frequent first: the reason itself where all say the same, and those who gave it.
pub(super) fn by_reason<'a, T>(
    items: impl IntoIterator<Item = (&'a str, T)>,
) -> Vec<(String, Vec<(&'a str, T)>)> {
    let mut found: BTreeMap<String, Vec<(&str, T)>> = BTreeMap::new();
    for (reason, item) in items {
        found
            .entry(general(reason))
            .or_default()
            .push((reason, item));
    }
    let mut found: Vec<_> = found.into_iter().collect();
    found.sort_by(|a, b| b.1.len().cmp(&a.1.len()).then_with(|| a.0.cmp(&b.0)));
    for (title, of) in &mut found {
        if let [(first, _), rest @ ..] = of.as_slice()
            && rest.iter().all(|(reason, _)| reason == first)
        {
            *title = clip_to(first, 400);
        }
    }
    found
}

/// The text at a path of keys, or nothing.
pub(super) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// A list, or none.
pub(super) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// The members of an object, or none.
pub(super) fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn like_reasons_fall_together_and_unlike_ones_do_not() {
        assert_eq!(
            general("parcel 48213 has no \"hold\" - see policy"),
            general("parcel 1 has no \"move\"")
        );
        assert_ne!(general("no call"), general("no checker"));
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(clip_to("ééé", 2), "éé … (2 more bytes)");
        assert_eq!(clip_to("ééé", 3), "ééé");
    }
}
