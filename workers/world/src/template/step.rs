//! The gold, the required calls and the outputs of a branch: each as it is, or once for each element of a list.

use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::written::Written;
use crate::expression::Known;

/// The name of the list's element, and the list.
const FORM: &str = "write `for: item in order.items`, and what is done for each below `do:`";

/// A loop: a name for the element, and the list that it goes through.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Each {
    /// The name of the element.
    pub item: String,
    /// The list, with the elements that the condition leaves.
    pub list: Written,
}

impl Each {
    /// Reads `item in order.items where item.status == open`.
    fn parse(text: &str) -> Result<Self, String> {
        let (item, _) = text.split_once(" in ").ok_or(FORM)?;
        let item = item.trim();
        let plain = |c: char| c.is_alphanumeric() || c == '_';
        if item.is_empty()
            || !item.chars().all(plain)
            || item.starts_with(|c: char| c.is_ascii_digit())
        {
            return Err(format!("`{item}` is no name; {FORM}"));
        }
        Ok(Self {
            item: item.to_owned(),
            list: Written::from(text.trim().to_owned()),
        })
    }

    /// Parses the list.
    pub(super) fn read(&mut self, known: Known<'_>) -> Result<(), String> {
        self.list.read_list(known)
    }
}

/// Calls of the gold, each `{tool: {argument: value}}`, or a loop over them.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "IndexMap<String, Value>")]
pub struct Step {
    pub(crate) each: Option<Each>,
    pub(crate) calls: IndexMap<String, Map<String, Value>>,
}

impl TryFrom<IndexMap<String, Value>> for Step {
    type Error = String;

    fn try_from(map: IndexMap<String, Value>) -> Result<Self, String> {
        let calls = |map: &mut dyn Iterator<Item = (String, Value)>| {
            let call = |(tool, arguments): (String, Value)| match arguments {
                Value::Object(arguments) => Ok((tool, arguments)),
                _ => Err(format!(
                    "the arguments of `{tool}` are no map; write `{tool}: {{}}` for none"
                )),
            };
            map.map(call).collect::<Result<_, String>>()
        };
        if !map.contains_key("for") && !map.contains_key("do") {
            return Ok(Self {
                each: None,
                calls: calls(&mut map.into_iter())?,
            });
        }
        let (each, done) = looped(map)?;
        let Value::Object(done) = done else {
            return Err(FORM.into());
        };
        Ok(Self {
            each: Some(each),
            calls: calls(&mut done.into_iter())?,
        })
    }
}

/// A text that the agent must say, or a loop over one.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "Value")]
pub struct Output {
    pub(crate) each: Option<Each>,
    /// The text, with its placeholders.
    pub text: String,
}

impl TryFrom<Value> for Output {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        match value {
            Value::String(text) => Ok(Self { each: None, text }),
            Value::Object(map) => match looped(map.into_iter().collect())? {
                (each, Value::String(text)) => Ok(Self {
                    each: Some(each),
                    text,
                }),
                _ => Err(FORM.into()),
            },
            other => Err(format!(
                "an output is a text, and {other} is none; put it into quotes"
            )),
        }
    }
}

/// Reads `{for: .., do: ..}`.
fn looped(mut map: IndexMap<String, Value>) -> Result<(Each, Value), String> {
    let (each, done) = (map.shift_remove("for"), map.shift_remove("do"));
    match (each, done) {
        (Some(Value::String(each)), Some(done)) if map.is_empty() => {
            Ok((Each::parse(&each)?, done))
        }
        _ => Err(FORM.into()),
    }
}

impl Step {
    /// The texts in the arguments of its calls, at every depth.
    pub(crate) fn texts(&self) -> Vec<&str> {
        fn collect<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
            match value {
                Value::String(text) => found.push(text),
                Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
                Value::Object(map) => map.values().for_each(|value| collect(value, found)),
                _ => {}
            }
        }
        let mut found = Vec::new();
        for arguments in self.calls.values() {
            arguments
                .values()
                .for_each(|value| collect(value, &mut found));
        }
        found
    }
}
