//! Expressions and statements that can be written in the interpreter's Python.

use std::ops::Range;

use ruff_python_ast::{Expr, ExprAttribute, ExprCall, StmtDelete};
use ruff_text_size::Ranged;

use super::bytes;
use crate::hint::last_name;

/// The functions whose result is an iterator in Python and a list in the interpreter.
const LISTS: [&str; 5] = ["enumerate", "filter", "map", "reversed", "zip"];

/// The built-in types, whose methods the interpreter finds on values alone: `str.lower`.
pub(crate) const TYPES: [&str; 10] = [
    "bool",
    "bytes",
    "dict",
    "float",
    "frozenset",
    "int",
    "list",
    "set",
    "str",
    "tuple",
];

/// Their methods that take nothing but the value.
const ALONE: [&str; 20] = [
    "capitalize",
    "casefold",
    "copy",
    "isalnum",
    "isalpha",
    "isdigit",
    "islower",
    "isnumeric",
    "isspace",
    "isupper",
    "items",
    "keys",
    "lower",
    "lstrip",
    "rstrip",
    "strip",
    "swapcase",
    "title",
    "upper",
    "values",
];

/// A range of bytes and the text that replaces it.
pub(super) type Edit = (Range<usize>, String);

/// The edits that make a `del` of items calls of `pop`, and of plain slices assignments of `[]`; `None` where they would not
/// mean the same.
pub(crate) fn deletion(source: &str, delete: &StmtDelete) -> Option<Vec<(Range<usize>, String)>> {
    // `del` of a missing key of a Counter is no error, a deque's `pop` takes no index, and a class may have its own.
    if ["Counter", "deque", "__delitem__"]
        .iter()
        .any(|name| source.contains(name))
    {
        return None;
    }
    let mut edits = Vec::new();
    let mut end = delete.range().start().to_usize() + "del".len();
    for (number, target) in delete.targets.iter().enumerate() {
        let Expr::Subscript(subscript) = target else {
            return None;
        };
        let range = bytes(subscript.range());
        let between = source.get(end..range.start)?;
        let (wanted, written) = if number == 0 { ("", "") } else { (",", "; ") };
        if between.trim() != wanted || between.contains('\n') {
            return None;
        }
        if number == 0 {
            edits.push((
                delete.range().start().to_usize()..range.start,
                String::new(),
            ));
        } else {
            edits.push((end..range.start, written.to_owned()));
        }
        end = range.end;
        if let Expr::Slice(slice) = subscript.slice.as_ref() {
            if slice.step.is_some() {
                return None;
            }
            edits.push((end..end, " = []".to_owned()));
            continue;
        }
        let value = subscript.value.range().end().to_usize();
        let before = source.get(value..subscript.slice.range().start().to_usize())?;
        let open = value + before.find('[').filter(|_| !before.contains('#'))?;
        let (left, right) = match subscript.slice.is_tuple_expr() {
            true => (".pop((", "))"),
            false => (".pop(", ")"),
        };
        edits.push((open..open + 1, left.to_owned()));
        edits.push((end - 1..end, right.to_owned()));
    }
    let rest = bytes(delete.range()).end;
    match source.get(end..rest)?.trim() {
        "" => {}
        "," => edits.push((end..rest, String::new())),
        _ => return None,
    }
    Some(edits)
}

/// The argument of `next` that the interpreter makes a list of.
pub(super) fn listed(call: &ExprCall) -> Option<&Expr> {
    let is_next = matches!(call.func.as_ref(), Expr::Name(name) if name.id.as_str() == "next");
    let item = call.arguments.args.first().filter(|_| is_next)?;
    makes_a_list(item).then_some(item)
}

/// True for what is an iterator in Python and a list in the interpreter.
pub(crate) fn makes_a_list(expression: &Expr) -> bool {
    match expression {
        Expr::Generator(_) => true,
        Expr::Call(call) => match call.func.as_ref() {
            Expr::Name(name) => LISTS.contains(&name.id.as_str()),
            Expr::Attribute(attribute) => attribute.attr.as_str() == "finditer",
            _ => false,
        },
        _ => false,
    }
}

/// True for `object()`, a value that is equal to itself alone.
pub(super) fn is_bare_object(call: &ExprCall) -> bool {
    let is_object = matches!(call.func.as_ref(), Expr::Name(name) if name.id.as_str() == "object");
    is_object && call.arguments.args.is_empty() && call.arguments.keywords.is_empty()
}

/// The method that a call is given as a function of one value: a `key`, or the first argument of `map` and `filter`. The
/// interpreter has no methods as values, so it becomes a lambda.
pub(crate) fn method_of(call: &ExprCall) -> Option<&ExprAttribute> {
    let arguments = &call.arguments;
    let name = last_name(&call.func)?;
    let given = match name.as_str() {
        "sorted" | "min" | "max" | "sort" => {
            let mut keywords = arguments.keywords.iter();
            &keywords
                .find(|keyword| {
                    keyword
                        .arg
                        .as_ref()
                        .is_some_and(|arg| arg.as_str() == "key")
                })?
                .value
        }
        "map" | "filter" if arguments.args.len() == 2 && call.func.is_name_expr() => {
            arguments.args.first()?
        }
        _ => return None,
    };
    match given {
        Expr::Attribute(attribute) if is_path(&attribute.value) => {
            let of_type = is_type(&attribute.value);
            (!of_type || is_of_type(attribute)).then_some(attribute)
        }
        _ => None,
    }
}

/// True for `a` and `a.b.c`.
fn is_path(expression: &Expr) -> bool {
    match expression {
        Expr::Name(_) => true,
        Expr::Attribute(attribute) => is_path(&attribute.value),
        _ => false,
    }
}

/// True for `str.lower`, a method of a built-in type that takes the value alone.
pub(super) fn is_of_type(method: &ExprAttribute) -> bool {
    is_type(&method.value) && ALONE.contains(&method.attr.as_str())
}

fn is_type(expression: &Expr) -> bool {
    matches!(expression, Expr::Name(name) if TYPES.contains(&name.id.as_str()))
}
