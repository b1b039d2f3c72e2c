//! Errors that a tool returns as a value, instead of raising them.

use serde::Deserialize;
use serde_json::{Map, Value};

/// Characters of a reason at most.
const SHOWN: usize = 200;

/// The shapes of results that decline a call. A domain may declare its own.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Declines {
    /// Keys of an object that is an error when one of them holds something. `None` stands for the usual ones: `error`,
    /// `errors` and `isError` in any spelling, `ok` or `success` that is false, and a `status` that is `error`.
    pub keys: Option<Vec<String>>,
    /// Words that a text begins with when it is an error, in upper or lower case.
    pub prefixes: Vec<String>,
}

impl Default for Declines {
    fn default() -> Self {
        Self {
            keys: None,
            prefixes: vec!["error".into()],
        }
    }
}

impl Declines {
    /// Returns the reason when a result says that the call was declined. The result is the text that an agent reads.
    #[must_use]
    pub fn reason(&self, content: &str) -> Option<String> {
        let text = content.trim();
        let declined = match read_object(text) {
            Some(map) => self.object(&map),
            None => self.prefixes.iter().any(|prefix| begins(text, prefix)),
        };
        declined.then(|| text.chars().take(SHOWN).collect())
    }

    fn object(&self, map: &Map<String, Value>) -> bool {
        let Some(keys) = &self.keys else {
            return map.iter().any(|(key, value)| usual(key, value));
        };
        keys.iter()
            .filter_map(|key| map.get(key))
            .any(says_something)
    }
}

/// Returns true when an entry of an object is a usual sign of an error.
fn usual(key: &str, value: &Value) -> bool {
    let plain: String = key.chars().filter(|c| c.is_alphanumeric()).collect();
    match plain.to_lowercase().as_str() {
        "error" | "errors" | "iserror" => says_something(value),
        "ok" | "success" => *value == Value::Bool(false),
        "status" => value
            .as_str()
            .is_some_and(|status| status.eq_ignore_ascii_case("error")),
        _ => false,
    }
}

/// Returns true unless a value is null, false, 0 or empty.
fn says_something(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(flag) => *flag,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.trim().is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(map) => !map.is_empty(),
    }
}

fn read_object(text: &str) -> Option<Map<String, Value>> {
    match text.starts_with('{').then(|| serde_json::from_str(text)) {
        Some(Ok(Value::Object(map))) => Some(map),
        _ => None,
    }
}

/// Returns true when a text begins with these words, and the last one ends there: "error-free" does not begin with "error".
fn begins(text: &str, words: &str) -> bool {
    let (mut given, mut wanted) = (text.chars(), words.chars());
    let same = wanted.by_ref().all(|w| {
        given
            .next()
            .is_some_and(|g| g.to_lowercase().eq(w.to_lowercase()))
    });
    let joins = |c: char| c.is_alphanumeric() || c == '_';
    let mut rest = given;
    let ends = match (rest.next(), rest.next()) {
        (Some('-'), Some(next)) => !joins(next),
        (Some(next), _) => !joins(next),
        (None, _) => true,
    };
    same && !words.is_empty() && (ends || !words.ends_with(joins))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_known_by_key_or_by_the_first_word() {
        let usual = Declines::default();
        for declined in [
            r#"{"error": "no order 7"}"#,
            r#"{"Error": {"code": 4}}"#,
            r#"{"ok": true, "errors": ["late"]}"#,
            r#"{"is_error": true, "content": "x"}"#,
            r#"{"success": false}"#,
            r#"{"status": "error", "message": "late"}"#,
            "error: no order 7",
            "ERROR - no order",
            "Error 404: gone",
            " Error",
        ] {
            assert!(usual.reason(declined).is_some(), "{declined}");
        }
        for done in [
            r#"{"ok": true, "error": null}"#,
            r#"{"error": false, "errors": [], "status": "open"}"#,
            r#"{"error": "", "code": 0}"#,
            r#"{"order": {"error": "kept inside"}}"#,
            "errors=0 weight=2",
            "error-free since May",
            "error_rate=0.1",
            "the error was corrected",
            "ok",
            "",
        ] {
            assert_eq!(usual.reason(done), None, "{done}");
        }
    }

    #[test]
    fn a_domain_declares_its_own_errors() {
        let own: Declines =
            serde_yaml::from_str("{keys: [problem], prefixes: ['refused:', fehler]}").unwrap();
        assert!(own.reason(r#"{"problem": "late"}"#).is_some());
        assert!(own.reason("Refused: too late").is_some());
        assert!(own.reason("refused:too late").is_some());
        assert!(own.reason("Fehler 3").is_some());
        assert_eq!(own.reason(r#"{"error": "kept"}"#), None);
        assert_eq!(own.reason("error: kept"), None);
        assert_eq!(own.reason("Fehlerfrei"), None);
    }
}
