//! Content digests: SHA-256 as hexadecimal text, of bytes or of a value's canonical JSON.
//!
//! Every crate that names something by its content uses this one, so that hexadecimal and canonical JSON are written once.
#![forbid(unsafe_code)]

use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::io::{self, Read};

const PREFIX: &str = "sha256:";

/// The SHA-256 of some content, written `sha256:<64 hex digits>`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(String);

/// A text that is not a digest.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a digest: expected `sha256:` and 64 lower-case hexadecimal digits")]
pub struct InvalidDigest(String);

impl Digest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Digest {
        Digest::of_hash(&Sha256::digest(bytes))
    }

    /// Computes the digest of a stream without holding it in memory.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of_reader(mut reader: impl Read) -> io::Result<Digest> {
        let mut hash = Sha256::new();
        let mut part = vec![0; 1 << 20];
        loop {
            match reader.read(&mut part)? {
                0 => return Ok(Digest::of_hash(&hash.finalize())),
                n => hash.update(&part[..n]),
            }
        }
    }

    /// Names a SHA-256 hash that was computed elsewhere, such as over a stream.
    pub fn of_hash(hash: &[u8]) -> Digest {
        Digest(format!("{PREFIX}{}", hex(hash)))
    }

    /// The digest of a value's canonical JSON: two equal values have one digest, whatever the order of their keys.
    pub fn of_json(value: &impl Serialize) -> Result<Digest, serde_json::Error> {
        Ok(Digest::of(
            canonical_json(&serde_json::to_value(value)?).as_bytes(),
        ))
    }

    /// Reads `sha256:<hex>`.
    pub fn parse(text: &str) -> Result<Digest, InvalidDigest> {
        let hex = text.strip_prefix(PREFIX).unwrap_or_default();
        let valid = hex.len() == 64 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if valid {
            Ok(Digest(text.to_owned()))
        } else {
            Err(InvalidDigest(text.to_owned()))
        }
    }

    /// The 64 hexadecimal digits without the algorithm's name.
    pub fn hex(&self) -> &str {
        &self.0[PREFIX.len()..]
    }

    /// The first twelve digits, for people.
    pub fn short(&self) -> &str {
        &self.hex()[..12]
    }

    /// The whole text, `sha256:<hex>`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Endings of files that editors and interpreters leave behind.
const LEFT_BEHIND: [&str; 10] = [
    "~", ".pyc", ".pyo", ".swp", ".swo", ".swn", ".bak", ".orig", ".rej", ".tmp",
];
/// Names of files and folders that operating systems and interpreters leave behind.
const LEFT_BEHIND_WHOLE: [&str; 5] = [
    "__pycache__",
    "Thumbs.db",
    "desktop.ini",
    "__MACOSX",
    "4913",
];

/// Tells whether a file or folder of this name belongs to the content of the folder it lies in: it travels when that is packed,
/// and counts in its digest. Hidden ones do not, nor does what editors, interpreters and operating systems leave behind.
#[must_use]
pub fn travels(name: &str) -> bool {
    let hidden = name.starts_with('.') || (name.starts_with('#') && name.ends_with('#'));
    !hidden
        && !LEFT_BEHIND_WHOLE.contains(&name)
        && !LEFT_BEHIND.iter().any(|ending| name.ends_with(ending))
}

/// Bytes as lower-case hexadecimal text.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        text.push(char::from(b"0123456789abcdef"[usize::from(byte >> 4)]));
        text.push(char::from(b"0123456789abcdef"[usize::from(byte & 15)]));
    }
    text
}

/// Writes a value as JSON without spaces and with the keys of every object sorted.
#[must_use]
pub fn canonical_json(value: &Value) -> String {
    sorted(value, &Value::Number).to_string()
}

/// Writes a value as [`canonical_json`] does, with whole floats as integers: values that compare equal as numbers have
/// one text.
#[must_use]
pub fn canonical_numbers(value: &Value) -> String {
    let number = |number: Number| match number.as_f64() {
        Some(float) if float.fract() == 0.0 && float.abs() < 9e15 => Value::from(float as i64),
        _ => Value::Number(number),
    };
    sorted(value, &number).to_string()
}

fn sorted(value: &Value, number: &dyn Fn(Number) -> Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<(&String, &Value)> = map.iter().collect();
            entries.sort_unstable_by_key(|(key, _)| *key);
            let entries = entries.into_iter();
            Value::Object(
                entries
                    .map(|(k, v)| (k.clone(), sorted(v, number)))
                    .collect(),
            )
        }
        Value::Array(items) => items.iter().map(|item| sorted(item, number)).collect(),
        Value::Number(found) => number(found.clone()),
        other => other.clone(),
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Digest {
    type Error = InvalidDigest;
    fn try_from(text: String) -> Result<Self, InvalidDigest> {
        Digest::parse(&text)
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> String {
        digest.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_order_of_keys_does_not_change_a_digest() {
        let one = json!({"b": [1, {"y": 1, "x": 2.5}], "a": null});
        let other = json!({"a": null, "b": [1, {"x": 2.5, "y": 1}]});
        assert_eq!(
            Digest::of_json(&one).unwrap(),
            Digest::of_json(&other).unwrap()
        );
        assert_ne!(
            Digest::of_json(&one).unwrap(),
            Digest::of_json(&json!({"a": null})).unwrap()
        );
    }

    #[test]
    fn numbers_of_one_value_have_one_text_only_where_that_is_asked_for() {
        let (whole, float) = (json!({"x": [1]}), json!({"x": [1.0]}));
        assert_eq!(canonical_numbers(&whole), canonical_numbers(&float));
        assert_ne!(canonical_json(&whole), canonical_json(&float));
        assert_eq!(canonical_numbers(&json!(2.5)), "2.5");
    }

    #[test]
    fn what_tools_leave_behind_does_not_travel() {
        for name in [
            "domain.yaml",
            "tools.py",
            "state.json",
            "notes.txt",
            "a#b",
            "tmp",
            "hold.yaml",
        ] {
            assert!(travels(name), "{name}");
        }
        for name in [
            "__pycache__",
            "tools.pyc",
            ".DS_Store",
            "._hold.yaml",
            ".git",
            ".hold.yaml.swp",
            "hold.yaml~",
            "#hold.yaml#",
            ".#hold.yaml",
            "4913",
            "Thumbs.db",
        ] {
            assert!(!travels(name), "{name}");
        }
    }

    #[test]
    fn only_whole_lower_case_digests_are_read() {
        let known = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Digest::of(b"").as_str(), known);
        assert_eq!(Digest::of_reader(std::io::empty()).unwrap().as_str(), known);
        let long = vec![7; (1 << 20) + 1];
        assert_eq!(Digest::of_reader(&long[..]).unwrap(), Digest::of(&long));
        assert!(Digest::parse(known).is_ok());
        for bad in [
            &known[..70],
            &known.to_uppercase(),
            &known[7..],
            "",
            "sha256:",
        ] {
            assert!(Digest::parse(bad).is_err(), "{bad}");
        }
    }
}
