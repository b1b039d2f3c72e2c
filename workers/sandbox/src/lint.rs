//! Reports Python that the sandbox cannot run before it runs: each finding has its line and a suggested fix.

use std::fmt;

use ruff_python_ast::visitor::{Visitor, walk_expr, walk_stmt};
use ruff_python_ast::{Expr, Stmt, StmtFunctionDef};
use ruff_text_size::Ranged;
use serde::{Deserialize, Serialize};

/// Modules that a program may import.
const MODULES: [&str; 8] = [
    "re",
    "json",
    "math",
    "datetime",
    "typing",
    "dataclasses",
    "collections",
    "__future__",
];

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
    pub(crate) fn syntax(source: &str, error: &ruff_python_parser::ParseError) -> Self {
        Self {
            line: line_of(source, error.location.start().to_usize()),
            message: format!("this is not Python: {}", error.error),
            remedy: "correct the syntax".into(),
        }
    }
}

/// Every problem of a source, in the order of lines.
#[must_use]
pub fn lint(source: &str, kind: Source) -> Vec<Lint> {
    let parsed = match ruff_python_parser::parse_module(source) {
        Ok(parsed) => parsed,
        Err(error) => return vec![Lint::syntax(source, &error)],
    };
    let mut linter = Linter {
        source,
        found: Vec::new(),
    };
    for statement in &parsed.syntax().body {
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
    found: Vec<Lint>,
}

impl Linter<'_> {
    fn add(&mut self, at: &impl Ranged, message: impl Into<String>, remedy: &str) {
        let line = line_of(self.source, at.range().start().to_usize());
        self.found.push(Lint {
            line,
            message: message.into(),
            remedy: remedy.into(),
        });
    }

    fn hints(&mut self, function: &StmtFunctionDef) {
        if function.name.starts_with('_') {
            return;
        }
        let parameters = &function.parameters;
        for parameter in parameters
            .posonlyargs
            .iter()
            .chain(&parameters.args)
            .chain(&parameters.kwonlyargs)
        {
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
    fn visit_stmt(&mut self, statement: &'a Stmt) {
        match statement {
            Stmt::ClassDef(class)
                if class.arguments.as_ref().is_some_and(|a| !a.args.is_empty()) =>
            {
                self.add(
                    &class.name,
                    "the sandbox has no class inheritance",
                    "use a plain class or a dict",
                );
            }
            Stmt::Delete(delete) => self.add(
                delete,
                "the sandbox has no `del`",
                "use `pop`, or build a new value",
            ),
            Stmt::Import(import) => {
                for name in &import.names {
                    self.module(name, name.name.as_str());
                }
            }
            Stmt::ImportFrom(import) => {
                let module = import
                    .module
                    .as_ref()
                    .map(|m| m.to_string())
                    .unwrap_or_default();
                self.module(import, &module);
            }
            Stmt::FunctionDef(function) => {
                if function.is_async {
                    self.add(
                        &function.name,
                        "the sandbox awaits nothing",
                        "write a plain function",
                    );
                }
                for decorator in &function.decorator_list {
                    self.add(
                        decorator,
                        "the sandbox runs no decorators here",
                        "call a plain function instead",
                    );
                }
            }
            _ => {}
        }
        walk_stmt(self, statement);
    }

    fn visit_expr(&mut self, expression: &'a Expr) {
        match expression {
            Expr::Yield(_) | Expr::YieldFrom(_) => {
                self.add(expression, "the sandbox has no `yield`", "return a list");
            }
            Expr::Await(_) => self.add(
                expression,
                "the sandbox awaits nothing",
                "call a plain function",
            ),
            Expr::Call(call) if is_sum_of_comparisons(call) => self.add(
                expression,
                "the sandbox cannot add a bool to an int, so this `sum` over comparisons fails",
                "write `sum(1 for x in xs if ...)` or `len([...])`",
            ),
            _ => {}
        }
        walk_expr(self, expression);
    }
}

impl Linter<'_> {
    fn module(&mut self, at: &impl Ranged, module: &str) {
        let root = module.split('.').next().unwrap_or_default();
        if !MODULES.contains(&root) {
            let message = format!("the sandbox has no module `{module}`");
            self.add(
                at,
                message,
                "use only re, json, math, datetime, typing, dataclasses and collections",
            );
        }
    }
}

fn is_sum_of_comparisons(call: &ruff_python_ast::ExprCall) -> bool {
    let is_sum = matches!(call.func.as_ref(), Expr::Name(name) if name.id.as_str() == "sum");
    is_sum
        && call
            .arguments
            .args
            .first()
            .is_some_and(|argument| match argument {
                Expr::Generator(generator) => generator.elt.is_compare_expr(),
                Expr::ListComp(list) => list.elt.is_compare_expr(),
                _ => false,
            })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_known_gap_is_reported_with_its_line_and_a_suggested_fix() {
        let source = "import os\n\nclass A(dict):\n    pass\n\ndef f(a, b: int) -> int:\n    \"\"\"Doc.\"\"\"\n    del b\n    yield 1\n    return sum(x > 3 for x in a)\n";
        let found = lint(source, Source::Tools);
        let lines: Vec<u32> = found.iter().map(|l| l.line).collect();
        assert_eq!(lines, [1, 3, 6, 8, 9, 10], "{found:#?}");
        assert!(found.iter().all(|l| !l.remedy.is_empty()));
        assert_eq!(lint("def f(:\n", Source::Checker)[0].line, 1);
    }
}
