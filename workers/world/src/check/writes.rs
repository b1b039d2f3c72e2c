//! Records that calls write, held against schema.json and against the records there are.

use std::collections::BTreeSet;

use agoge_sandbox::{Change, Overlay, Shape, State, View, record_schema, resolve};
use jsonschema::Validator;
use serde_json::{Map, Value, json};

use super::clock::{DateForm, date_form};
use crate::domain::Domain;

/// Records that a written value is compared with.
const COMPARED: usize = 200;
/// Records with a value, at least, before their common form is a rule.
const RULE: usize = 3;

/// One record before and after a call.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Write {
    pub collection: String,
    pub id: String,
    pub before: Option<Value>,
    pub after: Option<Value>,
}

/// Returns the records that differ between two moments of an episode, in order.
pub(crate) fn writes(state: &State, before: &Overlay, after: &Overlay) -> Vec<Write> {
    let mut touched = BTreeSet::new();
    for overlay in [before, after] {
        for change in overlay.diff(state) {
            touched.insert((change.collection, change.id));
        }
    }
    let at = |overlay: &Overlay, collection: &str, id: &str| {
        let view = View {
            base: state,
            overlay,
        };
        view.get(collection, id).cloned()
    };
    let write = |(collection, id): (String, String)| Write {
        before: at(before, &collection, &id),
        after: at(after, &collection, &id),
        collection,
        id,
    };
    let all = touched.into_iter().map(write);
    all.filter(|write| write.before != write.after).collect()
}

impl Write {
    /// Returns the differences field by field, within objects too. A record that came or went has the field `*`.
    pub(crate) fn changes(&self) -> Vec<Change> {
        let mut found = Vec::new();
        match (&self.before, &self.after) {
            (Some(Value::Object(before)), Some(Value::Object(after))) => {
                self.within("", before, after, &mut found);
            }
            (before, after) => found.push(self.change("*", before.as_ref(), after.as_ref())),
        }
        found
    }

    fn within(
        &self,
        path: &str,
        before: &Map<String, Value>,
        after: &Map<String, Value>,
        found: &mut Vec<Change>,
    ) {
        let fields: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        for field in fields {
            let place = match path {
                "" => field.clone(),
                path => format!("{path}.{field}"),
            };
            match (before.get(field), after.get(field)) {
                (before, after) if before == after => {}
                (Some(Value::Object(before)), Some(Value::Object(after))) => {
                    self.within(&place, before, after, found);
                }
                (before, after) => found.push(self.change(&place, before, after)),
            }
        }
    }

    fn change(&self, field: &str, before: Option<&Value>, after: Option<&Value>) -> Change {
        Change {
            collection: self.collection.clone(),
            id: self.id.clone(),
            field: field.to_owned(),
            before: before.cloned().unwrap_or_default(),
            after: after.cloned().unwrap_or_default(),
        }
    }
}

/// The cause why a record should not be written so.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Fault {
    /// The same for the same cause in other records.
    pub key: String,
    /// The cause, with the record.
    pub message: String,
}

/// The rules that a domain's records keep.
pub(super) struct Rules<'a> {
    domain: &'a Domain,
    /// Of a part of the state; `None` where the schema is none.
    validator: Option<Validator>,
}

impl<'a> Rules<'a> {
    pub(super) fn of(domain: &'a Domain) -> Self {
        let mut schema = domain.schema.clone();
        if let Value::Object(top) = &mut schema {
            top.remove("required");
            top.remove("minProperties");
        }
        // Clocks here have no offset, which RFC 3339 wants.
        let options = jsonschema::options()
            .should_validate_formats(true)
            .with_format("date", |text: &str| date_form(text) == Some(DateForm::Date))
            .with_format("date-time", |text: &str| {
                date_form(text) == Some(DateForm::Time)
            });
        Self {
            domain,
            validator: options.build(&schema).ok(),
        }
    }

    /// Returns the faults that a write brings in; those that the record had before are not counted.
    pub(super) fn faults(&self, write: &Write) -> Vec<Fault> {
        let foreign = self.domain.foreign.as_ref();
        let (Some(after), false) = (
            &write.after,
            foreign.is_some_and(|it| it.owns(&write.collection)),
        ) else {
            // The schema is about the records that are kept here.
            return Vec::new();
        };
        let old = write.before.as_ref();
        let old = old.map_or_else(Vec::new, |record| self.errors(write, record));
        let mut found = self.errors(write, after);
        found.retain(|fault| !old.contains(fault));
        if found.is_empty() {
            found.extend(self.unknown(write, after));
        }
        found
    }

    /// Returns the errors of a record by the schema.
    fn errors(&self, write: &Write, record: &Value) -> Vec<Fault> {
        let Some(validator) = &self.validator else {
            return Vec::new();
        };
        let Write { collection, id, .. } = write;
        let (records, depth) = match self.domain.state.shape(collection) {
            Shape::Records => (json!({ id: record }), 2),
            Shape::List(_) => (json!([record]), 2),
            Shape::Singleton => (record.clone(), 1),
        };
        let part = json!({ collection: records });
        let fault = |error: jsonschema::ValidationError<'_>| {
            let path = error.instance_path().to_string();
            let fields: Vec<&str> = path.split('/').skip(1 + depth).collect();
            let place = match fields.is_empty() {
                true => collection.clone(),
                false => format!("{collection}.{}", fields.join(".")),
            };
            Fault {
                key: format!("{place} {}", error.schema_path()),
                message: format!("`{place}` of {id}: {error}"),
            }
        };
        validator.iter_errors(&part).map(fault).collect()
    }

    /// Returns what the schema lets pass and no record has: collections, fields, kinds of values and forms of dates.
    fn unknown(&self, write: &Write, after: &Value) -> Vec<Fault> {
        let (domain, Write { collection, id, .. }) = (self.domain, write);
        if !knows_collection(domain, collection) {
            return vec![Fault {
                key: format!("{collection} unknown"),
                message: format!(
                    "neither state.json nor schema.json has the collection `{collection}`"
                ),
            }];
        }
        let mut found = Vec::new();
        let before = write.before.as_ref().and_then(Value::as_object);
        for (field, value) in after.as_object().into_iter().flatten() {
            if before.is_some_and(|before| before.get(field) == Some(value)) {
                continue;
            }
            let place = format!("{collection}.{field}");
            let mut add = |kind: &str, cause: String| {
                found.push(Fault {
                    key: format!("{place} {kind}"),
                    message: format!("`{place}` of {id}: {cause}"),
                });
            };
            if !knows_field(domain, collection, field) {
                add(
                    "unknown",
                    "neither a record of state.json nor schema.json has this field".into(),
                );
                continue;
            }
            let others = values(domain, collection, field);
            if others.len() < RULE {
                continue;
            }
            if let Some(form) = common(others.iter().map(|v| v.as_str().and_then(date_form)))
                && value
                    .as_str()
                    .is_some_and(|text| date_form(text) != Some(form))
            {
                let form = match form {
                    DateForm::Date => "an ISO date",
                    DateForm::Time => "an ISO date and time",
                };
                add(
                    "date",
                    format!("{value} is written where every other record has {form}"),
                );
            } else if let Some(kind) = common(others.iter().map(|v| kind(v)))
                && schema_of(domain, collection, id, field).is_none()
                && self::kind(value).is_some_and(|own| own != kind)
            {
                add(
                    "kind",
                    format!("{value} is written where every other record has a {kind}"),
                );
            }
        }
        found
    }
}

/// Returns true when state.json or schema.json has a collection, or the schema allows any.
pub(super) fn knows_collection(domain: &Domain, collection: &str) -> bool {
    let top = resolve(&domain.schema, &domain.schema);
    let named = top.get("properties").and_then(|all| all.get(collection));
    let any = match top.get("additionalProperties") {
        Some(Value::Bool(any)) => *any,
        Some(rest) => rest.is_object(),
        None => top.get("patternProperties").is_some(),
    };
    any || named.is_some() || domain.state.collections().any(|one| one == collection)
}

/// Returns true when a record of a collection has a field, or the schema of its records names it or allows any on purpose.
pub(super) fn knows_field(domain: &Domain, collection: &str, field: &str) -> bool {
    let has = |id: &str| {
        let record = domain.state.get(collection, id);
        record.is_some_and(|record| record.get(field).is_some())
    };
    if domain.state.ids(collection).any(has) {
        return true;
    }
    let shape = domain.state.shape(collection);
    let id = domain.state.ids(collection).next().unwrap_or_default();
    match record_schema(&domain.schema, shape, collection, id) {
        Some(schema) => allows(resolve(&domain.schema, schema), field),
        // Nothing is known about its records.
        None => domain.state.ids(collection).next().is_none(),
    }
}

/// Returns true when the schema of an object names a field, or does not list the fields there are.
fn allows(schema: &Value, field: &str) -> bool {
    const OPEN: [&str; 6] = ["patternProperties", "allOf", "anyOf", "oneOf", "if", "$ref"];
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return true;
    };
    let rest = match schema.get("additionalProperties") {
        Some(Value::Bool(any)) => *any,
        Some(rest) => rest.is_object(),
        None => false,
    };
    rest || properties.contains_key(field) || OPEN.iter().any(|key| schema.get(key).is_some())
}

/// Returns the schema of a field, where the schema has one.
fn schema_of<'a>(domain: &'a Domain, collection: &str, id: &str, field: &str) -> Option<&'a Value> {
    let shape = domain.state.shape(collection);
    let record = record_schema(&domain.schema, shape, collection, id)?;
    resolve(&domain.schema, record)
        .get("properties")?
        .get(field)
}

/// Returns the values that the records of state.json have in a field; empty texts and nulls are left out.
fn values<'a>(domain: &'a Domain, collection: &str, field: &str) -> Vec<&'a Value> {
    let ids = domain.state.ids(collection).take(COMPARED);
    let values = ids.filter_map(|id| domain.state.get(collection, id)?.get(field));
    values
        .filter(|value| !value.is_null() && *value != "")
        .collect()
}

/// Returns what all have in common.
fn common<T: Copy + PartialEq>(mut all: impl Iterator<Item = Option<T>>) -> Option<T> {
    let first = all.next()??;
    all.all(|one| one == Some(first)).then_some(first)
}

fn kind(value: &Value) -> Option<&'static str> {
    match value {
        Value::Null => None,
        Value::Bool(_) => Some("boolean"),
        Value::Number(_) => Some("number"),
        Value::String(_) => Some("text"),
        Value::Array(_) => Some("list"),
        Value::Object(_) => Some("object"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_shown_within_objects_and_lists_are_shown_whole() {
        let write = Write {
            collection: "c".into(),
            id: "1".into(),
            before: Some(json!({"a": {"b": 1, "c": 2}, "l": [1], "same": 3})),
            after: Some(json!({"a": {"b": 1, "c": 3}, "l": [1, 2], "same": 3, "new": null})),
        };
        let shown = |c: &Change| format!("{} {} -> {}", c.field, c.before, c.after);
        let shown: Vec<String> = write.changes().iter().map(shown).collect();
        assert_eq!(shown, ["a.c 2 -> 3", "l [1] -> [1,2]", "new null -> null"]);
    }
}
