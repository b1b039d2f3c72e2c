//! Plain words of YAML that are not texts to every program.

use serde_json::Value;

/// The program whose reading of plain (unquoted) words is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Words {
    /// YAML 1.2: `true`, `false`, `null` and numbers; everything else is a text.
    Yaml,
    /// kubectl and the API server, which follow YAML 1.1: `yes`, `on` and `n` are true and false too, `0777` is octal and
    /// `1_000` a number. Maps are merged by the key `<<`.
    Kubectl,
}

const TRUE: [&str; 8] = ["y", "Y", "yes", "Yes", "YES", "on", "On", "ON"];
const FALSE: [&str; 8] = ["n", "N", "no", "No", "NO", "off", "Off", "OFF"];

/// Returns what kubectl makes of a plain word that YAML 1.2 takes for a text; none where it is a text for kubectl too.
pub(crate) fn kubectl(word: &str) -> Option<Value> {
    if TRUE.contains(&word) {
        return Some(Value::Bool(true));
    }
    if FALSE.contains(&word) {
        return Some(Value::Bool(false));
    }
    let begins = word.as_bytes().first()?;
    if !begins.is_ascii_digit() && !matches!(begins, b'+' | b'-') {
        return None;
    }
    let digits = word.replace('_', "");
    whole(&digits).map(Value::from).or_else(|| float(&digits))
}

/// Reads a whole number with the prefixes of Go: a leading zero means octal.
fn whole(text: &str) -> Option<i64> {
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = rest.to_ascii_lowercase();
    let (radix, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    // Only digits: a second sign is none.
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return None;
    }
    i64::from_str_radix(&format!("{sign}{digits}"), radix).ok()
}

/// Reads `1.5`, `1e3` or `089`, and nothing like `inf`.
fn float(text: &str) -> Option<Value> {
    let begins = text.trim_start_matches(['+', '-']);
    let plain = begins
        .bytes()
        .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'));
    let float: f64 = text.parse().ok().filter(|_| plain)?;
    serde_json::Number::from_f64(float).map(Value::Number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn plain_words_are_what_kubectl_makes_of_them() {
        for (word, value) in [
            ("yes", json!(true)),
            ("On", json!(true)),
            ("n", json!(false)),
            ("OFF", json!(false)),
            ("0777", json!(511)),
            ("-010", json!(-8)),
            ("1_000", json!(1000)),
            ("0x1_F", json!(31)),
            ("089", json!(89.0)),
            ("1_0.5", json!(10.5)),
        ] {
            assert_eq!(kubectl(word), Some(value), "{word}");
        }
        for text in [
            "yes please",
            "oN",
            "a_1",
            "1_a",
            "2025-01-02",
            "12:30",
            "-",
            "+inf",
            "1.2.3",
            "",
        ] {
            assert_eq!(kubectl(text), None, "{text}");
        }
    }
}
