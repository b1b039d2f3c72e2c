//! JSON as Python's `json.dumps` writes it by default: `", "` and `": "` between the parts, ASCII only, floats as `repr`
//! writes them. The order of keys stays.

use std::fmt::Write as _;

use serde_json::{Number, Value};

/// Returns the text of a value.
#[must_use]
pub fn text(value: &Value) -> String {
    let mut out = String::new();
    write(&mut out, value, false);
    out
}

/// Appends the text of a value with the keys of every object sorted, as `sort_keys=True` has them.
pub fn append_sorted(out: &mut String, value: &Value) {
    write(out, value, true);
}

/// Appends a text, quoted.
pub fn append_text(out: &mut String, text: &str) {
    string(out, text);
}

/// Returns a value as a literal of Python's own. Texts and numbers are written as JSON has them.
#[must_use]
pub fn literal(value: &Value) -> String {
    match value {
        Value::Null => "None".into(),
        Value::Bool(true) => "True".into(),
        Value::Bool(false) => "False".into(),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(literal).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(map) => {
            let fields = map
                .iter()
                .map(|(key, value)| format!("{}: {}", Value::from(key.as_str()), literal(value)));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

fn write(out: &mut String, value: &Value, sort: bool) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => out.push_str(&self::number(number)),
        Value::String(text) => string(out, text),
        Value::Array(items) => {
            out.push('[');
            for (n, item) in items.iter().enumerate() {
                if n > 0 {
                    out.push_str(", ");
                }
                write(out, item, sort);
            }
            out.push(']');
        }
        Value::Object(map) => {
            let mut entries: Vec<(&String, &Value)> = map.iter().collect();
            if sort {
                entries.sort_unstable_by_key(|(key, _)| *key);
            }
            out.push('{');
            for (n, (key, value)) in entries.into_iter().enumerate() {
                if n > 0 {
                    out.push_str(", ");
                }
                string(out, key);
                out.push_str(": ");
                write(out, value, sort);
            }
            out.push('}');
        }
    }
}

fn string(out: &mut String, text: &str) {
    out.push('"');
    for unit in text.encode_utf16() {
        match char::from_u32(u32::from(unit)) {
            Some('"') => out.push_str("\\\""),
            Some('\\') => out.push_str("\\\\"),
            Some('\n') => out.push_str("\\n"),
            Some('\r') => out.push_str("\\r"),
            Some('\t') => out.push_str("\\t"),
            Some('\u{8}') => out.push_str("\\b"),
            Some('\u{c}') => out.push_str("\\f"),
            Some(c @ ' '..='~') => out.push(c),
            _ => {
                // Writing into a string cannot fail.
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
    }
    out.push('"');
}

fn number(number: &Number) -> String {
    match number.as_f64() {
        Some(float) if number.is_f64() => self::float(float),
        _ => number.to_string(),
    }
}

/// Returns a float as Python's `repr` writes it: the shortest digits that read back the same, with an exponent from 1e16 on
/// and below 1e-4.
fn float(float: f64) -> String {
    let shortest = format!("{float:e}");
    let Some((digits, exponent)) = shortest.split_once('e') else {
        return shortest;
    };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        return format!("{float:?}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn json_is_written_as_python_writes_it() {
        let value =
            json!({"z": [1, 2.0, null, true], "a": {}, "t": "é\"\\\n\u{1}\u{7f}😀/", "e": []});
        let written = r#"{"z": [1, 2.0, null, true], "a": {}, "t": "\u00e9\"\\\n\u0001\u007f\ud83d\ude00/", "e": []}"#;
        assert_eq!(text(&value), written);
        assert_eq!(text(&json!([[], {"a": 1}])), r#"[[], {"a": 1}]"#);
        let mut sorted = String::new();
        append_sorted(&mut sorted, &json!({"b": {"d": 1, "c": 2}, "a": []}));
        assert_eq!(sorted, r#"{"a": [], "b": {"c": 2, "d": 1}}"#);
    }

    #[test]
    fn floats_are_written_as_python_writes_them() {
        for (value, written) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (0.1, "0.1"),
            (1e-4, "0.0001"),
            (1.5e-5, "1.5e-05"),
            (1e-5, "1e-05"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (123_456_789_012_345_680.0, "1.2345678901234568e+17"),
            (-2.5e-300, "-2.5e-300"),
            (9.5, "9.5"),
        ] {
            assert_eq!(float(value), written);
        }
    }

    proptest! {
        #[test]
        fn a_float_reads_back_as_it_was(float in any::<f64>().prop_filter("JSON has it", |f| f.is_finite())) {
            prop_assert_eq!(super::float(float).parse::<f64>(), Ok(float));
        }

        #[test]
        fn a_text_is_ascii_and_reads_back_as_it_was(text in ".*") {
            let written = super::text(&json!([text]));
            prop_assert!(written.is_ascii());
            prop_assert_eq!(serde_json::from_str::<Value>(&written).ok(), Some(json!([text])));
        }
    }
}
