//! Python that fails only where it is reached: a branch that no test takes can hide it.

use std::collections::{BTreeMap, BTreeSet};

use ruff_python_ast::visitor::{Visitor, walk_expr, walk_parameters, walk_stmt};
use ruff_python_ast::{
    Expr, ExprCall, ExprContext, Parameters, Stmt, StmtClassDef, StmtFunctionDef,
};
use ruff_text_size::Ranged;

use super::declared::Declared;
use super::gaps::{self, SERVE};
use super::scope::{bound, parameters};
use super::{Lint, Source, calls, served};
use crate::classes::{ClassKind, Types};
use crate::erase::method_of;
use crate::hint::last_name;

/// Returns what fails only where it is reached, over all paths of a whole program, in the order of lines. A source that does
/// not parse has none.
#[must_use]
pub fn pitfalls(source: &str, kind: Source) -> Vec<Lint> {
    let Ok(parsed) = ruff_python_parser::parse_module(source) else {
        return Vec::new();
    };
    let body = &parsed.syntax().body;
    let mut known = bound(body);
    let mut declared = Declared::default();
    for statement in body {
        declared.visit_stmt(statement);
    }
    known.extend(std::mem::take(&mut declared.globals));
    let host: &'static [(&'static str, usize, usize)] = match kind {
        Source::Tools => &gaps::TOOL_HOST,
        Source::Checker => &gaps::CHECKER_HOST,
    };
    let mut walk = Walk {
        source,
        kind,
        host,
        types: Types::of_body(source, body),
        declared,
        scopes: vec![known],
        dicts: BTreeMap::new(),
        depth: 0,
        found: Vec::new(),
    };
    for statement in body {
        walk.visit_stmt(statement);
    }
    walk.found.sort_by_key(|lint| lint.line);
    walk.found.dedup();
    walk.found
}

pub(super) struct Walk<'a> {
    pub(super) source: &'a str,
    kind: Source,
    host: &'static [(&'static str, usize, usize)],
    types: Types,
    pub(super) declared: Declared,
    /// The names that each enclosing body binds, the module's first.
    scopes: Vec<BTreeSet<String>>,
    /// The parameters of the tool at hand that are dicts, with their fields.
    pub(super) dicts: BTreeMap<String, BTreeSet<String>>,
    /// The number of functions around.
    depth: usize,
    found: Vec<Lint>,
}

impl Walk<'_> {
    pub(super) fn add(
        &mut self,
        at: &impl Ranged,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.found.push(Lint::at(self.source, at, message, remedy));
    }

    pub(super) fn is_bound(&self, name: &str) -> bool {
        self.scopes.iter().any(|scope| scope.contains(name))
    }

    fn is_host(&self, name: &str) -> bool {
        self.host.iter().any(|(known, ..)| *known == name)
    }

    /// Checks a name that is read.
    fn name(&mut self, at: &Expr, name: &str) {
        let dunder = name.starts_with("__") && name.ends_with("__") && name != "__import__";
        if self.is_bound(name) || self.is_host(name) || dunder {
            return;
        }
        if name == "open" {
            let remedy = served("keep the data in state.json");
            return self.add(at, "the sandbox has no files, so `open` fails", remedy);
        }
        if gaps::is_builtin(name) {
            return;
        }
        match gaps::remedy(&gaps::NO_BUILTINS, name) {
            Some("") => self.add(at, format!("the sandbox has no `{name}`"), SERVE),
            Some(remedy) => {
                self.add(at, format!("the sandbox has no `{name}`"), served(remedy));
            }
            None => self.add(
                at,
                format!("`{name}` is not defined, so this line fails with a NameError"),
                "define or import it, or correct the name",
            ),
        }
    }

    fn call(&mut self, call: &ExprCall) {
        if let Some((message, remedy)) = calls::found(call, &self.declared) {
            self.add(call, message, served(&remedy));
        }
        if let Expr::Name(name) = call.func.as_ref() {
            self.host_call(call, name.id.as_str());
        }
    }

    fn host_call(&mut self, call: &ExprCall, name: &str) {
        let known = self.host.iter().find(|(known, ..)| *known == name);
        let Some((_, least, most)) = known.filter(|_| !self.is_bound(name)) else {
            return;
        };
        let (given, named) = (&call.arguments.args, &call.arguments.keywords);
        if !named.is_empty() {
            let message = format!("`{name}` takes its arguments by position");
            self.add(call, message, "leave the names out");
        } else if !given.iter().any(Expr::is_starred_expr)
            && !(*least..=*most).contains(&given.len())
        {
            let wanted = match least == most {
                true => least.to_string(),
                false => format!("{least} to {most}"),
            };
            let message = format!("`{name}` takes {wanted} arguments, not {}", given.len());
            self.add(call, message, "see the host functions in docs/domain.md");
        }
    }

    /// Checks the special methods of a class.
    fn specials(&mut self, class: &StmtClassDef) {
        for method in class.body.iter().filter_map(Stmt::as_function_def_stmt) {
            let name = method.name.as_str();
            if let Some(remedy) = gaps::remedy(&gaps::NO_SPECIALS, name) {
                let message = format!("the sandbox does not call `{name}`");
                self.add(&method.name, message, served(remedy));
            }
        }
    }

    /// Checks an import of `random`: its draws are the same in every call, unless the source seeds them itself.
    fn random(&mut self, at: &impl Ranged, module: &str) {
        let seeded = ["seed(", "Random("]
            .iter()
            .any(|call| self.source.contains(call));
        if module == "random" && !seeded {
            let message = "every call of a tool draws the same random numbers";
            let remedy = "take a value from the data, or seed with one: `random.seed(order)`";
            self.add(at, message, remedy);
        }
    }

    fn function(&mut self, function: &StmtFunctionDef) {
        for decorator in &function.decorator_list {
            self.visit_expr(&decorator.expression);
        }
        self.defaults(&function.parameters);
        let own = bound(&function.body);
        if self.depth == 0 && self.kind == Source::Tools && !function.name.starts_with('_') {
            self.dicts = self.dict_parameters(function, &own);
        }
        let mut names = parameters(&function.parameters);
        names.extend(own);
        self.scopes.push(names);
        self.depth += 1;
        for statement in &function.body {
            self.visit_stmt(statement);
        }
        self.depth -= 1;
        self.scopes.pop();
        if self.depth == 0 {
            self.dicts.clear();
        }
    }

    /// The parameters whose type is a class of the module; they are not bound again in the body.
    fn dict_parameters(
        &self,
        function: &StmtFunctionDef,
        own: &BTreeSet<String>,
    ) -> BTreeMap<String, BTreeSet<String>> {
        let listed = function.parameters.iter_non_variadic_params();
        let typed = listed.filter_map(|parameter| {
            let name = parameter.parameter.name.to_string();
            let class = last_name(parameter.parameter.annotation.as_deref()?)?;
            let class = self.types.classes.get(&class)?;
            let fields = class.fields.iter().map(|field| field.name.clone());
            let fits = class.kind != ClassKind::Plain && !own.contains(&name);
            fits.then(|| (name, fields.collect()))
        });
        typed.collect()
    }

    fn defaults(&mut self, parameters: &Parameters) {
        walk_parameters(self, parameters);
    }
}

impl<'a> Visitor<'a> for Walk<'_> {
    fn visit_annotation(&mut self, _: &'a Expr) {}

    fn visit_stmt(&mut self, statement: &'a Stmt) {
        match statement {
            Stmt::FunctionDef(function) => return self.function(function),
            Stmt::ClassDef(class) => {
                if self.types.is_typed_dict(class.name.as_str()) {
                    return;
                }
                self.specials(class);
                self.scopes.push(bound(&class.body));
                walk_stmt(self, statement);
                self.scopes.pop();
                return;
            }
            Stmt::TypeAlias(_) => return,
            Stmt::Assign(_) if self.depth == 0 && crate::classes::alias(statement).is_some() => {
                return;
            }
            Stmt::Import(import) => {
                for alias in &import.names {
                    self.random(alias, alias.name.as_str());
                }
            }
            Stmt::ImportFrom(import) => {
                let module = import.module.as_ref().map_or("", |module| module.as_str());
                self.random(import, module);
                for alias in &import.names {
                    if gaps::refused(module, alias.name.as_str()).is_some() {
                        self.of_module(alias, module, alias.name.as_str());
                    }
                }
            }
            _ => {}
        }
        walk_stmt(self, statement);
    }

    fn visit_expr(&mut self, expression: &'a Expr) {
        match expression {
            Expr::Name(name) if name.ctx == ExprContext::Load => {
                self.name(expression, name.id.as_str());
            }
            Expr::Attribute(attribute) => self.attribute(attribute, false),
            Expr::Call(call) => {
                self.call(call);
                if let Expr::Attribute(method) = call.func.as_ref() {
                    self.attribute(method, true);
                    self.visit_expr(&method.value);
                } else {
                    self.visit_expr(&call.func);
                }
                // What is rewritten as a lambda is no value.
                let lambda = method_of(call).map(Ranged::range);
                let keywords = call.arguments.keywords.iter().map(|keyword| &keyword.value);
                for argument in call.arguments.args.iter().chain(keywords) {
                    match argument {
                        Expr::Attribute(method) if Some(method.range()) == lambda => {
                            self.visit_expr(&method.value);
                        }
                        _ => self.visit_expr(argument),
                    }
                }
                return;
            }
            Expr::Lambda(lambda) => {
                let mut names = BTreeSet::new();
                if let Some(declared) = &lambda.parameters {
                    self.defaults(declared);
                    names = parameters(declared);
                }
                self.scopes.push(names);
                self.visit_expr(&lambda.body);
                self.scopes.pop();
                return;
            }
            _ => {}
        }
        walk_expr(self, expression);
    }
}
