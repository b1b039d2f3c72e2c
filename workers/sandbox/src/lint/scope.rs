//! The names that a body of Python binds.

use std::collections::BTreeSet;

use ruff_python_ast::visitor::{Visitor, walk_except_handler, walk_expr, walk_pattern, walk_stmt};
use ruff_python_ast::{ExceptHandler, Expr, ExprContext, Parameters, Pattern, Stmt};

/// Returns the names that a body binds, not those within functions and classes of its own. Names of comprehensions count,
/// although they do not leave them.
pub(super) fn bound(body: &[Stmt]) -> BTreeSet<String> {
    let mut binder = Binder::default();
    for statement in body {
        binder.visit_stmt(statement);
    }
    binder.names
}

/// The names of a function's parameters.
pub(super) fn parameters(parameters: &Parameters) -> BTreeSet<String> {
    let listed = parameters
        .iter_non_variadic_params()
        .map(|parameter| parameter.parameter.name.to_string());
    let rest = [&parameters.vararg, &parameters.kwarg]
        .into_iter()
        .flatten();
    listed
        .chain(rest.map(|parameter| parameter.name.to_string()))
        .collect()
}

#[derive(Default)]
struct Binder {
    names: BTreeSet<String>,
}

impl<'a> Visitor<'a> for Binder {
    fn visit_stmt(&mut self, statement: &'a Stmt) {
        match statement {
            Stmt::FunctionDef(function) => {
                self.names.insert(function.name.to_string());
            }
            Stmt::ClassDef(class) => {
                self.names.insert(class.name.to_string());
            }
            Stmt::Import(import) => {
                for alias in &import.names {
                    let first = alias.name.split('.').next().unwrap_or_default();
                    let name = alias.asname.as_ref().map_or(first, |name| name.as_str());
                    self.names.insert(name.to_owned());
                }
            }
            Stmt::ImportFrom(import) => {
                for alias in &import.names {
                    let name = alias.asname.as_ref().unwrap_or(&alias.name);
                    self.names.insert(name.to_string());
                }
            }
            Stmt::Global(global) => {
                self.names
                    .extend(global.names.iter().map(ToString::to_string));
            }
            _ => walk_stmt(self, statement),
        }
    }

    fn visit_annotation(&mut self, _: &'a Expr) {}

    fn visit_pattern(&mut self, pattern: &'a Pattern) {
        let name = match pattern {
            Pattern::MatchAs(named) => named.name.as_ref(),
            Pattern::MatchStar(star) => star.name.as_ref(),
            Pattern::MatchMapping(mapping) => mapping.rest.as_ref(),
            _ => None,
        };
        self.names.extend(name.map(ToString::to_string));
        walk_pattern(self, pattern);
    }

    fn visit_except_handler(&mut self, handler: &'a ExceptHandler) {
        let ExceptHandler::ExceptHandler(named) = handler;
        self.names
            .extend(named.name.as_ref().map(ToString::to_string));
        walk_except_handler(self, handler);
    }

    fn visit_expr(&mut self, expression: &'a Expr) {
        match expression {
            Expr::Name(name) if name.ctx == ExprContext::Store => {
                self.names.insert(name.id.to_string());
            }
            Expr::Lambda(_) => {}
            _ => walk_expr(self, expression),
        }
    }
}
