//! Python that the interpreter does not know and that can be written in Python that it does: the types that a source declares,
//! `del` of an item, `next` of what the interpreter makes a list of, and a few more. What CPython runs without an error gives
//! the same here, and every line keeps its number. The words of an error may differ: `del xs[9]` says `pop index out of
//! range`. A source without any of these is left as it is.

use std::borrow::Cow;
use std::ops::Range;

use ruff_python_ast::visitor::{Visitor, walk_expr, walk_stmt};
use ruff_python_ast::{Expr, ExprCall, Stmt, StmtClassDef};
use ruff_text_size::{Ranged, TextRange};

use crate::classes::{Types, alias};
use crate::hint::last_name;

mod imports;
mod values;

pub(crate) use imports::{erased_names, is_erased};
pub(crate) use values::{TYPES, deletion, makes_a_list, method_of};

use imports::imported;
use values::{Edit, is_bare_object, is_of_type, listed};

/// Returns a source that the interpreter can run. A `TypedDict` is `dict`, an alias of a type is `None`, and what `typing`
/// lacks is `None`. A source that does not parse is returned as it is.
#[must_use]
pub fn erased(source: &str) -> Cow<'_, str> {
    let Ok(parsed) = ruff_python_parser::parse_module(source) else {
        return Cow::Borrowed(source);
    };
    let body = &parsed.syntax().body;
    let mut writer = Writer {
        source,
        types: Types::of_body(source, body),
        depth: 0,
        edits: Vec::new(),
    };
    for statement in body {
        writer.visit_stmt(statement);
    }
    let mut edits = writer.edits;
    if edits.is_empty() {
        return Cow::Borrowed(source);
    }
    edits.sort_by_key(|(range, _)| (range.start, range.end));
    let mut text = source.to_owned();
    for (range, written) in edits.into_iter().rev() {
        text.replace_range(range, &written);
    }
    Cow::Owned(text)
}

struct Writer<'a> {
    source: &'a str,
    types: Types,
    /// The number of functions and classes around.
    depth: usize,
    edits: Vec<Edit>,
}

impl Writer<'_> {
    /// Replaces a range; the lines that it took stay.
    fn replace(&mut self, range: TextRange, written: &str) {
        let written = written.to_owned() + &self.line_ends(range);
        self.edits.push((bytes(range), written));
    }

    fn insert(&mut self, at: usize, written: impl Into<String>) {
        self.edits.push((at..at, written.into()));
    }

    /// The line ends within a range.
    fn line_ends(&self, range: TextRange) -> String {
        let text = self.source.get(bytes(range)).unwrap_or_default();
        "\n".repeat(text.matches('\n').count())
    }

    /// The text that stands for a whole statement.
    fn instead(&self, statement: &Stmt) -> Option<String> {
        match statement {
            Stmt::ClassDef(class) if self.depth == 0 => {
                let typed = self.types.is_typed_dict(class.name.as_str());
                typed.then(|| format!("{} = dict", class.name))
            }
            Stmt::ImportFrom(import) => imported(import),
            Stmt::Assign(assign) if declares_variable(&assign.value) => {
                let name = last_name(assign.targets.first()?)?;
                Some(format!("{name} = None"))
            }
            Stmt::TypeAlias(_) => alias(statement).map(|(name, _)| format!("{name} = None")),
            _ if self.depth == 0 => alias(statement).map(|(name, _)| format!("{name} = None")),
            _ => None,
        }
    }

    fn call(&mut self, call: &ExprCall) {
        if let Some(item) = listed(call) {
            let (item, arguments) = (bytes(item.range()), bytes(call.arguments.range()));
            // The parentheses of a lone generator expression are the call's.
            let shared = usize::from(item.start == arguments.start);
            self.insert(item.start + shared, "iter(");
            self.insert(item.end - shared, ")");
        }
        if is_bare_object(call) {
            let lines = self.line_ends(call.range());
            let written = format!("type(\"object\", (), {{}}{lines})()");
            self.edits.push((bytes(call.range()), written));
        }
        if let Some(method) = method_of(call) {
            let name = method.attr.as_str();
            if is_of_type(method) {
                self.replace(method.range(), &format!("lambda _agoge: _agoge.{name}()"));
            } else {
                let range = bytes(method.range());
                self.insert(range.start, "lambda _agoge: ");
                self.insert(range.end, "(_agoge)");
            }
        }
    }
}

impl<'a> Visitor<'a> for Writer<'_> {
    fn visit_annotation(&mut self, _: &'a Expr) {}

    fn visit_stmt(&mut self, statement: &'a Stmt) {
        if let Some(written) = self.instead(statement) {
            self.replace(statement.range(), &written);
            return;
        }
        match statement {
            Stmt::Delete(delete) => {
                self.edits
                    .extend(deletion(self.source, delete).unwrap_or_default());
            }
            Stmt::ClassDef(class) => {
                let arguments = class.arguments.as_deref().filter(|a| !a.args.is_empty());
                if let Some(arguments) = arguments.filter(|_| is_plain(class)) {
                    let written = format!("({})", self.line_ends(arguments.range()));
                    self.edits.push((bytes(arguments.range()), written));
                }
                self.depth += 1;
                for decorator in &class.decorator_list {
                    self.visit_expr(&decorator.expression);
                }
                for inner in &class.body {
                    self.visit_stmt(inner);
                }
                self.depth -= 1;
                return;
            }
            _ => {}
        }
        let inner = usize::from(matches!(statement, Stmt::FunctionDef(_)));
        self.depth += inner;
        walk_stmt(self, statement);
        self.depth -= inner;
    }

    fn visit_expr(&mut self, expression: &'a Expr) {
        if let Expr::Call(call) = expression {
            self.call(call);
        }
        walk_expr(self, expression);
    }
}

/// True for a class whose bases say nothing at run time: `object`, `Protocol`, `Generic[T]`.
pub(crate) fn is_plain(class: &StmtClassDef) -> bool {
    let Some(arguments) = class.arguments.as_deref() else {
        return true;
    };
    let says_nothing = |base: &Expr| {
        let base = match base {
            Expr::Subscript(subscript) => subscript.value.as_ref(),
            plain => plain,
        };
        last_name(base).is_some_and(|n| ["object", "Protocol", "Generic"].contains(&n.as_str()))
    };
    arguments.keywords.is_empty() && arguments.args.iter().all(says_nothing)
}

/// True for `TypeVar("T")` and its kind, which hints alone use.
fn declares_variable(value: &Expr) -> bool {
    let Expr::Call(call) = value else {
        return false;
    };
    last_name(&call.func)
        .is_some_and(|name| ["TypeVar", "ParamSpec", "TypeVarTuple"].contains(&name.as_str()))
}

fn bytes(range: TextRange) -> Range<usize> {
    range.start().to_usize()..range.end().to_usize()
}

#[cfg(test)]
mod tests;
