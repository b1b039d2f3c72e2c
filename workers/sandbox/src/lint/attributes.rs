//! Attributes and methods that the interpreter lacks.

use ruff_python_ast::{Expr, ExprAttribute, ExprContext};
use ruff_text_size::Ranged;

use super::gaps;
use super::late::Walk;
use super::served;
use crate::erase::TYPES;

impl Walk<'_> {
    /// Checks an attribute that is read or called.
    pub(super) fn attribute(&mut self, attribute: &ExprAttribute, called: bool) {
        let name = attribute.attr.as_str();
        if let Expr::Name(owner) = attribute.value.as_ref() {
            let owner = owner.id.as_str();
            if let Some(module) = self.declared.modules.get(owner).cloned() {
                return self.of_module(attribute, &module, name);
            }
            let fields = self.dicts.get(owner);
            if fields.is_some_and(|fields| fields.contains(name)) {
                let message =
                    format!("a tool receives `{owner}` as a dict, so `{owner}.{name}` fails");
                return self.add(attribute, message, format!("write {owner}[\"{name}\"]"));
            }
            let of_function = ["__name__", "__qualname__", "__doc__"].contains(&name);
            if of_function && self.declared.functions.contains(owner) {
                let message = format!("a function has no `{name}` in the sandbox");
                return self.add(attribute, message, served("write the text out"));
            }
            let made_by_type = ["fromkeys", "fromhex", "__name__"].contains(&name);
            if TYPES.contains(&owner) && !self.is_bound(owner) && !made_by_type {
                let message = format!("the sandbox has no `{owner}.{name}`");
                let remedy = format!("call the method of the value, as `x.{name}(..)`");
                return self.add(attribute, message, served(&remedy));
            }
        }
        if let Expr::Attribute(inner) = attribute.value.as_ref()
            && let Expr::Name(owner) = inner.value.as_ref()
            && inner.attr.as_str() == "path"
            && self
                .declared
                .modules
                .get(owner.id.as_str())
                .is_some_and(|m| m == "os")
        {
            return self.of_module(attribute, "os.path", name);
        }
        if self.declared.functions.contains(name) || self.declared.attributes.contains(name) {
            return;
        }
        if let Some(remedy) = gaps::remedy(&gaps::NO_METHODS, name) {
            let message = format!("the sandbox has no `.{name}`");
            self.add(attribute, message, served(remedy));
        } else if self.declared.sources.contains("pathlib") && names(gaps::PATH_METHODS, name) {
            let message = format!("the sandbox has no files, so `.{name}` fails");
            self.add(attribute, message, served("keep the data in state.json"));
        } else if !called && attribute.ctx == ExprContext::Load && self.is_bound_method(attribute) {
            let message = format!("the sandbox cannot keep the method `.{name}` as a value");
            self.add(attribute, message, served("call it where it is needed"));
        }
    }

    /// True for a method of one of Python's own types; what a class or a named tuple of the source has is its own.
    fn is_bound_method(&self, attribute: &ExprAttribute) -> bool {
        let known = gaps::BOUND_METHODS.contains(&attribute.attr.as_str());
        known && !self.source.contains("namedtuple") && !self.source.contains("SimpleNamespace")
    }

    /// Checks a name of a module, where it is used or imported.
    pub(super) fn of_module(&mut self, at: &impl Ranged, module: &str, name: &str) {
        let known = gaps::names_of(module).unwrap_or_default();
        if !known.is_empty() && !known.contains(&name) {
            let (message, remedy) = gaps::lacking(module, name);
            self.add(at, message, remedy);
        } else if let Some(remedy) = gaps::refused(module, name) {
            let message = format!("the sandbox refuses `{module}.{name}`");
            self.add(at, message, served(remedy));
        }
    }
}

/// True for a name that a text of names has.
fn names(text: &str, name: &str) -> bool {
    text.split_whitespace().any(|known| known == name)
}
