//! Texts cut to a length.

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(clip_to("ééé", 2), "éé … (2 more bytes)");
        assert_eq!(clip_to("ééé", 3), "ééé");
    }
}
