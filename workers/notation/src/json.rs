//! JSON: one value, or several one after another.

use serde::de::{Deserialize, DeserializeSeed as _, Deserializer};
use serde_json::Value;

use crate::value::{Any, Reading, too_wide};
use crate::{Document, Flaw, without_mark};

/// Reads a text that is one value.
///
/// # Errors
/// The first [`Flaw`].
pub fn json(text: &str) -> Result<Value, Flaw> {
    let text = without_mark(text);
    let reading = Reading::new(text, None, true);
    let mut reader = serde_json::Deserializer::from_str(text);
    let read = Any(&reading).deserialize(&mut reader);
    match read.and_then(|value| reader.end().map(|()| value)) {
        Ok(value) => match wide_number(text) {
            Some(flaw) => Err(flaw),
            None => Ok(value),
        },
        Err(error) => Err(match reading.refused() {
            Some((message, remedy)) => Flaw {
                line: line_of(&error),
                message,
                remedy,
            },
            None => broken(&error),
        }),
    }
}

/// Reads a text of values, one after another. An error ends it: the rest is not JSON.
#[must_use]
pub fn json_documents(text: &str) -> Vec<Result<Document, Flaw>> {
    let text = without_mark(text);
    let mut documents = vec![];
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Lenient>();
    let mut begin = 0;
    while let Some(read) = values.next() {
        let end = values.byte_offset();
        match read {
            Ok(Lenient(value)) => {
                let flaw = text.get(begin..end).and_then(|part| json(part).err());
                let before = text.get(..begin).unwrap_or_default();
                let lines = before.bytes().filter(|byte| *byte == b'\n').count();
                let flaw = flaw.map(|flaw| Flaw {
                    line: flaw.line.map(|line| line + lines),
                    ..flaw
                });
                documents.push(Ok(Document { value, flaw }));
                begin = end;
            }
            Err(error) => {
                documents.push(Err(broken(&error)));
                break;
            }
        }
    }
    documents
}

/// A value as a lenient parser reads it.
struct Lenient(Value);

impl<'de> Deserialize<'de> for Lenient {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let reading = Reading::new("", None, false);
        Any(&reading).deserialize(deserializer).map(Self)
    }
}

fn line_of(error: &serde_json::Error) -> Option<usize> {
    Some(error.line()).filter(|line| *line > 0)
}

fn broken(error: &serde_json::Error) -> Flaw {
    Flaw {
        line: line_of(error),
        message: format!("it is not JSON: {error}"),
        remedy: "correct the syntax",
    }
}

/// Finds the first whole number of a valid JSON text that does not fit into 64 bits. The parser gives it as a float, like one
/// that is written with an exponent, so that only the text tells.
fn wide_number(text: &str) -> Option<Flaw> {
    let bytes = text.as_bytes();
    let (mut at, mut line) = (0, 1);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => at = end_of_text(bytes, at),
            b'-' | b'0'..=b'9' => {
                let length = bytes[at..]
                    .iter()
                    .take_while(|b| matches!(b, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E'))
                    .count();
                let number = text.get(at..at + length)?;
                let whole = !number.contains(['.', 'e', 'E']);
                if whole && number.parse::<i64>().is_err() {
                    let (message, remedy) = too_wide(number);
                    return Some(Flaw {
                        line: Some(line),
                        message,
                        remedy,
                    });
                }
                at += length;
            }
            b'\n' => {
                line += 1;
                at += 1;
            }
            _ => at += 1,
        }
    }
    None
}

/// Returns the position behind the text that begins here.
fn end_of_text(bytes: &[u8], begin: usize) -> usize {
    let mut at = begin + 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refused(text: &str) -> Flaw {
        json(text).unwrap_err()
    }

    #[test]
    fn a_value_is_what_serde_json_reads() {
        let text = r#"{"a": [1, -2, 2.5, 1e3, true, null], "ä": {"x": "92233720368547758079 \" {"}, "n": -0}"#;
        let usual: Value = serde_json::from_str(text).unwrap();
        assert_eq!(json(text).unwrap(), usual);
        assert_eq!(json(&format!("\u{feff}{text}\r\n")).unwrap(), usual);
    }

    #[test]
    fn the_same_key_twice_is_refused_with_its_line() {
        let flaw = refused("{\n \"p\": {\n  \"1\": {\"x\": 1},\n  \"1\": {\"x\": 2}\n }\n}");
        assert_eq!(flaw.line, Some(4));
        assert!(flaw.message.contains("\"1\""), "{flaw}");
        assert!(json("{\"a\": {\"x\": 1}, \"b\": {\"x\": 1}}").is_ok());
    }

    #[test]
    fn a_whole_number_is_kept_or_refused_and_never_rounded() {
        assert_eq!(
            json("[9223372036854775807, -9223372036854775808]").unwrap(),
            json!([i64::MAX, i64::MIN])
        );
        for wide in [
            "9223372036854775808",
            "18446744073709551615",
            "-92233720368547758079",
        ] {
            let flaw = refused(&format!("{{\"a\": 1,\n\"b\": {wide}}}"));
            assert_eq!(flaw.line, Some(2), "{wide}");
            assert!(flaw.message.contains(wide), "{flaw}");
        }
        assert!(json("[1e300, 0.1234567890123456789012]").is_ok());
    }

    #[test]
    fn what_is_not_json_is_told_with_its_line() {
        for text in ["", "\u{feff} ", "{", "{\"a\": NaN}", "{} {}", "{} x"] {
            assert!(json(text).is_err(), "{text:?}");
        }
        assert_eq!(refused("{\n\"a\": NaN}").line, Some(2));
    }

    #[test]
    fn values_one_after_another_are_documents_and_each_has_its_own_flaw() {
        let found = json_documents(
            "{\"a\": 1}\n{\"a\": 1, \"a\": 2}\n{\"b\": 3}\n[\n92233720368547758079]",
        );
        let lines: Vec<Option<usize>> = found
            .iter()
            .map(|document| document.as_ref().unwrap().flaw.as_ref()?.line)
            .collect();
        assert_eq!(lines, [None, Some(2), None, Some(5)]);
        assert_eq!(found[1].as_ref().unwrap().value, json!({"a": 2}));
        let broken = json_documents("{\"a\": 1} {\"b\": }");
        assert!(broken.len() == 2 && broken[0].is_ok() && broken[1].is_err());
    }
}
