//! The visitor that builds a value, for whichever notation it is written in.

use std::cell::RefCell;
use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, VariantAccess, Visitor,
};
use serde_json::{Map, Number, Value};

use crate::words::{self, Words};

/// The key that merges other maps into the one it stands in.
const MERGE: &str = "<<";
/// The least float that no whole number of 64 bits with a sign is: 2 to the power of 63.
const BEYOND_64_BITS: f64 = 9_223_372_036_854_775_808.0;
/// The least float that only a whole number of more than 128 bits, or an exponent, can have become.
const BEYOND_128_BITS: f64 = 3.4e38;

/// One reading of a document.
pub(crate) struct Reading<'a> {
    text: &'a str,
    words: Option<Words>,
    strict: bool,
    refused: RefCell<Option<Refused>>,
}

/// The message and the suggested fix of what was refused.
pub(crate) type Refused = (String, &'static str);

impl<'a> Reading<'a> {
    /// Begins to read. `text` is the whole text, by which a plain word is told from a quoted one. JSON has no plain words.
    pub(crate) fn new(text: &'a str, words: Option<Words>, strict: bool) -> Self {
        Self {
            text,
            words,
            strict,
            refused: RefCell::default(),
        }
    }

    /// Returns why the reading was ended, unless the notation itself is broken.
    pub(crate) fn refused(&self) -> Option<Refused> {
        self.refused.borrow_mut().take()
    }

    fn refuse<E: Error>(&self, message: String, remedy: &'static str) -> E {
        let error = E::custom(&message);
        *self.refused.borrow_mut() = Some((message, remedy));
        error
    }

    fn too_wide<E: Error>(&self, number: impl fmt::Display) -> E {
        let (message, remedy) = too_wide(number);
        self.refuse(message, remedy)
    }

    /// Returns what the program that reads this text makes of a word that is borrowed from it, if that is not a text.
    fn word(&self, word: &str) -> Option<Value> {
        if !self.is_kubectl() || self.is_quoted(word) {
            return None;
        }
        words::kubectl(word)
    }

    fn is_kubectl(&self) -> bool {
        self.words == Some(Words::Kubectl)
    }

    /// Tells whether a word that is borrowed from the text has a quote in front of it.
    fn is_quoted(&self, word: &str) -> bool {
        let begins = (word.as_ptr() as usize).checked_sub(self.text.as_ptr() as usize);
        let before = begins.and_then(|at| self.text.as_bytes().get(at.checked_sub(1)?));
        matches!(before, Some(b'"' | b'\''))
    }
}

/// Says that a whole number has more than 64 bits.
pub(crate) fn too_wide(number: impl fmt::Display) -> Refused {
    (
        format!("{number} is too large: it would be rounded"),
        "whole numbers have at most 64 bits; write it as a text, in quotes",
    )
}

/// Reads any value.
#[derive(Clone, Copy)]
pub(crate) struct Any<'r>(pub(crate) &'r Reading<'r>);

impl<'de> DeserializeSeed<'de> for Any<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Any<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map, a list, a text, a number, true, false or null")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        if self.0.strict && i64::try_from(value).is_err() {
            return Err(self.0.too_wide(value));
        }
        Ok(value.into())
    }

    fn visit_i128<E: Error>(self, value: i128) -> Result<Value, E> {
        match self.0.strict {
            true => Err(self.0.too_wide(value)),
            false => self.visit_f64(value as f64),
        }
    }

    fn visit_u128<E: Error>(self, value: u128) -> Result<Value, E> {
        match self.0.strict {
            true => Err(self.0.too_wide(value)),
            false => self.visit_f64(value as f64),
        }
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        if self.0.strict && self.0.words.is_some() && value.abs() >= BEYOND_128_BITS {
            return Err(self.0.too_wide(value));
        }
        if self.0.strict && !value.is_finite() {
            let message = format!("{value} is no number that JSON can write");
            return Err(self
                .0
                .refuse(message, "write a number, or a text in quotes"));
        }
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<Value, E> {
        match self.0.word(value) {
            None => self.visit_str(value),
            Some(Value::Number(number)) if self.0.strict && is_wide(&number) => {
                Err(self.0.too_wide(value))
            }
            Some(other) => Ok(other),
        }
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = vec![];
        while let Some(item) = access.next_element_seed(self)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let (mut map, mut merged) = (Map::new(), vec![]);
        while let Some(key) = access.next_key_seed(Key {
            reading: self.0,
            seen: &map,
        })? {
            let value = access.next_value_seed(self)?;
            if key == MERGE && self.0.is_kubectl() {
                merged.push(value);
            } else {
                map.insert(key, value);
            }
        }
        for other in merged {
            merge(&mut map, other);
        }
        Ok(Value::Object(map))
    }

    /// A value with a tag of its own, such as `!reference`: the tag is dropped.
    fn visit_enum<A: EnumAccess<'de>>(self, access: A) -> Result<Value, A::Error> {
        let (_, content) = access.variant::<String>()?;
        content.newtype_variant_seed(self)
    }
}

/// Tells whether a number is none of 64 bits with a sign, and may have been rounded.
fn is_wide(number: &Number) -> bool {
    let float = number.as_f64();
    number.as_i64().is_none() && float.is_some_and(|float| float.abs() >= BEYOND_64_BITS)
}

/// Adds the entries of a merged map, or of several, that the map does not have itself.
fn merge(map: &mut Map<String, Value>, other: Value) {
    match other {
        Value::Object(other) => {
            for (key, value) in other {
                map.entry(key).or_insert(value);
            }
        }
        Value::Array(others) => others.into_iter().for_each(|other| merge(map, other)),
        _ => {}
    }
}

/// Reads a key that the map does not have yet.
struct Key<'r, 'm> {
    reading: &'r Reading<'r>,
    seen: &'m Map<String, Value>,
}

impl Key<'_, '_> {
    fn take<E: Error>(self, key: String) -> Result<String, E> {
        if self.reading.strict && self.seen.contains_key(&key) {
            let message = format!("the key {key:?} stands twice in one map");
            return Err(self.reading.refuse(message, "keep one of the two"));
        }
        Ok(key)
    }
}

impl<'de> DeserializeSeed<'de> for Key<'_, '_> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Key<'_, '_> {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key that is a text")
    }

    fn visit_bool<E: Error>(self, key: bool) -> Result<String, E> {
        self.take(key.to_string())
    }

    fn visit_i64<E: Error>(self, key: i64) -> Result<String, E> {
        self.take(key.to_string())
    }

    fn visit_u64<E: Error>(self, key: u64) -> Result<String, E> {
        self.take(key.to_string())
    }

    fn visit_f64<E: Error>(self, key: f64) -> Result<String, E> {
        self.take(key.to_string())
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<String, E> {
        self.take(key.to_owned())
    }

    fn visit_borrowed_str<E: Error>(self, key: &'de str) -> Result<String, E> {
        let key = match self.reading.word(key) {
            Some(word) => word.to_string(),
            None => key.to_owned(),
        };
        self.take(key)
    }

    /// A key without a text: an empty one, or null. No API has such a key, so the map is somebody else's.
    fn visit_unit<E: Error>(self) -> Result<String, E> {
        if self.reading.strict {
            let message = "a key is empty".to_owned();
            return Err(self.reading.refuse(message, "give it a name"));
        }
        self.take(String::new())
    }

    /// A key that is itself a map, as `{{ .Values.name }}` of a template is.
    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<String, A::Error> {
        if self.reading.strict {
            let message = "a key is a map".to_owned();
            return Err(self.reading.refuse(
                message,
                "write a text there; a template has to be rendered first",
            ));
        }
        let lenient = Any(self.reading);
        while let Some(key) = access.next_key_seed(lenient)? {
            drop((key, access.next_value_seed(lenient)?));
        }
        self.take(String::new())
    }
}
