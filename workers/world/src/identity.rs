//! The fields by which a user knows a record, instead of its id.

use std::collections::HashMap;

use serde_json::Value;

use crate::bound::text;
use crate::domain::Domain;
use crate::expression::walk;

/// Returns a record's values in these fields, as they are said; `None` where it lacks one.
pub(crate) fn identity(
    domain: &Domain,
    collection: &str,
    id: &str,
    by: &[String],
) -> Option<Vec<String>> {
    let record = domain.state.get(collection, id)?;
    let value = |field: &String| {
        let value = record.get(field).cloned().or_else(|| walk(record, field))?;
        let plain = matches!(value, Value::String(_) | Value::Number(_) | Value::Bool(_));
        Some(text(&value)).filter(|text| plain && !text.trim().is_empty())
    };
    by.iter().map(value).collect()
}

/// The records of a collection that no other has the same values as, in some fields.
pub(crate) struct Identities<'a> {
    domain: &'a Domain,
    collection: &'a str,
    by: &'a [String],
    /// The number of records with these values, and the first of them.
    known: HashMap<Vec<String>, (usize, &'a str)>,
}

impl<'a> Identities<'a> {
    pub(crate) fn of(domain: &'a Domain, collection: &'a str, by: &'a [String]) -> Self {
        let mut known = HashMap::new();
        for id in domain.state.ids(collection) {
            if let Some(values) = identity(domain, collection, id, by) {
                known.entry(folded(&values)).or_insert((0, id)).0 += 1;
            }
        }
        Self {
            domain,
            collection,
            by,
            known,
        }
    }

    /// Returns true when a record has these fields, and no other has the same values in them.
    pub(crate) fn is_unique(&self, id: &str) -> bool {
        let values = identity(self.domain, self.collection, id, self.by);
        values.is_some_and(|values| self.find(&values).is_some())
    }

    /// Returns the record with these values, where there is one only.
    pub(crate) fn find(&self, values: &[String]) -> Option<&'a str> {
        match self.known.get(&folded(values)) {
            Some((1, id)) => Some(*id),
            _ => None,
        }
    }
}

/// Values that are said alike are the same.
fn folded(values: &[String]) -> Vec<String> {
    values
        .iter()
        .map(|value| value.trim().to_lowercase())
        .collect()
}
