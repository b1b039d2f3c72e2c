//! Calls of what the interpreter has that it does not run.

use ruff_python_ast::{Arguments, Expr, ExprCall};

use super::declared::Declared;
use super::gaps;
use crate::hint::last_name;

/// The keyword arguments of functions of `json` that the interpreter lacks.
const NO_KEYWORDS: [(&str, &[&str], &str); 2] = [
    (
        "dumps",
        &["default", "cls", "check_circular"],
        "make the values texts, numbers, lists and dicts first",
    ),
    (
        "loads",
        &[
            "object_hook",
            "object_pairs_hook",
            "cls",
            "parse_constant",
            "strict",
        ],
        "convert what it returns",
    ),
];

/// Returns the message and the remedy for a call that fails.
pub(super) fn found(call: &ExprCall, declared: &Declared) -> Option<(String, String)> {
    let arguments = &call.arguments;
    match call.func.as_ref() {
        Expr::Name(function) => match function.id.as_str() {
            "isinstance" => kind(arguments, declared),
            "next" => iterator(arguments, declared),
            name if is_exception(name) => exception(name, arguments),
            name if declared.sources.contains("json") => keywords(name, arguments),
            _ => None,
        },
        Expr::Attribute(method) => {
            let name = method.attr.as_str();
            let owner = last_name(&method.value).unwrap_or_default();
            let module = declared.modules.get(&owner).map_or("", String::as_str);
            let given = arguments.args.len();
            match (module, name) {
                (_, "now" | "today" | "utcnow") => clock(&owner, name),
                (_, "sub") => replacement(module, arguments, declared),
                (_, "strptime") => time_format(arguments.args.get(1)?),
                ("json", _) => keywords(name, arguments),
                ("time", "asctime" | "ctime" | "gmtime" | "localtime") if given == 0 => {
                    clock(&owner, name)
                }
                ("time", "strftime") if given == 1 => clock(&owner, name),
                _ => None,
            }
        }
        _ => None,
    }
}

fn clock(owner: &str, name: &str) -> Option<(String, String)> {
    let known = ["date", "datetime", "time"].contains(&owner);
    let message = format!("the clock is out of reach, so `{owner}.{name}` fails");
    known.then(|| (message, gaps::CLOCK.to_owned()))
}

/// `isinstance(x, Mapping)`, of a name that says nothing at run time.
fn kind(arguments: &Arguments, declared: &Declared) -> Option<(String, String)> {
    let hint = |one: &Expr| match one {
        Expr::Name(name) => declared.hints.contains(name.id.as_str()),
        Expr::Attribute(attribute) => {
            last_name(&attribute.value).is_some_and(|owner| owner == "typing" || owner == "abc")
        }
        _ => false,
    };
    let hinted = match arguments.args.get(1)? {
        Expr::Tuple(tuple) => tuple.elts.iter().any(hint),
        one => hint(one),
    };
    let message = "`isinstance` cannot test for a type of `typing` in the sandbox".to_owned();
    hinted.then(|| {
        (
            message,
            "test for `dict`, `list`, `str` or a class".to_owned(),
        )
    })
}

/// `next` of a variable that holds a list.
fn iterator(arguments: &Arguments, declared: &Declared) -> Option<(String, String)> {
    let Expr::Name(name) = arguments.args.first()? else {
        return None;
    };
    let name = name.id.as_str();
    let message = format!("the sandbox makes a list of `{name}`, so `next` of it fails");
    let remedy = format!("write `{name} = iter(..)` around what it is made of");
    declared.lists.contains(name).then_some((message, remedy))
}

/// An exception with more than a text.
fn exception(name: &str, arguments: &Arguments) -> Option<(String, String)> {
    let plain = match &*arguments.args {
        [] => true,
        [one] => !matches!(
            one,
            Expr::NumberLiteral(_)
                | Expr::BooleanLiteral(_)
                | Expr::NoneLiteral(_)
                | Expr::Tuple(_)
                | Expr::List(_)
                | Expr::Dict(_)
        ),
        _ => false,
    };
    let message = format!("`{name}` takes one text in the sandbox");
    let remedy = format!("put all into one, as `{name}(f\"..\")`");
    (!plain || !arguments.keywords.is_empty()).then_some((message, remedy))
}

fn is_exception(name: &str) -> bool {
    let ends = ["Error", "Exception", "StopIteration", "SystemExit"]
        .iter()
        .any(|ending| name.ends_with(ending));
    ends && gaps::is_builtin(name)
}

fn keywords(function: &str, arguments: &Arguments) -> Option<(String, String)> {
    let function = match function {
        "dump" => "dumps",
        "load" => "loads",
        other => other,
    };
    let (_, lacking, remedy) = NO_KEYWORDS.iter().find(|(name, ..)| *name == function)?;
    let mut given = arguments
        .keywords
        .iter()
        .filter_map(|keyword| keyword.arg.as_ref());
    let found = given.find(|name| lacking.contains(&name.as_str()))?;
    let message = format!("the sandbox's `json.{function}` has no `{found}`");
    Some((message, (*remedy).to_owned()))
}

/// `re.sub` with a function.
fn replacement(
    module: &str,
    arguments: &Arguments,
    declared: &Declared,
) -> Option<(String, String)> {
    let at = usize::from(module == "re");
    let is_function = match arguments.args.get(at)? {
        Expr::Lambda(_) => true,
        Expr::Name(name) => declared.functions.contains(name.id.as_str()),
        _ => false,
    };
    let message = "the sandbox's `re.sub` takes a text, not a function".to_owned();
    let remedy = "build the text in a loop over `re.finditer`".to_owned();
    is_function.then_some((message, remedy))
}

/// A format of `strptime` that lacks a part of the date, or names a part of the time that it then drops.
fn time_format(format: &Expr) -> Option<(String, String)> {
    let Expr::StringLiteral(text) = format else {
        return None;
    };
    let text = text.value.to_str();
    let any = |letters: &str| (letters.chars()).any(|letter| text.contains(&format!("%{letter}")));
    let date = any("jcx") || (any("yY") && any("mbB") && any("d")) || any("DF");
    let hour = any("H") || (any("I") && any("p")) || any("cXT");
    let time = !any("HIMSp") || (hour && (any("M") || any("cXT")));
    let (message, remedy) = match (date, time) {
        (true, true) => return None,
        (false, _) => (
            "the sandbox's `strptime` needs a year, a month and a day",
            "put them before the text and the format: `strptime(\"2000-01-01 \" + x, \"%Y-%m-%d %H:%M\")`",
        ),
        (true, false) => (
            "the sandbox's `strptime` drops a time without an hour of 24 (or %p) and minutes",
            "put the minutes after the text and the format: `strptime(x + \":00\", \"%Y-%m-%d %H:%M\")`",
        ),
    };
    Some((message.to_owned(), remedy.to_owned()))
}
