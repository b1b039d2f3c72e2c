//! Placeholders of a template: facts with their values, the records that they lead to, and what is computed from them.

use std::borrow::Cow;

use agoge_sandbox::{Overlay, View};
use serde_json::{Map, Value};

use crate::domain::Domain;
use crate::expression::{Names, first, walk};
use crate::template::{Branch, Each, Template};

/// Elements that one loop goes through, at most.
const LONGEST_LOOP: usize = 100;

/// Facts with their values, and the records that they lead to.
#[derive(Clone)]
pub(crate) struct Bound<'a> {
    pub domain: &'a Domain,
    pub template: &'a Template,
    pub facts: Vec<(&'a str, Value)>,
    /// The branch whose computed values have a meaning, beside those of the template.
    branch: Option<&'a Branch>,
    /// The element of a loop under way, with its name.
    item: Option<(&'a str, Value)>,
}

impl<'a> Bound<'a> {
    pub(crate) fn new(
        domain: &'a Domain,
        template: &'a Template,
        facts: Vec<(&'a str, Value)>,
    ) -> Self {
        Self {
            domain,
            template,
            facts,
            branch: None,
            item: None,
        }
    }

    /// Returns the same facts with the computed values of a branch.
    pub(crate) fn in_branch(&self, branch: &'a Branch) -> Self {
        Self {
            branch: Some(branch),
            ..self.clone()
        }
    }

    /// Returns the same facts once for each element of a loop; once without one where there is no loop.
    ///
    /// # Errors
    /// The list is missing, no list, or too long.
    pub(crate) fn each(&self, each: Option<&'a Each>) -> Result<Vec<Cow<'_, Self>>, String> {
        let Some(Each { item, list }) = each else {
            return Ok(vec![Cow::Borrowed(self)]);
        };
        let Some(Value::Array(items)) = list.value(self)? else {
            return Err(format!("the loop `{}` has no list", list.text));
        };
        if items.len() > LONGEST_LOOP {
            return Err(format!(
                "the loop `{}` is longer than {LONGEST_LOOP}",
                list.text
            ));
        }
        let one = |value| {
            Cow::Owned(Self {
                item: Some((item.as_str(), value)),
                ..self.clone()
            })
        };
        Ok(items.into_iter().map(one).collect())
    }

    /// The value at a path such as `fact`, `fact.field`, `linked.items[0].price` or a computed value's name; `None` where it
    /// is missing, or has none.
    pub(crate) fn get(&self, path: &str) -> Option<Value> {
        self.at(path).ok().flatten()
    }

    /// The value at a path; `None` where it is missing.
    ///
    /// # Errors
    /// The reason why a computed value has none.
    pub(crate) fn at(&self, path: &str) -> Result<Option<Value>, String> {
        let name = first(path);
        let rest = path.get(name.len()..).unwrap_or_default();
        if rest.is_empty() {
            return self.value(name);
        }
        match self.of_name(name) {
            Some(record) => {
                // A field's own name may have points.
                let whole = rest.strip_prefix('.').and_then(|field| record.get(field));
                Ok(whole.cloned().or_else(|| walk(record, rest)))
            }
            None => Ok(self.value(name)?.and_then(|value| walk(&value, rest))),
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
            let value = self.at(path)?.ok_or_else(|| self.unbound(path))?;
            filled.push_str(before);
            filled.push_str(&text(&value));
            rest = left;
        }
        filled.push_str(rest);
        Ok(filled)
    }

    /// A value: that of the placeholder when the pattern is nothing else, a text otherwise.
    pub(crate) fn placed(&self, pattern: &str) -> Result<Value, String> {
        let alone = pattern
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'))
            .filter(|p| !p.contains('{'));
        match alone {
            Some(path) => self.at(path)?.ok_or_else(|| self.unbound(path)),
            None => self.fill(pattern).map(Value::from),
        }
    }

    /// Returns a value with the placeholders of its texts filled, at every depth.
    pub(crate) fn filled(&self, value: &Value) -> Result<Value, String> {
        Ok(match value {
            Value::String(pattern) => self.placed(pattern)?,
            Value::Array(items) => {
                let items = items.iter().map(|item| self.filled(item));
                Value::Array(items.collect::<Result<_, _>>()?)
            }
            Value::Object(map) => {
                let fields = map
                    .iter()
                    .map(|(key, value)| Ok((key.clone(), self.filled(value)?)));
                Value::Object(fields.collect::<Result<Map<_, _>, String>>()?)
            }
            other => other.clone(),
        })
    }

    fn unbound(&self, path: &str) -> String {
        match self.template.knows(self.branch, first(path)) {
            true if self.template.root(path).is_none() => format!("`{{{path}}}` has no value"),
            _ => format!("`{{{path}}}` names neither a fact nor a linked record"),
        }
    }
}

impl Names for Bound<'_> {
    fn now(&self) -> &str {
        self.domain.now.trim()
    }

    fn value(&self, name: &str) -> Result<Option<Value>, String> {
        if let Some((_, value)) = self.item.as_ref().filter(|(item, _)| *item == name) {
            return Ok(Some(value.clone()));
        }
        if let Some((_, value)) = self.facts.iter().find(|(fact, _)| *fact == name) {
            return Ok(Some(value.clone()));
        }
        let of_branch = self.branch.and_then(|branch| branch.compute.get(name));
        if let Some(written) = of_branch.or_else(|| self.template.compute.get(name)) {
            return written.value(self);
        }
        // A link to itself would never end; `root` detects that.
        let link = self
            .template
            .root(name)
            .and_then(|_| self.template.linked.get(name));
        match link {
            Some(link) => self.at(&link.by),
            None if name == "now" => Ok(Some(Value::from(self.now()))),
            None => Ok(None),
        }
    }

    fn of_name(&self, name: &str) -> Option<&Value> {
        if self.item.as_ref().is_some_and(|(item, _)| *item == name) {
            return None;
        }
        let collection = self.template.collection(name)?;
        let id = self.value(name).ok()??;
        self.domain.state.get(collection, id.as_str()?)
    }

    fn record(&self, collection: &str, id: &str) -> Option<Value> {
        let record = self.domain.state.get(collection, id)?;
        Some(with_id(record, id))
    }

    fn records(&self, collection: &str, by: Option<(&str, &Value)>) -> Result<Vec<Value>, String> {
        let state = &self.domain.state;
        if !state.collections().any(|one| one == collection) {
            return Err(format!("there is no collection `{collection}`"));
        }
        let overlay = Overlay::default();
        let view = View {
            base: state,
            overlay: &overlay,
        };
        let ids = match by {
            Some((field, value)) => view.find(collection, field, value),
            None => view.ids(collection),
        };
        Ok(ids
            .iter()
            .filter_map(|id| self.record(collection, id))
            .collect())
    }
}

/// Returns a record with its id as the field `id`, where it has no such field.
fn with_id(record: &Value, id: &str) -> Value {
    let mut record = record.clone();
    if let Value::Object(map) = &mut record
        && !map.contains_key("id")
    {
        map.insert("id".into(), Value::from(id));
    }
    record
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
