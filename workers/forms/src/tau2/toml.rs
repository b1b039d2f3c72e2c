//! TOML as JSON: telecom keeps its databases in it.

use serde_json::Value;
use toml_edit::{DocumentMut, InlineTable, Item, Table};

/// Reads a document; dates become texts.
///
/// # Errors
/// The syntax error, with its line.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    let document = text.parse::<DocumentMut>();
    let document = document.map_err(|error| error.to_string())?;
    Ok(table(document.as_table()))
}

fn table(table: &Table) -> Value {
    let entries = table.iter();
    Value::Object(
        entries
            .map(|(key, item)| (key.to_owned(), self::item(item)))
            .collect(),
    )
}

fn inline(table: &InlineTable) -> Value {
    let entries = table.iter();
    Value::Object(
        entries
            .map(|(key, value)| (key.to_owned(), self::value(value)))
            .collect(),
    )
}

fn item(item: &Item) -> Value {
    match item {
        Item::None => Value::Null,
        Item::Value(value) => self::value(value),
        Item::Table(table) => self::table(table),
        Item::ArrayOfTables(tables) => tables.iter().map(table).collect(),
    }
}

fn value(value: &toml_edit::Value) -> Value {
    use toml_edit::Value as Toml;
    match value {
        Toml::String(text) => Value::from(text.value().as_str()),
        Toml::Integer(number) => Value::from(*number.value()),
        Toml::Float(number) => Value::from(*number.value()),
        Toml::Boolean(flag) => Value::from(*flag.value()),
        Toml::Datetime(date) => Value::from(date.value().to_string()),
        Toml::Array(items) => items.iter().map(self::value).collect(),
        Toml::InlineTable(table) => inline(table),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn tables_lists_of_tables_and_dates_are_read() {
        let text = "[[lines]]\nid = \"L1\"\nused = 3.0\n[[lines.items]]\nn = 1\n[phone.sim]\non = true\nsince = 2025-01-02\ntags = [\"a\", {x = 1}]\n";
        assert_eq!(
            parse(text),
            Ok(json!({
                "lines": [{"id": "L1", "used": 3.0, "items": [{"n": 1}]}],
                "phone": {"sim": {"on": true, "since": "2025-01-02", "tags": ["a", {"x": 1}]}},
            }))
        );
        assert!(parse("a = \nb = 1").unwrap_err().contains("line 1"));
    }
}
