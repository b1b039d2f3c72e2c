//! Amounts of money that are kept as texts: "12.5" and "12.50" are one amount and two texts, so a right solution that writes
//! the other one fails.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::domain::Domain;
use crate::problem::Problem;

/// Records of a collection that are read.
const READ: usize = 200;
const SYMBOLS: &str = "$€£¥₹₽₩";
const CODES: [&str; 14] = [
    "USD", "EUR", "GBP", "JPY", "CHF", "CNY", "INR", "CAD", "AUD", "NZD", "SEK", "NOK", "DKK",
    "PLN",
];

/// Returns true for a text that is an amount: a number with two decimals, or any number with a currency.
#[must_use]
pub fn is_amount(text: &str) -> bool {
    let (number, currency) = without_currency(text.trim());
    let number = number.trim().trim_start_matches(['+', '-', '−']);
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let (whole, decimals) = match number.rfind(['.', ',']) {
        Some(at) if number.len() - at <= 3 => (&number[..at], Some(&number[at + 1..])),
        _ => (number, None),
    };
    let mut groups = whole.split([',', '.', ' ', '\u{a0}', '\'']);
    let first = groups.next().unwrap_or_default();
    let grouped = digits(first)
        && (first == "0" || !first.starts_with('0'))
        && groups.all(|group| group.len() == 3 && digits(group));
    let decimals = match decimals {
        Some(decimals) => digits(decimals) && (currency || decimals.len() == 2),
        None => currency,
    };
    grouped && decimals
}

/// Returns a text without the currency before or behind its number, and true if there was one.
fn without_currency(text: &str) -> (&str, bool) {
    let symbol = |c: char| SYMBOLS.contains(c);
    let bare = text.trim_start_matches(symbol).trim_end_matches(symbol);
    let coded = CODES.iter().find_map(|code| {
        bare.strip_prefix(*code)
            .or_else(|| bare.strip_suffix(*code))
    });
    (
        coded.unwrap_or(bare),
        bare.len() < text.len() || coded.is_some(),
    )
}

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
    fn amounts_are_told_from_ids_dates_and_plain_numbers() {
        for amount in [
            "12.50",
            "0.00",
            "-3.25",
            "1,250.00",
            "1.250,00",
            "1 250,00",
            "$5",
            "€ 12,5",
            "12 EUR",
            "USD 1,250",
            "12.50 $",
        ] {
            assert!(is_amount(amount), "{amount}");
        }
        for other in [
            "10201",
            "12",
            "2025-01-01",
            "01.05",
            "09.30",
            "1.2.3",
            "1.5",
            "3 days",
            "P12.50",
            "EUR",
            "",
            "$",
            "12.500",
            "1,25.00",
        ] {
            assert!(!is_amount(other), "{other}");
        }
    }

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
