//! Placeholders of a template: facts with their values, and the records that they lead to.

use serde_json::Value;

use crate::domain::Domain;
use crate::template::{Template, first};

/// Facts with their values, and the records that they lead to.
pub(crate) struct Bound<'a> {
    pub domain: &'a Domain,
    pub template: &'a Template,
    pub facts: Vec<(&'a str, Value)>,
}

impl Bound<'_> {
    /// The value at `fact`, `fact.field` or `linked.field`.
    pub(crate) fn get(&self, path: &str) -> Option<Value> {
        let name = first(path);
        let value = match self.facts.iter().find(|(fact, _)| *fact == name) {
            Some((_, value)) => value.clone(),
            None => {
                let by = &self.template.linked.get(name)?.by;
                // A link to itself would never end; `root` detects that.
                self.template.root(name)?;
                self.get(by)?
            }
        };
        match path.split_once('.') {
            None => Some(value),
            Some((_, field)) => {
                let collection = self.template.collection(name)?;
                self.domain
                    .state
                    .get(collection, value.as_str()?)?
                    .get(field)
                    .cloned()
            }
        }
    }

    /// Returns a text with its placeholders filled.
    pub(crate) fn fill(&self, pattern: &str) -> Result<String, String> {
        let mut filled = String::new();
        let mut rest = pattern;
        while let Some((before, after)) = rest.split_once('{') {
            let (path, left) = after
                .split_once('}')
                .ok_or_else(|| format!("`{pattern}` has a `{{` without its `}}`"))?;
            let value = self
                .get(path)
                .ok_or_else(|| format!("`{{{path}}}` names neither a fact nor a linked record"))?;
            filled.push_str(before);
            filled.push_str(&text(&value));
            rest = left;
        }
        filled.push_str(rest);
        Ok(filled)
    }

    /// A value: that of the placeholder when the pattern is nothing else, a text otherwise.
    pub(crate) fn value(&self, pattern: &str) -> Result<Value, String> {
        let alone = pattern
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'))
            .filter(|p| !p.contains('{'));
        match alone {
            Some(path) => self
                .get(path)
                .ok_or_else(|| format!("`{pattern}` names neither a fact nor a linked record")),
            None => self.fill(pattern).map(Value::from),
        }
    }
}

/// Returns a value as it is said: 442.0 is `442`.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => match number.as_f64() {
            Some(float) if float.fract() == 0.0 && float.abs() < 9e15 => (float as i64).to_string(),
            _ => number.to_string(),
        },
        other => other.to_string(),
    }
}
