//! Amounts of money that are kept as texts: "12.5" and "12.50" are one amount and two texts, so a right solution that writes
//! the other one fails.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::domain::Domain;
use crate::problem::Problem;
use crate::said::is_amount;

/// Records of a collection that are read.
const READ: usize = 200;

/// Returns a warning for every field that holds amounts as texts, and nothing else.
pub(crate) fn warnings(domain: &Domain) -> Vec<Problem> {
    let mut fields: BTreeMap<String, Field<'_>> = BTreeMap::new();
    for collection in domain.state.collections() {
        for id in domain.state.ids(collection).take(READ) {
            if let Some(record) = domain.state.get(collection, id) {
                read(collection, record, &mut fields);
            }
        }
    }
    let file = domain.dir.join("state.json");
    let told = fields.into_iter().filter(|(_, field)| !field.other);
    told.filter_map(|(path, field)| {
        let message = format!(
            "`{path}` keeps amounts as texts, such as {:?}; \"12.5\" and \"12.50\" are one amount and two texts",
            field.amount?
        );
        let remedy = "keep them as numbers: `\"type\": \"number\"` in schema.json, `float` in the tools";
        Some(Problem::new(&file, message, remedy))
    })
    .collect()
}

/// The texts that a field holds.
#[derive(Default)]
struct Field<'a> {
    amount: Option<&'a str>,
    /// True when it holds a text that is no amount.
    other: bool,
}

fn read<'a>(path: &str, value: &'a Value, fields: &mut BTreeMap<String, Field<'a>>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                read(&format!("{path}.{key}"), value, fields);
            }
        }
        Value::Array(items) => {
            for item in items {
                read(path, item, fields);
            }
        }
        Value::String(text) if !text.trim().is_empty() => {
            let field = fields.entry(path.to_owned()).or_default();
            match is_amount(text) {
                true => field.amount = field.amount.or(Some(text.as_str())),
                false => field.other = true,
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_warned_about_once_and_only_when_it_holds_nothing_but_amounts() {
        let one = serde_json::json!({"paid": "12.50", "note": "12.50", "tags": [{"fee": "3.00"}], "empty": ""});
        let two = serde_json::json!({"paid": "0.00", "note": "late", "tags": []});
        let mut fields = BTreeMap::new();
        read("orders", &one, &mut fields);
        read("orders", &two, &mut fields);
        let told: Vec<&String> = fields
            .iter()
            .filter(|(_, field)| field.amount.is_some() && !field.other)
            .map(|(path, _)| path)
            .collect();
        assert_eq!(told, ["orders.paid", "orders.tags.fee"]);
    }
}
