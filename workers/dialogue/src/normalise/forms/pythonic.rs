//! Calls in Python's notation: `[look(id="4"), now()]`, or calls alone that are the whole text or the whole fence. Only names of
//! offered tools make such a text a call.

use super::{Form, Found, Place};
use crate::ToolCall;
use crate::normalise::call::{CallError, Tools};
use crate::normalise::python::{self, PythonCall};

/// The reason why a list that begins like calls cannot be read.
const RULE: CallError = CallError::Form(
    "each argument must have a name and a literal value, as in [tool(name=\"value\")]",
);

pub(super) const FORM: Form = Form {
    marked: false,
    opens: |text| text.starts_with('[').then_some(1),
    read,
};

fn read(place: Place<'_>) -> Found {
    let inner = place.text[place.after..].trim_start();
    if !python::name_at(inner).is_some_and(|name| place.tools.offers(name)) {
        return Found::Nothing(place.after);
    }
    match python::list_at(&place.text[place.start..]) {
        Some((calls, length)) if calls.iter().all(|call| place.tools.offers(&call.name)) => {
            Found::of(tool_calls(calls, place.tools), place.start + length)
        }
        None if place.alone => Found::Broken(RULE, place.text.len()),
        _ => Found::Nothing(place.after),
    }
}

/// The calls that are a whole text; `None` where it is something else, or a call of another tool.
pub(in crate::normalise) fn calls_of_whole(
    text: &str,
    tools: Tools<'_>,
) -> Option<Result<Vec<ToolCall>, CallError>> {
    let text = text.trim();
    let (calls, length) = python::calls_at(text)?;
    let whole = length == text.len() && calls.iter().all(|call| tools.offers(&call.name));
    whole.then(|| tool_calls(calls, tools))
}

/// The calls that begin a text between marks, whatever their names, and the length of their text.
pub(super) fn calls_at(
    text: &str,
    tools: Tools<'_>,
) -> Option<(Result<Vec<ToolCall>, CallError>, usize)> {
    let (calls, length) = python::calls_at(text)?;
    Some((tool_calls(calls, tools), length))
}

fn tool_calls(calls: Vec<PythonCall>, tools: Tools<'_>) -> Result<Vec<ToolCall>, CallError> {
    let call = |call: PythonCall| {
        let name = tools.name(&call.name);
        if !call.positional.is_empty() {
            return Err(CallError::Arguments(name));
        }
        Ok(ToolCall::new(&name, call.arguments))
    };
    calls.into_iter().map(call).collect()
}
