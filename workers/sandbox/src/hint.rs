//! Python's type hints, parsed: the shape of a type without its meaning.

use ruff_python_ast::{Expr, Operator, UnaryOp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::signatures::literal;

/// A type hint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Hint {
    /// `None`.
    None,
    /// `...`, of a tuple of any length.
    Rest,
    /// A name: `int`, `Passenger`. Of `typing.Any` the last part.
    Name(String),
    /// `Literal["a", 1]`.
    Literal(Vec<Value>),
    /// `a | b`, `Union[a, b]`, `Optional[a]`.
    Union(Vec<Hint>),
    /// A name with arguments: `list[int]`.
    Of(String, Vec<Hint>),
    /// `Annotated[int, "text"]`: a type and its description.
    Described(Box<Hint>, String),
}

impl Hint {
    /// Parses a hint, also one in quotes; `None` for a text that is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let parsed = ruff_python_parser::parse_expression(text.trim()).ok()?;
        Self::of(&parsed.syntax().body)
    }

    pub(crate) fn of(expression: &Expr) -> Option<Self> {
        match expression {
            Expr::NoneLiteral(_) => Some(Self::None),
            Expr::EllipsisLiteral(_) => Some(Self::Rest),
            Expr::Name(_) | Expr::Attribute(_) => last_name(expression).map(Self::Name),
            Expr::StringLiteral(text) => Self::parse(text.value.to_str()),
            Expr::BinOp(both) if both.op == Operator::BitOr => {
                Some(union([Self::of(&both.left)?, Self::of(&both.right)?]))
            }
            Expr::Subscript(subscript) => {
                let name = last_name(&subscript.value)?;
                let arguments = match subscript.slice.as_ref() {
                    Expr::Tuple(tuple) => tuple.elts.iter().collect(),
                    one => vec![one],
                };
                Self::with(&name, &arguments)
            }
            _ => None,
        }
    }

    fn with(name: &str, arguments: &[&Expr]) -> Option<Self> {
        if name == "Literal" {
            let values: Option<Vec<Value>> = arguments.iter().map(|a| constant(a)).collect();
            return values.map(Self::Literal);
        }
        if name == "Annotated" {
            let (first, rest) = arguments.split_first()?;
            let hint = Self::of(first)?;
            let texts = rest.iter().filter_map(|note| match note {
                Expr::StringLiteral(text) => Some(text.value.to_str().to_owned()),
                _ => None,
            });
            let text = texts.collect::<Vec<_>>().join(" ");
            return Some(match text.is_empty() {
                true => hint,
                false => Self::Described(Box::new(hint), text),
            });
        }
        let inner: Option<Vec<Self>> = arguments.iter().map(|a| Self::of(a)).collect();
        let inner = inner?;
        Some(match name {
            "Union" => union(inner),
            "Optional" => union(inner.into_iter().chain([Self::None])),
            _ => Self::Of(name.to_owned(), inner),
        })
    }
}

/// A union of these, without unions within it and without repetitions.
fn union(parts: impl IntoIterator<Item = Hint>) -> Hint {
    let mut all: Vec<Hint> = Vec::new();
    for part in parts {
        let inner = match part {
            Hint::Union(inner) => inner,
            one => vec![one],
        };
        for one in inner {
            if !all.contains(&one) {
                all.push(one);
            }
        }
    }
    Hint::Union(all)
}

pub(crate) fn last_name(expression: &Expr) -> Option<String> {
    match expression {
        Expr::Name(name) => Some(name.id.to_string()),
        Expr::Attribute(attribute) => Some(attribute.attr.to_string()),
        _ => None,
    }
}

/// The value of a literal: a scalar, or a list or dict of literals.
pub(crate) fn constant(expression: &Expr) -> Option<Value> {
    match expression {
        Expr::UnaryOp(unary) if unary.op == UnaryOp::USub => match constant(&unary.operand)? {
            Value::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(int), _) => int.checked_neg().map(Value::from),
                (None, float) => float.map(|float| Value::from(-float)),
            },
            _ => None,
        },
        Expr::List(list) => list.elts.iter().map(constant).collect(),
        Expr::Tuple(tuple) => tuple.elts.iter().map(constant).collect(),
        Expr::Dict(dict) => {
            let entries = dict.items.iter().map(|item| {
                let key = constant(item.key.as_ref()?)?;
                Some((key.as_str()?.to_owned(), constant(&item.value)?))
            });
            let map: Option<Map<String, Value>> = entries.collect();
            map.map(Value::Object)
        }
        plain => literal(plain),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> Hint {
        Hint::Name(name.into())
    }

    #[test]
    fn hints_are_parsed_in_every_form_that_python_writes_them() {
        for (text, hint) in [
            ("int", name("int")),
            ("typing.Any", name("Any")),
            ("\"Leg\"", name("Leg")),
            ("int | None", Hint::Union(vec![name("int"), Hint::None])),
            ("Optional[int]", Hint::Union(vec![name("int"), Hint::None])),
            (
                "Union[int, str | int]",
                Hint::Union(vec![name("int"), name("str")]),
            ),
            (
                "tuple[int, ...]",
                Hint::Of("tuple".into(), vec![name("int"), Hint::Rest]),
            ),
            (
                "Literal['a', -1, None]",
                Hint::Literal(vec!["a".into(), (-1).into(), Value::Null]),
            ),
            (
                "Annotated[int, 'days']",
                Hint::Described(Box::new(name("int")), "days".into()),
            ),
        ] {
            assert_eq!(Hint::parse(text), Some(hint), "{text}");
        }
        for bad in ["3", "int +", "f()", "Literal[f()]"] {
            assert_eq!(Hint::parse(bad), None, "{bad}");
        }
    }
}
