//! The public functions of a `tools.py`: what tool schemas are derived from.

use ruff_python_ast::{Expr, Parameter as Declared, Stmt, StmtFunctionDef};
use ruff_text_size::Ranged;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::lint::{Lint, line_of};

/// A public function: its name has no leading underscore.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Signature {
    /// The name.
    pub name: String,
    /// The docstring, without its indentation.
    pub doc: String,
    /// The parameters, in order.
    pub parameters: Vec<Parameter>,
    /// The return type as written; empty when there is none.
    pub returns: String,
    /// The line of its `def`, from 1.
    pub line: u32,
}

/// A parameter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Parameter {
    /// The name.
    pub name: String,
    /// The type as written; empty when there is none.
    pub ty: String,
    /// The default, where it is a plain literal.
    pub default: Option<Value>,
    /// True when there is a default, of any kind.
    pub optional: bool,
}

/// The public functions of a source, in order.
///
/// # Errors
/// Where the source does not parse.
pub fn signatures(source: &str) -> Result<Vec<Signature>, Lint> {
    let parsed = ruff_python_parser::parse_module(source).map_err(|e| Lint::syntax(source, &e))?;
    let functions = parsed
        .syntax()
        .body
        .iter()
        .filter_map(|statement| match statement {
            Stmt::FunctionDef(function) if !function.name.starts_with('_') => Some(function),
            _ => None,
        });
    Ok(functions
        .map(|function| signature(source, function))
        .collect())
}

fn signature(source: &str, function: &StmtFunctionDef) -> Signature {
    let parameters = &function.parameters;
    Signature {
        name: function.name.to_string(),
        doc: docstring_of(&function.body),
        parameters: parameters
            .iter_non_variadic_params()
            .map(|p| Parameter {
                name: p.parameter.name.to_string(),
                ty: annotation(source, &p.parameter),
                default: p.default.as_deref().and_then(literal),
                optional: p.default.is_some(),
            })
            .collect(),
        returns: function
            .returns
            .as_deref()
            .map(|e| text(source, e))
            .unwrap_or_default(),
        line: line_of(source, function.name.range().start().to_usize()),
    }
}

fn annotation(source: &str, parameter: &Declared) -> String {
    parameter
        .annotation
        .as_deref()
        .map(|e| text(source, e))
        .unwrap_or_default()
}

/// An expression as it is written.
pub(crate) fn text(source: &str, expression: &Expr) -> String {
    let range = expression.range();
    source
        .get(range.start().to_usize()..range.end().to_usize())
        .unwrap_or_default()
        .to_owned()
}

/// The docstring of a body, without its indentation.
pub(crate) fn docstring_of(body: &[Stmt]) -> String {
    let Some(Stmt::Expr(first)) = body.first() else {
        return String::new();
    };
    let Expr::StringLiteral(doc) = first.value.as_ref() else {
        return String::new();
    };
    let text = doc.value.to_str();
    text.lines()
        .map(str::trim)
        .collect::<Vec<_>>()
        .join("\n")
        .trim()
        .to_owned()
}

/// The value of a plain literal.
pub(crate) fn literal(expression: &Expr) -> Option<Value> {
    match expression {
        Expr::StringLiteral(text) => Some(Value::from(text.value.to_str())),
        Expr::BooleanLiteral(flag) => Some(Value::from(flag.value)),
        Expr::NoneLiteral(_) => Some(Value::Null),
        Expr::NumberLiteral(number) => match &number.value {
            ruff_python_ast::Number::Int(int) => int.as_i64().map(Value::from),
            ruff_python_ast::Number::Float(float) => Some(Value::from(*float)),
            ruff_python_ast::Number::Complex { .. } => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_function_is_read_with_types_defaults_and_docs_and_a_private_one_is_not() {
        let source = "def _help(x):\n    return x\n\ndef move(parcel: str, days: int = 3) -> dict:\n    \"\"\"Moves it.\n\n    Soon.\n    \"\"\"\n    return {}\n";
        let found = signatures(source).unwrap();
        assert_eq!(found.len(), 1);
        let move_ = &found[0];
        assert_eq!(
            (move_.name.as_str(), move_.line, move_.returns.as_str()),
            ("move", 4, "dict")
        );
        assert_eq!(move_.doc, "Moves it.\n\nSoon.");
        assert_eq!(move_.parameters[1].default, Some(Value::from(3)));
        assert_eq!(move_.parameters[0].ty, "str");
    }
}
