//! The walk through a `tools.py` that collects the names it uses.

use std::collections::BTreeMap;

use ruff_python_ast::visitor::{Visitor, walk_expr, walk_stmt};
use ruff_python_ast::{Expr, ExprCall, ExprContext, Stmt};
use ruff_text_size::Ranged;

use super::helpers::{Helpers, Returns, source_of};
use super::{Name, Raise};
use crate::lint::line_of;

/// Collects names, following the records of the function that is walked.
pub(super) struct Walk<'a> {
    source: &'a str,
    helpers: &'a Helpers,
    /// The collection of each variable that holds a record.
    pub(super) records: BTreeMap<String, String>,
    pub(super) used: Vec<Name>,
    pub(super) raises: Vec<Raise>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(source: &'a str, helpers: &'a Helpers) -> Self {
        Self {
            source,
            helpers,
            records: BTreeMap::new(),
            used: Vec::new(),
            raises: Vec::new(),
        }
    }

    fn line(&self, at: &impl Ranged) -> u32 {
        line_of(self.source, at.range().start().to_usize())
    }

    fn add(&mut self, at: &impl Ranged, collection: &str, field: Option<&str>, written: bool) {
        let line = self.line(at);
        self.used.push(Name {
            line,
            collection: collection.to_owned(),
            field: field.map(str::to_owned),
            written,
        });
    }

    /// The collection of the record that an expression is.
    fn record(&self, expression: &Expr) -> Option<String> {
        match expression {
            Expr::Name(name) => self.records.get(name.id.as_str()).cloned(),
            Expr::Call(call) => match source_of(call, self.helpers)? {
                (_, Some(collection)) => Some(collection),
                (at, None) => Some(literal(call.arguments.args.get(at)?)?.to_owned()),
            },
            _ => None,
        }
    }

    fn assign(&mut self, target: &Expr, value: &Expr) {
        match (target, value) {
            (Expr::Name(name), value) => match self.record(value) {
                Some(collection) => {
                    self.records.insert(name.id.to_string(), collection);
                }
                None => {
                    self.records.remove(name.id.as_str());
                }
            },
            (Expr::Tuple(targets), Expr::Tuple(values))
                if targets.elts.len() == values.elts.len() =>
            {
                for (target, value) in targets.elts.iter().zip(&values.elts) {
                    self.assign(target, value);
                }
            }
            (target, _) => self.forget(target),
        }
    }

    /// Forgets the variables that a target binds to something else.
    fn forget(&mut self, target: &Expr) {
        match target {
            Expr::Name(name) => {
                self.records.remove(name.id.as_str());
            }
            Expr::Tuple(tuple) => tuple.elts.iter().for_each(|one| self.forget(one)),
            Expr::List(list) => list.elts.iter().for_each(|one| self.forget(one)),
            _ => {}
        }
    }

    fn call(&mut self, call: &ExprCall) {
        let arguments = &call.arguments.args;
        if let Expr::Attribute(attribute) = call.func.as_ref() {
            let read = attribute.attr.as_str() == "get" && !arguments.is_empty();
            if let (true, Some(collection)) = (read, self.record(&attribute.value))
                && let Some(field) = literal(&arguments[0])
            {
                self.add(call, &collection, Some(field), false);
            }
            return;
        }
        let Expr::Name(function) = call.func.as_ref() else {
            return;
        };
        let named = match function.id.as_str() {
            "db_get" | "db_put" | "db_delete" | "db_find" | "db_ids" => arguments.first(),
            name => match self.helpers.get(name) {
                Some(Returns::Named(at)) => arguments.get(*at),
                _ => None,
            },
        };
        let Some(collection) = named.and_then(literal) else {
            return;
        };
        self.add(call, collection, None, false);
        match (function.id.as_str(), arguments.get(1), arguments.get(2)) {
            ("db_find", Some(field), _) | ("db_get", _, Some(field)) => {
                let first = literal(field).and_then(|path| path.split('.').next());
                if let Some(field) = first {
                    self.add(call, collection, Some(field), false);
                }
            }
            ("db_put", _, Some(Expr::Dict(record))) => {
                for item in &record.items {
                    if let Some((key, field)) =
                        item.key.as_ref().and_then(|k| Some((k, literal(k)?)))
                    {
                        self.add(key, collection, Some(field), true);
                    }
                }
            }
            _ => {}
        }
    }
}

impl<'a> Visitor<'a> for Walk<'_> {
    fn visit_stmt(&mut self, statement: &'a Stmt) {
        match statement {
            Stmt::FunctionDef(_) | Stmt::ClassDef(_) => {
                let outside = std::mem::take(&mut self.records);
                walk_stmt(self, statement);
                self.records = outside;
                return;
            }
            Stmt::Assign(assign) => {
                walk_stmt(self, statement);
                for target in &assign.targets {
                    self.assign(target, &assign.value);
                }
                return;
            }
            Stmt::AnnAssign(assign) => {
                walk_stmt(self, statement);
                match &assign.value {
                    Some(value) => self.assign(&assign.target, value),
                    None => self.forget(&assign.target),
                }
                return;
            }
            Stmt::For(each) => self.forget(&each.target),
            Stmt::Raise(raise) => {
                if let Some(kind) = raise.exc.as_deref().and_then(class) {
                    let end = raise.range().end().to_usize();
                    self.raises.push(Raise {
                        first: self.line(raise),
                        last: line_of(self.source, end),
                        kind: kind.to_owned(),
                    });
                }
            }
            _ => {}
        }
        walk_stmt(self, statement);
    }

    fn visit_expr(&mut self, expression: &'a Expr) {
        match expression {
            Expr::ListComp(_) | Expr::SetComp(_) | Expr::DictComp(_) | Expr::Generator(_) => {
                let outside = self.records.clone();
                self.comprehension(expression);
                walk_expr(self, expression);
                self.records = outside;
                return;
            }
            Expr::Lambda(_) => {
                let outside = std::mem::take(&mut self.records);
                walk_expr(self, expression);
                self.records = outside;
                return;
            }
            Expr::Named(named) => {
                walk_expr(self, expression);
                self.assign(&named.target, &named.value);
                return;
            }
            Expr::Subscript(subscript) => {
                if let Some(collection) = self.record(&subscript.value)
                    && let Some(field) = literal(&subscript.slice)
                {
                    let written = matches!(subscript.ctx, ExprContext::Store);
                    self.add(subscript, &collection, Some(field), written);
                }
            }
            Expr::Call(call) => self.call(call),
            _ => {}
        }
        walk_expr(self, expression);
    }
}

impl Walk<'_> {
    /// Forgets the variables that a comprehension has of its own.
    fn comprehension(&mut self, expression: &Expr) {
        let generators = match expression {
            Expr::ListComp(list) => &list.generators[..],
            Expr::SetComp(set) => &set.generators[..],
            Expr::DictComp(dict) => &dict.generators[..],
            Expr::Generator(generator) => &generator.generators[..],
            _ => return,
        };
        for generator in generators {
            self.forget(&generator.target);
        }
    }
}

fn literal(expression: &Expr) -> Option<&str> {
    match expression {
        Expr::StringLiteral(text) => Some(text.value.to_str()),
        _ => None,
    }
}

/// The class of a raised expression, called or not.
fn class(expression: &Expr) -> Option<&str> {
    match expression {
        Expr::Name(name) => Some(name.id.as_str()),
        Expr::Attribute(attribute) => Some(attribute.attr.as_str()),
        Expr::Call(call) => class(&call.func),
        _ => None,
    }
}
