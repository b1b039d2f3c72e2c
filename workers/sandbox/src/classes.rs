//! The classes and type aliases of a source: what its hints can name.

use std::collections::BTreeMap;

use ruff_python_ast::{Expr, Stmt, StmtClassDef};
use ruff_text_size::Ranged;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::hint::{Hint, constant, last_name};
use crate::lint::line_of;
use crate::signatures::{docstring_of, text};

/// The kind of a class that describes data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClassKind {
    /// A `TypedDict`: a dict with these keys.
    TypedDict,
    /// A `@dataclass`.
    Dataclass,
    /// Any other class.
    Plain,
}

/// A class at the top level.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Class {
    /// The name.
    pub name: String,
    /// The docstring.
    pub doc: String,
    /// The kind.
    pub kind: ClassKind,
    /// The names of the classes that it extends.
    pub bases: Vec<String>,
    /// Its annotated fields, in order, without those of its bases.
    pub fields: Vec<Field>,
    /// Its line, from 1.
    pub line: u32,
}

/// A field of a class.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Field {
    /// The name.
    pub name: String,
    /// The type as written.
    pub ty: String,
    /// The text in quotes below it.
    pub doc: String,
    /// The default, where it is a literal.
    pub default: Option<Value>,
    /// True when it may be left out.
    pub optional: bool,
}

/// The types that a source declares.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Types {
    /// The classes by name.
    pub classes: BTreeMap<String, Class>,
    /// Aliases as written, `Cabin = Literal["economy", "business"]`, by name.
    pub aliases: BTreeMap<String, String>,
}

impl Types {
    /// The types of a source; none of one that does not parse.
    #[must_use]
    pub fn of(source: &str) -> Self {
        match ruff_python_parser::parse_module(source) {
            Ok(parsed) => Self::of_body(source, &parsed.syntax().body),
            Err(_) => Self::default(),
        }
    }

    /// The types of a source that is parsed.
    pub(crate) fn of_body(source: &str, body: &[Stmt]) -> Self {
        let mut types = Self::default();
        for statement in body {
            if let Stmt::ClassDef(class) = statement {
                let read = types.class(source, class);
                types.classes.insert(read.name.clone(), read);
            } else if let Some((name, value)) = alias(statement) {
                types.aliases.insert(name, text(source, value));
            }
        }
        types
    }

    /// Returns true for the name of a `TypedDict`.
    pub(crate) fn is_typed_dict(&self, name: &str) -> bool {
        let class = self.classes.get(name);
        class.is_some_and(|class| class.kind == ClassKind::TypedDict)
    }

    /// Adds the types of another source; those that are there stay.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        for (name, class) in other.classes {
            self.classes.entry(name).or_insert(class);
        }
        for (name, alias) in other.aliases {
            self.aliases.entry(name).or_insert(alias);
        }
        self
    }

    fn class(&self, source: &str, class: &StmtClassDef) -> Class {
        let bases = bases(class);
        let kind = kind(class, &bases, self);
        let total = !keyword(class, "total").is_some_and(|value| value == Value::Bool(false));
        let mut fields: Vec<Field> = Vec::new();
        for statement in &class.body {
            match statement {
                Stmt::AnnAssign(field) => {
                    let Expr::Name(name) = field.target.as_ref() else {
                        continue;
                    };
                    let default = field.value.as_deref();
                    fields.push(Field {
                        name: name.id.to_string(),
                        ty: text(source, &field.annotation),
                        doc: String::new(),
                        default: default.and_then(default_of),
                        optional: default.is_some() || (kind == ClassKind::TypedDict && !total),
                    });
                }
                Stmt::Expr(doc) => {
                    if let (Expr::StringLiteral(doc), Some(field)) =
                        (doc.value.as_ref(), fields.last_mut())
                    {
                        field.doc = doc.value.to_str().trim().to_owned();
                    }
                }
                _ => {}
            }
        }
        Class {
            name: class.name.to_string(),
            doc: docstring_of(&class.body),
            kind,
            bases,
            fields,
            line: line_of(source, class.name.range().start().to_usize()),
        }
    }
}

/// The names of the classes that a class extends.
pub(crate) fn bases(class: &StmtClassDef) -> Vec<String> {
    let arguments = class.arguments.as_deref();
    let bases = arguments.into_iter().flat_map(|all| all.args.iter());
    bases.filter_map(last_name).collect()
}

fn kind(class: &StmtClassDef, bases: &[String], known: &Types) -> ClassKind {
    let typed = |base: &String| base == "TypedDict" || known.is_typed_dict(base);
    let decorated = class
        .decorator_list
        .iter()
        .any(|decorator| match &decorator.expression {
            Expr::Call(call) => last_name(&call.func).as_deref() == Some("dataclass"),
            plain => last_name(plain).as_deref() == Some("dataclass"),
        });
    match (bases.iter().any(typed), decorated) {
        (true, _) => ClassKind::TypedDict,
        (false, true) => ClassKind::Dataclass,
        (false, false) => ClassKind::Plain,
    }
}

fn keyword(class: &StmtClassDef, name: &str) -> Option<Value> {
    let arguments = class.arguments.as_deref()?;
    let mut all = arguments.keywords.iter();
    let found = all.find(|keyword| keyword.arg.as_ref().is_some_and(|arg| arg.as_str() == name))?;
    constant(&found.value)
}

/// The default that a field's value is: a literal, or `field(default=..)`.
fn default_of(value: &Expr) -> Option<Value> {
    let Expr::Call(call) = value else {
        return constant(value);
    };
    if last_name(&call.func).as_deref() != Some("field") {
        return None;
    }
    call.arguments.keywords.iter().find_map(|keyword| {
        let name = keyword.arg.as_ref()?.as_str();
        match (name, last_name(&keyword.value).as_deref()) {
            ("default", _) => constant(&keyword.value),
            ("default_factory", Some("list")) => Some(Value::Array(Vec::new())),
            ("default_factory", Some("dict")) => Some(Value::Object(serde_json::Map::new())),
            _ => None,
        }
    })
}

/// The name and the type of an alias: `type Name = ..`, `Name: TypeAlias = ..`, or `Name = ..` with a subscripted type or a
/// union.
pub(crate) fn alias(statement: &Stmt) -> Option<(String, &Expr)> {
    let (name, value) = match statement {
        Stmt::TypeAlias(alias) => return Some((last_name(&alias.name)?, alias.value.as_ref())),
        Stmt::AnnAssign(assign) => {
            let annotated = last_name(&assign.annotation)? == "TypeAlias";
            let value = assign.value.as_deref().filter(|_| annotated)?;
            return Some((last_name(&assign.target)?, value));
        }
        Stmt::Assign(assign) => match assign.targets.as_slice() {
            [Expr::Name(name)] if !assign.value.is_string_literal_expr() => {
                (name.id.to_string(), assign.value.as_ref())
            }
            _ => return None,
        },
        _ => return None,
    };
    // `A | B` of two names may as well be a union of sets.
    let is_type = match Hint::of(value)? {
        Hint::Union(parts) => value.is_subscript_expr() || parts.iter().any(is_surely_type),
        Hint::None | Hint::Name(_) => false,
        other => is_surely_type(&other),
    };
    is_type.then_some((name, value))
}

fn is_surely_type(hint: &Hint) -> bool {
    match hint {
        Hint::None | Hint::Literal(_) | Hint::Described(..) => true,
        Hint::Name(name) => SCALARS.contains(&name.as_str()) || GENERIC.contains(&name.as_str()),
        Hint::Of(name, _) => GENERIC.contains(&name.as_str()),
        Hint::Union(parts) => parts.iter().any(is_surely_type),
        Hint::Rest => false,
    }
}

const SCALARS: [&str; 4] = ["str", "int", "float", "bool"];

/// The types that take arguments.
const GENERIC: [&str; 11] = [
    "list",
    "dict",
    "tuple",
    "set",
    "List",
    "Dict",
    "Tuple",
    "Sequence",
    "Mapping",
    "Required",
    "NotRequired",
];

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = r#"
from typing import Literal, TypedDict
from dataclasses import dataclass, field

Cabin = Literal["economy", "business"]
type Cabins = list[Cabin]
LIMIT = 3
TABLE = ROWS["a"]
BOTH = SMALL | LARGE
HELP = "str | None"
Place = str | None

class Leg(TypedDict):
    """One flight."""
    number: str
    """Such as HAT001."""
    date: str

class Flown(Leg, total=False):
    seat: str

@dataclass
class Payment:
    id: str
    amount: float = 0.5
    notes: list[str] = field(default_factory=list)

class Helper:
    x: int = 1
"#;

    #[test]
    fn classes_fields_and_aliases_are_collected() {
        let types = Types::of(SOURCE);
        let aliases: Vec<&str> = types.aliases.keys().map(String::as_str).collect();
        assert_eq!(aliases, ["Cabin", "Cabins", "Place"]);
        let kinds: Vec<(&str, ClassKind)> = (types.classes.iter())
            .map(|(name, class)| (name.as_str(), class.kind))
            .collect();
        assert_eq!(
            kinds,
            [
                ("Flown", ClassKind::TypedDict),
                ("Helper", ClassKind::Plain),
                ("Leg", ClassKind::TypedDict),
                ("Payment", ClassKind::Dataclass),
            ]
        );
        let leg = &types.classes["Leg"];
        assert_eq!((leg.doc.as_str(), leg.line), ("One flight.", 13));
        assert_eq!(leg.fields[0].doc, "Such as HAT001.");
        assert!(!leg.fields[1].optional && types.classes["Flown"].fields[0].optional);
        let payment = &types.classes["Payment"].fields;
        assert_eq!(payment[1].default, Some(Value::from(0.5)));
        assert_eq!(payment[2].default, Some(Value::Array(Vec::new())));
        assert!(payment[2].optional && !payment[0].optional);
    }
}
