//! The names that a source declares anywhere.

use std::collections::{BTreeMap, BTreeSet};

use ruff_python_ast::visitor::{Visitor, walk_expr, walk_stmt};
use ruff_python_ast::{Expr, ExprContext, Stmt};

use crate::erase::{is_erased, makes_a_list};

/// The names that a source declares anywhere.
#[derive(Default)]
pub(super) struct Declared {
    /// The modules that it imports, by the name that they have there.
    pub(super) modules: BTreeMap<String, String>,
    /// The modules that it imports from, and those that it imports.
    pub(super) sources: BTreeSet<String>,
    /// The names that it imports from modules of hints.
    pub(super) hints: BTreeSet<String>,
    /// The names that functions declare as global.
    pub(super) globals: BTreeSet<String>,
    /// The functions and methods.
    pub(super) functions: BTreeSet<String>,
    /// The attributes that it assigns, and the variables of its classes.
    pub(super) attributes: BTreeSet<String>,
    /// The variables that hold what the interpreter makes a list of, and nothing else.
    pub(super) lists: BTreeSet<String>,
    /// The variables that hold anything else somewhere.
    others: BTreeSet<String>,
}

impl Declared {
    /// Takes in an assignment to a variable.
    fn variable(&mut self, target: &Expr, value: &Expr) {
        if let Expr::Name(name) = target {
            let name = name.id.to_string();
            if !makes_a_list(value) {
                self.lists.remove(&name);
                self.others.insert(name);
            } else if !self.others.contains(&name) {
                self.lists.insert(name);
            }
        }
    }
}

impl<'a> Visitor<'a> for Declared {
    fn visit_stmt(&mut self, statement: &'a Stmt) {
        match statement {
            Stmt::Import(import) => {
                for alias in &import.names {
                    let bound = alias.asname.as_ref().unwrap_or(&alias.name);
                    let (bound, module) = (bound.to_string(), alias.name.to_string());
                    self.sources.insert(module.clone());
                    self.modules.insert(bound, module);
                }
            }
            Stmt::ImportFrom(import) => {
                let module = import.module.as_ref().map_or("", |module| module.as_str());
                self.sources.insert(module.to_owned());
                if module == "typing" || is_erased(module) {
                    let bound = |alias: &ruff_python_ast::Alias| {
                        alias.asname.as_ref().unwrap_or(&alias.name).to_string()
                    };
                    self.hints.extend(import.names.iter().map(bound));
                }
            }
            Stmt::Global(global) => {
                self.globals
                    .extend(global.names.iter().map(ToString::to_string));
            }
            Stmt::FunctionDef(function) => {
                self.functions.insert(function.name.to_string());
            }
            Stmt::ClassDef(class) => {
                self.attributes.extend(super::scope::bound(&class.body));
            }
            Stmt::Assign(assign) => {
                for target in &assign.targets {
                    self.variable(target, &assign.value);
                }
            }
            _ => {}
        }
        walk_stmt(self, statement);
    }

    fn visit_annotation(&mut self, _: &'a Expr) {}

    fn visit_expr(&mut self, expression: &'a Expr) {
        if let Expr::Attribute(attribute) = expression
            && attribute.ctx == ExprContext::Store
        {
            self.attributes.insert(attribute.attr.to_string());
        }
        walk_expr(self, expression);
    }
}
