//! Values in the types that a schema asks for, converted where nothing is lost.

use serde_json::{Number, Value, json};

use crate::json::whole;

/// Significant digits that every number of 64 bits keeps.
const DIGITS: usize = 15;

/// Returns a value in the type of its JSON schema, at any depth. `place` names the value in an error, such as `items[0]`.
///
/// Beside a value of the type itself these are read, because nothing is lost:
/// - a whole number with a fraction of 0 for an `integer`, a whole number for a `number`;
/// - a text for a number, a boolean or null if it is that value as JSON writes it, and one for a list or an object;
/// - a whole number or a boolean for a text.
///
/// A text with a leading zero is no number, and a number with a fraction no text: `"007"` and `12.50` would lose a digit. A
/// schema without `type` and `enum` takes every value.
///
/// # Errors
/// A sentence that the model reads: the place, and what must stand there.
pub fn coerce(place: &str, schema: &Value, value: &Value) -> Result<Value, String> {
    if let Some(allowed) = schema.get("enum").and_then(Value::as_array) {
        let found = one_of(allowed, value);
        return found
            .ok_or_else(|| format!("`{place}` must be one of {}", Value::Array(allowed.clone())));
    }
    let types = types(schema);
    if types.is_empty() {
        return Ok(value.clone());
    }
    let same = types.iter().find_map(|ty| fitting(ty, value));
    let found = same.or_else(|| types.iter().find_map(|ty| converted(ty, value)));
    let found = found.ok_or_else(|| {
        format!(
            "`{place}` must be of type {}, not {value}",
            types.join(" or ")
        )
    })?;
    within(place, schema, found)
}

/// Returns the value that a text stands for where a form of calls writes every argument as text.
pub(crate) fn of_text(schema: &Value, text: &str) -> Value {
    let types = types(schema);
    let bare = text.trim();
    if types.contains(&"null") && is_null(bare) {
        return Value::Null;
    }
    if types.is_empty() && schema.get("enum").is_none() {
        let value = whole(bare).filter(|value| !value.is_number() && !value.is_string());
        return value.unwrap_or_else(|| json!(text));
    }
    coerce("", schema, &json!(text))
        .or_else(|_| coerce("", schema, &json!(bare)))
        .unwrap_or_else(|_| json!(text))
}

fn types(schema: &Value) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(ty)) => vec![ty],
        Some(Value::Array(types)) => types.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// The members of a list or an object in the types of their schemas.
fn within(place: &str, schema: &Value, value: Value) -> Result<Value, String> {
    match value {
        Value::Array(items) => {
            let Some(inner) = schema.get("items") else {
                return Ok(Value::Array(items));
            };
            let mut taken = Vec::with_capacity(items.len());
            for (n, item) in items.iter().enumerate() {
                taken.push(coerce(&format!("{place}[{n}]"), inner, item)?);
            }
            Ok(Value::Array(taken))
        }
        Value::Object(mut map) => {
            let rest = schema.get("additionalProperties").filter(|s| s.is_object());
            for (name, member) in &mut map {
                let own = schema.get("properties").and_then(|p| p.get(name.as_str()));
                if let Some(inner) = own.or(rest) {
                    *member = coerce(&format!("{place}.{name}"), inner, member)?;
                }
            }
            Ok(Value::Object(map))
        }
        scalar => Ok(scalar),
    }
}

/// A value that has the type already; numbers take the form that the type has in JSON.
fn fitting(ty: &str, value: &Value) -> Option<Value> {
    match (ty, value) {
        ("string", Value::String(_))
        | ("boolean", Value::Bool(_))
        | ("array", Value::Array(_))
        | ("object", Value::Object(_))
        | ("null", Value::Null) => Some(value.clone()),
        ("integer", Value::Number(number)) => integer(number),
        ("number", Value::Number(number)) => number.as_f64().map(|float| json!(float)),
        _ => None,
    }
}

/// A value of another type that says the same.
fn converted(ty: &str, value: &Value) -> Option<Value> {
    match (ty, value) {
        ("string", Value::Number(number)) if !number.is_f64() => Some(json!(number.to_string())),
        ("string", Value::Bool(flag)) => Some(json!(flag.to_string())),
        ("integer", Value::String(text)) => integer(&number_of(text)?),
        ("number", Value::String(text)) => {
            let digits = significant(text);
            let float = number_of(text).filter(|_| digits <= DIGITS)?.as_f64()?;
            Some(json!(float))
        }
        ("boolean", Value::String(text)) => boolean_of(text).map(Value::Bool),
        ("null", Value::String(text)) => is_null(text.trim()).then_some(Value::Null),
        ("array" | "object", Value::String(text)) => {
            whole(text).filter(|value| fitting(ty, value).is_some())
        }
        _ => None,
    }
}

/// The one of the allowed values that a value is or says.
fn one_of(allowed: &[Value], value: &Value) -> Option<Value> {
    if allowed.contains(value) {
        return Some(value.clone());
    }
    let says = |wanted: &&Value| match (wanted, value) {
        (Value::String(wanted), Value::String(text)) => wanted == text.trim(),
        (Value::String(wanted), Value::Number(number)) => {
            !number.is_f64() && *wanted == number.to_string()
        }
        (Value::String(wanted), Value::Bool(flag)) => boolean_of(wanted) == Some(*flag),
        (Value::Number(wanted), Value::Number(number)) => wanted.as_f64() == number.as_f64(),
        (Value::Number(wanted), Value::String(text)) => {
            number_of(text).is_some_and(|number| wanted.as_f64() == number.as_f64())
        }
        (Value::Bool(wanted), Value::String(text)) => boolean_of(text) == Some(*wanted),
        (Value::Null, Value::String(text)) => is_null(text.trim()),
        _ => false,
    };
    allowed.iter().find(says).cloned()
}

/// A whole number, also one that is written with a fraction of 0.
fn integer(number: &Number) -> Option<Value> {
    match number.as_f64() {
        _ if !number.is_f64() => Some(Value::Number(number.clone())),
        Some(float) if float.fract() == 0.0 && float.abs() < 9e15 => Some(json!(float as i64)),
        _ => None,
    }
}

/// The number that a text is as JSON writes it: without a leading zero or a sign of plus.
fn number_of(text: &str) -> Option<Number> {
    serde_json::from_str(text.trim()).ok()
}

/// The digits of a number's text that decide its value.
fn significant(text: &str) -> usize {
    let mantissa = text.trim().split(['e', 'E']).next().unwrap_or_default();
    let digits = mantissa.trim_start_matches(['-', '0', '.']);
    let digits = if mantissa.contains('.') {
        digits.trim_end_matches('0')
    } else {
        digits
    };
    digits.chars().filter(char::is_ascii_digit).count()
}

fn boolean_of(text: &str) -> Option<bool> {
    let is = |word: &str| text.trim().eq_ignore_ascii_case(word);
    match (is("true"), is("false")) {
        (true, _) => Some(true),
        (_, true) => Some(false),
        _ => None,
    }
}

fn is_null(text: &str) -> bool {
    matches!(text, "null" | "None")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_are_read_in_both_directions_where_nothing_is_lost() {
        for (ty, given, read) in [
            ("integer", json!("3"), json!(3)),
            ("integer", json!(3.0), json!(3)),
            ("integer", json!("3.0"), json!(3)),
            ("integer", json!("-12"), json!(-12)),
            (
                "integer",
                json!("12345678901234567890"),
                json!(12_345_678_901_234_567_890_u64),
            ),
            ("number", json!("3.25"), json!(3.25)),
            ("number", json!(" 12.50 "), json!(12.5)),
            ("number", json!("3"), json!(3.0)),
            ("number", json!(3), json!(3.0)),
            ("string", json!(3), json!("3")),
            ("string", json!(true), json!("true")),
            ("boolean", json!("true"), json!(true)),
            ("boolean", json!("False"), json!(false)),
            ("array", json!("[\"lamp\"]"), json!(["lamp"])),
            ("object", json!("{'a': 1}"), json!({"a": 1})),
        ] {
            assert_eq!(
                coerce("x", &json!({"type": ty}), &given),
                Ok(read),
                "{ty} {given}"
            );
        }
        for (ty, given) in [
            ("integer", json!("3.5")),
            ("integer", json!(3.5)),
            ("integer", json!("007")),
            ("integer", json!("three")),
            ("integer", json!(true)),
            ("integer", json!("")),
            ("number", json!("1,250")),
            ("number", json!("NaN")),
            ("number", json!("12345678901234567890.5")),
            ("string", json!(12.5)),
            ("string", json!(null)),
            ("boolean", json!("yes")),
            ("boolean", json!(1)),
            ("array", json!("lamp")),
            ("object", json!("[1]")),
        ] {
            let refused = coerce("x", &json!({"type": ty}), &given).unwrap_err();
            assert!(
                refused.starts_with(&format!("`x` must be of type {ty}")),
                "{refused}"
            );
        }
    }

    #[test]
    fn members_choices_and_nullable_types_are_read_alike() {
        let schema = json!({"type": "array", "items": {"type": "object", "properties": {
            "days": {"type": "integer"}, "size": {"enum": ["1", "2"]}, "note": {"type": ["string", "null"]}}}});
        let given = json!([{"days": "3", "size": 2, "note": "null", "other": "4"}]);
        let read = json!([{"days": 3, "size": "2", "note": "null", "other": "4"}]);
        assert_eq!(coerce("items", &schema, &given), Ok(read));
        let refused = coerce("items", &schema, &json!([{"days": "soon"}])).unwrap_err();
        assert_eq!(
            refused,
            "`items[0].days` must be of type integer, not \"soon\""
        );
        let refused = coerce("items", &schema, &json!([{"size": 3}])).unwrap_err();
        assert_eq!(refused, "`items[0].size` must be one of [\"1\",\"2\"]");
        let levels = json!({"enum": [1, 2.5, true]});
        assert_eq!(coerce("x", &levels, &json!("1")), Ok(json!(1)));
        assert_eq!(coerce("x", &levels, &json!(1.0)), Ok(json!(1)));
        assert_eq!(coerce("x", &levels, &json!("True")), Ok(json!(true)));
        let optional = json!({"type": ["integer", "null"]});
        assert_eq!(coerce("x", &optional, &json!("None")), Ok(Value::Null));
    }

    #[test]
    fn a_text_stands_for_the_value_of_its_type() {
        let of = |ty: Value, text: &str| of_text(&json!({"type": ty}), text);
        assert_eq!(of(json!("string"), " 007\n"), json!(" 007\n"));
        assert_eq!(of(json!("integer"), "7\n"), json!(7));
        assert_eq!(of(json!(["string", "null"]), "null"), Value::Null);
        assert_eq!(of(json!("integer"), "soon"), json!("soon"));
        assert_eq!(of_text(&json!({}), "[1]"), json!([1]));
        assert_eq!(of_text(&json!({}), "48213"), json!("48213"));
        assert_eq!(of_text(&json!({"enum": ["a"]}), "\na"), json!("a"));
    }
}
