//! The tables of a SQLite file as collections: rows by primary key.

use std::path::Path;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, Row};
use serde_json::{Map, Value, json};

use crate::records::Records;

/// The collection that has the definition of each table, so that a new or dropped table is a change.
const DEFINITIONS: &str = "sqlite_schema";

/// Adds the rows of all tables. A row's id is its primary key, of several columns joined by commas, else its number.
///
/// # Errors
/// The file is no database.
pub(crate) fn add(all: &mut Records, path: &Path) -> rusqlite::Result<()> {
    // A write-ahead log can only be read by one who may write; nothing is written.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let database = Connection::open_with_flags(path, flags)?;
    let listed =
        "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
    let mut listed = database.prepare(listed)?;
    let tables = listed.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let tables: Vec<(String, String)> = tables.collect::<rusqlite::Result<_>>()?;
    for (table, definition) in tables {
        let definitions = all.entry(DEFINITIONS.to_owned()).or_default();
        definitions.insert(table.clone(), json!({ "sql": definition }));
        let rows = rows(&database, &table)?;
        all.entry(table).or_default().extend(rows);
    }
    Ok(())
}

fn rows(database: &Connection, table: &str) -> rusqlite::Result<Vec<(String, Value)>> {
    let quoted = format!("\"{}\"", table.replace('"', "\"\""));
    let key = primary_key(database, &quoted)?;
    let columns = match key.is_empty() {
        true => "rowid, *",
        false => "*",
    };
    let mut selected = database.prepare(&format!("SELECT {columns} FROM {quoted}"))?;
    let skipped = usize::from(key.is_empty());
    let names: Vec<String> = selected
        .column_names()
        .into_iter()
        .map(str::to_owned)
        .collect();
    let names = names.get(skipped..).unwrap_or_default();
    let mut found = Vec::new();
    let mut rows = selected.query([])?;
    while let Some(row) = rows.next()? {
        let mut record = Map::new();
        for (at, name) in names.iter().enumerate() {
            record.insert(name.clone(), value(row, at + skipped)?);
        }
        let id = match key.is_empty() {
            true => row.get::<_, i64>(0)?.to_string(),
            false => {
                let parts = key.iter().map(|column| plain(record.get(column)));
                parts.collect::<Vec<_>>().join(",")
            }
        };
        found.push((id, Value::Object(record)));
    }
    Ok(found)
}

/// The columns of the primary key, in its order.
fn primary_key(database: &Connection, quoted: &str) -> rusqlite::Result<Vec<String>> {
    let mut info = database.prepare(&format!("PRAGMA table_info({quoted})"))?;
    let columns = info.query_map([], |row| Ok((row.get(5)?, row.get(1)?)))?;
    let mut key: Vec<(i64, String)> = columns.collect::<rusqlite::Result<_>>()?;
    key.retain(|(place, _)| *place > 0);
    key.sort();
    Ok(key.into_iter().map(|(_, name)| name).collect())
}

fn plain(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
        None => String::new(),
    }
}

fn value(row: &Row<'_>, at: usize) -> rusqlite::Result<Value> {
    Ok(match row.get_ref(at)? {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => json!(number),
        ValueRef::Real(number) => json!(number),
        ValueRef::Text(text) => json!(String::from_utf8_lossy(text)),
        ValueRef::Blob(bytes) => json!({ "hex": agoge_digest::hex(bytes) }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_records_by_primary_key_or_number() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.db");
        let database = Connection::open(&path).unwrap();
        let script =
            "CREATE TABLE seats (flight TEXT, seat INTEGER, free REAL, PRIMARY KEY (seat, flight));
            CREATE TABLE notes (text TEXT, raw BLOB);
            INSERT INTO seats VALUES ('f1', 3, 0.5);
            INSERT INTO notes VALUES ('hello', x'0aff');";
        database.execute_batch(script).unwrap();
        drop(database);
        let mut all = Records::new();
        add(&mut all, &path).unwrap();
        assert_eq!(
            all["seats"]["3,f1"],
            json!({"flight": "f1", "seat": 3, "free": 0.5})
        );
        assert_eq!(
            all["notes"]["1"],
            json!({"text": "hello", "raw": {"hex": "0aff"}})
        );
        assert!(all[DEFINITIONS].contains_key("seats"));
        std::fs::write(
            &path,
            "no database, but long enough to have a header that is wrong",
        )
        .unwrap();
        assert!(add(&mut all, &path).is_err());
    }
}
