//! Classes: the interpreter has plain ones, without inheritance.

use ruff_python_ast::{Expr, ExprCall, Stmt, StmtClassDef};

use super::{Linter, served};
use crate::classes::bases;
use crate::hint::last_name;

/// The options of `@dataclass` and of `field` that the interpreter has.
const OPTIONS: [(&str, &[&str]); 2] = [
    ("dataclass", &["eq", "frozen", "match_args"]),
    ("field", &["default", "default_factory"]),
];

impl Linter<'_> {
    pub(super) fn options(&mut self, call: &ExprCall) {
        let name = last_name(&call.func).unwrap_or_default();
        let Some((_, known)) = OPTIONS.iter().find(|(function, _)| *function == name) else {
            return;
        };
        if !self.source.contains("dataclasses") {
            return;
        }
        for keyword in &call.arguments.keywords {
            let Some(option) = keyword.arg.as_ref() else {
                continue;
            };
            if !known.contains(&option.as_str()) {
                let remedy = match option.as_str() {
                    "order" => "sort with a `key`",
                    "kw_only" | "slots" => "leave it out",
                    _ => "write the method or the function yourself",
                };
                let message = format!("the sandbox's `{name}` has no option `{option}`");
                self.add(keyword, message, &served(remedy));
            }
        }
    }

    pub(super) fn class(&mut self, class: &StmtClassDef) {
        if self.depth == 0 && self.types.is_typed_dict(class.name.as_str()) {
            return;
        }
        if !crate::erase::is_plain(class) {
            let bases = bases(class);
            let ends = |ending: &str| bases.iter().any(|base| base.ends_with(ending));
            let remedy = if ends("Error") || ends("Exception") {
                "raise a built-in exception with a text, as `ValueError(\"..\")`"
            } else if ends("Enum") || ends("Flag") {
                "use a plain class of constants, and `Literal[..]` in hints"
            } else if ends("NamedTuple") {
                "use `collections.namedtuple` or a @dataclass"
            } else if ends("TypedDict") {
                "declare it at the top level"
            } else {
                "use a plain class, a TypedDict at the top level, or a dict"
            };
            let message = "the sandbox has no class inheritance";
            self.add(&class.name, message, &served(remedy));
        }
        for statement in &class.body {
            self.member(statement);
        }
    }

    /// Checks a statement of a class's body.
    fn member(&mut self, statement: &Stmt) {
        match statement {
            Stmt::FunctionDef(method) => {
                for decorator in &method.decorator_list {
                    let name = last_name(&decorator.expression).unwrap_or_default();
                    let remedy = match name.as_str() {
                        "property" | "cached_property" => {
                            "write a plain method, and call it: `x.total()`"
                        }
                        "staticmethod" | "classmethod" => "write a function at the top level",
                        "override" | "final" => "leave it out",
                        _ => "write a plain method or function",
                    };
                    let message = "the sandbox has no decorators of methods, such as @property";
                    self.add(decorator, message, &served(remedy));
                }
            }
            Stmt::Assign(assign) if assign.targets.iter().all(Expr::is_name_expr) => {}
            Stmt::AnnAssign(assign) if assign.target.is_name_expr() => {}
            Stmt::Pass(_) => {}
            Stmt::Expr(text) if text.value.is_string_literal_expr() => {}
            Stmt::Expr(text) if text.value.is_ellipsis_literal_expr() => {}
            other => self.add(
                other,
                "a class in the sandbox holds methods and simple variables alone",
                &served("move it to the top level, or into a function"),
            ),
        }
    }
}
