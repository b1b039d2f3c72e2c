//! The helpers of a `tools.py` that give back a record.

use std::collections::BTreeMap;

use ruff_python_ast::visitor::{Visitor, walk_stmt};
use ruff_python_ast::{Expr, ExprCall, Stmt, StmtFunctionDef};

/// Rounds in which helpers that call helpers are followed.
const ROUNDS: usize = 4;

/// The record that a function returns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Returns {
    /// One of this collection.
    Of(String),
    /// One of the collection that its parameter of this number names.
    Named(usize),
}

pub(super) type Helpers = BTreeMap<String, Returns>;

/// Returns the functions that give back a record of `db_get`, and nothing else.
pub(super) fn helpers(functions: &[&StmtFunctionDef]) -> Helpers {
    let mut found = Helpers::new();
    for _ in 0..ROUNDS {
        for function in functions {
            if let Some(returns) = returned(function, &found) {
                found.insert(function.name.to_string(), returns);
            }
        }
    }
    found
}

fn returned(function: &StmtFunctionDef, known: &Helpers) -> Option<Returns> {
    let parameters = function.parameters.args.iter();
    let parameters: Vec<&str> = parameters.map(|p| p.parameter.name.as_str()).collect();
    let mut flow = Flow {
        known,
        parameters: &parameters,
        records: BTreeMap::new(),
        returned: Vec::new(),
    };
    for statement in &function.body {
        flow.visit_stmt(statement);
    }
    let first = flow.returned.first()?.clone()?;
    let same = flow.returned.iter().all(|one| one.as_ref() == Some(&first));
    same.then_some(first)
}

/// Follows records through one function.
struct Flow<'a> {
    known: &'a Helpers,
    parameters: &'a [&'a str],
    records: BTreeMap<String, Returns>,
    /// The record of each `return`; `None` where it is something else.
    returned: Vec<Option<Returns>>,
}

impl Flow<'_> {
    fn record(&self, expression: &Expr) -> Option<Returns> {
        match expression {
            Expr::Name(name) => self.records.get(name.id.as_str()).cloned(),
            Expr::Call(call) => {
                let (at, fixed) = source_of(call, self.known)?;
                match (fixed, at) {
                    (Some(collection), _) => Some(Returns::Of(collection)),
                    (None, at) => match call.arguments.args.get(at)? {
                        Expr::StringLiteral(text) => {
                            Some(Returns::Of(text.value.to_str().to_owned()))
                        }
                        Expr::Name(name) => {
                            let at = self
                                .parameters
                                .iter()
                                .position(|p| *p == name.id.as_str())?;
                            Some(Returns::Named(at))
                        }
                        _ => None,
                    },
                }
            }
            _ => None,
        }
    }
}

impl<'a> Visitor<'a> for Flow<'_> {
    fn visit_stmt(&mut self, statement: &'a Stmt) {
        match statement {
            Stmt::Assign(assign) => {
                let record = self.record(&assign.value);
                for target in &assign.targets {
                    if let Expr::Name(name) = target {
                        match &record {
                            Some(record) => {
                                self.records.insert(name.id.to_string(), record.clone());
                            }
                            None => {
                                self.records.remove(name.id.as_str());
                            }
                        }
                    }
                }
            }
            Stmt::Return(end) => {
                let record = end.value.as_deref().and_then(|value| self.record(value));
                self.returned.push(record);
            }
            Stmt::FunctionDef(_) | Stmt::ClassDef(_) => return,
            _ => {}
        }
        walk_stmt(self, statement);
    }
}

/// Returns the number of the argument that names a call's collection, or the collection that the function has fixed; `None`
/// for a call that gives no record.
pub(super) fn source_of(call: &ExprCall, known: &Helpers) -> Option<(usize, Option<String>)> {
    let Expr::Name(function) = call.func.as_ref() else {
        return None;
    };
    match (function.id.as_str(), known.get(function.id.as_str())) {
        // With a third argument, a part of the record comes back.
        ("db_get", _) => (call.arguments.args.len() <= 2).then_some((0, None)),
        (_, Some(Returns::Of(collection))) => Some((0, Some(collection.clone()))),
        (_, Some(Returns::Named(at))) => Some((*at, None)),
        _ => None,
    }
}
