//! The names that a `tools.py` uses: collections and fields of records, the exceptions it raises on purpose, and the
//! functions that write.
//!
//! A record is followed from `db_get`, or from a helper that returns what `db_get` gave, into a variable of one function.
//! What is not traceable in this way is left out, so every fact is certain.

mod helpers;
mod walk;

use std::collections::BTreeSet;

use ruff_python_ast::visitor::{Visitor, walk_expr};
use ruff_python_ast::{Expr, Stmt, StmtFunctionDef};

use crate::lint::Lint;
use helpers::helpers;
use walk::Walk;

/// A collection, or a field of its records, as a source names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    /// The line, from 1.
    pub line: u32,
    /// The collection.
    pub collection: String,
    /// The field of a record; `None` where the collection alone is named.
    pub field: Option<String>,
    /// True when the field is written and not read.
    pub written: bool,
}

/// A `raise` of a named exception.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raise {
    /// Its first line, from 1.
    pub first: u32,
    /// Its last line.
    pub last: u32,
    /// The exception's class.
    pub kind: String,
}

/// The names that a source uses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Collections and fields, in the order of lines.
    pub used: Vec<Name>,
    /// Exceptions that are raised on purpose.
    pub raises: Vec<Raise>,
    /// The functions that write or delete records, themselves or through others.
    pub writers: BTreeSet<String>,
}

/// Returns the names that a source uses.
///
/// # Errors
/// Where the source does not parse.
pub fn names(source: &str) -> Result<Names, Lint> {
    let parsed = ruff_python_parser::parse_module(source).map_err(|e| Lint::syntax(source, &e))?;
    let body = &parsed.syntax().body;
    let functions: Vec<&StmtFunctionDef> =
        body.iter().filter_map(Stmt::as_function_def_stmt).collect();
    let helpers = helpers(&functions);
    let mut walk = Walk::new(source, &helpers);
    for statement in body {
        walk.records.clear();
        walk.visit_stmt(statement);
    }
    let mut used = walk.used;
    used.sort();
    used.dedup();
    Ok(Names {
        used,
        raises: walk.raises,
        writers: writers(&functions),
    })
}

/// Returns the functions that write or delete records, themselves or through others.
fn writers(functions: &[&StmtFunctionDef]) -> BTreeSet<String> {
    let called: Vec<(String, Called)> = functions
        .iter()
        .map(|function| {
            let mut called = Called::default();
            for statement in &function.body {
                called.visit_stmt(statement);
            }
            (function.name.to_string(), called)
        })
        .collect();
    let mut found = BTreeSet::from(["db_put".to_owned(), "db_delete".to_owned()]);
    loop {
        let before = found.len();
        for (name, called) in &called {
            if called.0.iter().any(|one| found.contains(one)) {
                found.insert(name.clone());
            }
        }
        if found.len() == before {
            break;
        }
    }
    found.retain(|name| called.iter().any(|(function, _)| function == name));
    found
}

/// The functions that are named.
#[derive(Default)]
struct Called(BTreeSet<String>);

impl<'a> Visitor<'a> for Called {
    fn visit_expr(&mut self, expression: &'a Expr) {
        if let Expr::Name(name) = expression {
            self.0.insert(name.id.to_string());
        }
        walk_expr(self, expression);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = r#"
def look(member: str) -> str:
    m = _member(member)
    b, c = _get("books", m["book"]), db_get("copies", "1")
    m = [m["x"] for m in db_find("holds", "memberr", member)]
    b["waitin"] = c.get("stat") + m["unknown"]
    if b["waiting"]:
        raise KeyError(
            "no")
    db_put("tickets", member, {"topc": 1})
    return db_get("books", "1", "title.main")

def read(x: str) -> str:
    return _member(x)["name"]

def _member(id: str) -> dict:
    return _get("members", id)

def _get(collection: str, id: str) -> dict:
    record = db_get(collection, id)
    if record is None:
        raise ValueError(f"no {id}")
    return record
"#;

    #[test]
    fn collections_and_fields_are_found_through_helpers_and_variables_with_their_lines() {
        let found = names(SOURCE).unwrap();
        let fields: Vec<(u32, &str, &str, bool)> = found
            .used
            .iter()
            .filter_map(|n| {
                Some((
                    n.line,
                    n.collection.as_str(),
                    n.field.as_deref()?,
                    n.written,
                ))
            })
            .collect();
        assert_eq!(
            fields,
            [
                (4, "members", "book", false),
                (5, "holds", "memberr", false),
                (6, "books", "waitin", true),
                (6, "copies", "stat", false),
                (7, "books", "waiting", false),
                (10, "tickets", "topc", true),
                (11, "books", "title", false),
                (14, "members", "name", false),
            ]
        );
        assert!(
            found
                .used
                .iter()
                .any(|n| n.field.is_none() && n.collection == "members" && n.line == 17)
        );
        assert_eq!(found.writers, BTreeSet::from(["look".to_owned()]));
        let kinds: Vec<(u32, u32, &str)> = found
            .raises
            .iter()
            .map(|r| (r.first, r.last, r.kind.as_str()))
            .collect();
        assert_eq!(kinds, [(8, 9, "KeyError"), (22, 22, "ValueError")]);
    }
}
