//! Reports Python that the sandbox cannot run before it runs: each finding has its line and a suggested fix.

use std::fmt;

use ruff_python_ast::visitor::{Visitor, walk_comprehension, walk_expr, walk_stmt};
use ruff_python_ast::{Comprehension, Expr, Stmt, StmtFunctionDef, StmtImportFrom};
use ruff_text_size::Ranged;
use serde::{Deserialize, Serialize};

use crate::classes::Types;

mod attributes;
mod calls;
mod class;
mod declared;
mod gaps;
mod late;
mod scope;

use gaps::SERVE;
pub use late::pitfalls;

/// The kind of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A `tools.py`: public functions must be type-hinted and documented.
    Tools,
    /// A generated checker.
    Checker,
}

/// One problem.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lint {
    /// The line, from 1.
    pub line: u32,
    /// The finding.
    pub message: String,
    /// The suggested fix.
    pub remedy: String,
}

impl fmt::Display for Lint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}; {}", self.line, self.message, self.remedy)
    }
}

impl Lint {
    /// A finding at this place of a source.
    fn at(
        source: &str,
        at: &impl Ranged,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            line: line_of(source, at.range().start().to_usize()),
            message: message.into(),
            remedy: remedy.into(),
        }
    }

    pub(crate) fn syntax(source: &str, error: &ruff_python_parser::ParseError) -> Self {
        Self {
            line: line_of(source, error.location.start().to_usize()),
            message: format!("this is not Python: {}", error.error),
            remedy: "correct the syntax".into(),
        }
    }
}

/// Every problem that keeps a source from being run at all, in the order of lines. [`pitfalls`] returns those that fail only
/// where they are reached.
#[must_use]
pub fn lint(source: &str, kind: Source) -> Vec<Lint> {
    let parsed = match ruff_python_parser::parse_module(source) {
        Ok(parsed) => parsed,
        Err(error) => return vec![Lint::syntax(source, &error)],
    };
    let body = &parsed.syntax().body;
    let mut linter = Linter {
        source,
        types: Types::of_body(source, body),
        depth: 0,
        found: Vec::new(),
    };
    for statement in body {
        if let (Source::Tools, Stmt::FunctionDef(function)) = (kind, statement) {
            linter.hints(function);
        }
        linter.visit_stmt(statement);
    }
    linter.found.sort_by_key(|lint| lint.line);
    linter.found
}

/// The line of a byte offset, from 1.
pub(crate) fn line_of(source: &str, offset: usize) -> u32 {
    let before = source.get(..offset).unwrap_or(source);
    u32::try_from(before.bytes().filter(|b| *b == b'\n').count() + 1).unwrap_or(u32::MAX)
}

struct Linter<'a> {
    source: &'a str,
    types: Types,
    /// The number of functions and classes around.
    depth: usize,
    found: Vec<Lint>,
}

impl Linter<'_> {
    fn add(&mut self, at: &impl Ranged, message: impl Into<String>, remedy: &str) {
        self.found.push(Lint::at(self.source, at, message, remedy));
    }

    fn hints(&mut self, function: &StmtFunctionDef) {
        if function.name.starts_with('_') {
            return;
        }
        if function.is_async {
            let message = format!("the tool `{}` is async", function.name);
            let remedy = "write a plain function; it may call `asyncio.run`";
            self.add(&function.name, message, remedy);
        }
        let parameters = &function.parameters;
        for parameter in parameters.iter_non_variadic_params() {
            if parameter.parameter.annotation.is_none() {
                let message = format!(
                    "parameter `{}` of `{}` has no type hint",
                    parameter.parameter.name, function.name
                );
                self.add(
                    parameter,
                    message,
                    "write one, as `days: int`; the tool's schema is derived from it",
                );
            }
        }
        if parameters.vararg.is_some() || parameters.kwarg.is_some() {
            let message = format!("`{}` takes *args or **kwargs", function.name);
            self.add(
                &function.name,
                message,
                "name each parameter; the tool's schema is derived from them",
            );
        }
        if function.returns.is_none() {
            let message = format!("`{}` has no return type", function.name);
            self.add(&function.name, message, "write one, as `-> str`");
        }
        let documented = matches!(function.body.first(), Some(Stmt::Expr(e)) if e.value.is_string_literal_expr());
        if !documented {
            let message = format!("`{}` has no docstring", function.name);
            self.add(
                &function.name,
                message,
                "say in one what it does; the agent reads it",
            );
        }
    }
}

impl<'a> Visitor<'a> for Linter<'_> {
    fn visit_annotation(&mut self, _: &'a Expr) {}

    fn visit_stmt(&mut self, statement: &'a Stmt) {
        match statement {
            Stmt::ClassDef(class) => self.class(class),
            Stmt::Delete(delete) if crate::erase::deletion(self.source, delete).is_none() => {
                let message = "the sandbox has `del` for items alone, `del d[k]`";
                let remedy = "leave it out, use `pop`, or build a new value";
                self.add(delete, message, &served(remedy));
            }
            Stmt::Try(tried) if tried.is_star => {
                self.add(
                    tried,
                    "the sandbox has no `except*`",
                    &served("use `except`"),
                );
            }
            Stmt::For(each) if each.is_async => self.add(
                each,
                "the sandbox has no `async for`",
                &served("use a plain `for`"),
            ),
            Stmt::With(with) if with.is_async => self.add(
                with,
                "the sandbox has no `async with`",
                &served("use a plain `with`"),
            ),
            Stmt::Import(import) => {
                for name in &import.names {
                    self.module(name, name.name.as_str());
                }
            }
            Stmt::ImportFrom(import) => self.import(import),
            _ => {}
        }
        let inner = matches!(statement, Stmt::FunctionDef(_) | Stmt::ClassDef(_));
        self.depth += usize::from(inner);
        walk_stmt(self, statement);
        self.depth -= usize::from(inner);
    }

    fn visit_comprehension(&mut self, comprehension: &'a Comprehension) {
        if comprehension.is_async {
            self.add(
                comprehension,
                "the sandbox has no `async for`",
                &served("use a plain `for`"),
            );
        }
        walk_comprehension(self, comprehension);
    }

    fn visit_expr(&mut self, expression: &'a Expr) {
        match expression {
            Expr::Yield(_) | Expr::YieldFrom(_) => self.add(
                expression,
                "the sandbox has no `yield`",
                &served("return a list"),
            ),
            Expr::Call(call) => self.options(call),
            _ => {}
        }
        walk_expr(self, expression);
    }
}

fn served(remedy: &str) -> String {
    format!("{remedy}, {SERVE}")
}

impl Linter<'_> {
    fn import(&mut self, import: &StmtImportFrom) {
        let module = import.module.as_ref().map(ToString::to_string);
        let Some(module) = module.filter(|_| import.level == 0) else {
            let remedy = "write all tools into one file";
            return self.add(import, "the sandbox has no imports of other files", remedy);
        };
        let erased = crate::erase::erased_names(import);
        if !crate::erase::is_erased(&module) {
            self.module(import, &module);
        }
        let names = gaps::names_of(&module).unwrap_or_default();
        for alias in &import.names {
            let name = alias.name.as_str();
            if name == "*" {
                self.add(alias, "the sandbox has no `import *`", "import each name");
            } else if !names.is_empty() && !names.contains(&name) && !erased.contains(&name) {
                let (message, remedy) = gaps::lacking(&module, name);
                self.add(alias, message, &remedy);
            }
        }
    }

    fn module(&mut self, at: &impl Ranged, module: &str) {
        if gaps::names_of(module).is_some() {
            return;
        }
        let root = module.split('.').next().unwrap_or_default();
        let message = format!("the sandbox has no module `{module}`");
        let remedy = match gaps::remedy(&gaps::INSTEAD_OF_MODULES, root) {
            _ if module == "collections.abc" => "write `from collections.abc import ..`".to_owned(),
            Some(remedy) => served(remedy),
            None => {
                let known: Vec<&str> = gaps::modules().filter(|n| *n != "__future__").collect();
                format!("use only {}, {SERVE}", known.join(", "))
            }
        };
        self.add(at, message, &remedy);
    }
}

#[cfg(test)]
mod tests;
