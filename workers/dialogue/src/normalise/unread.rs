//! Signs that a text holds a call which no form reads.

use super::call::Tools;

/// Marks that stand in calls and hardly in words to a person.
const SIGNS: [&str; 18] = [
    "<tool_call",
    "</tool_call",
    "<|tool_call",
    "<|python_tag|>",
    "<｜tool",
    "<function=",
    "<function_call",
    "<functioncall",
    "<invoke",
    "<arg_key>",
    "<parameter=",
    "[TOOL_CALL",
    "[ARGS]",
    "functools[",
    "to=functions.",
    "\"tool_calls\"",
    "Action Input:",
    "<|action_start|>",
];
/// Pairs of fields that only a call has.
const FIELDS: [(&str, &str); 4] = [
    ("\"name\"", "\"arguments\""),
    ("\"name\"", "\"parameters\""),
    ("'name'", "'arguments'"),
    ("\"tool\"", "\"args\""),
];

/// Returns true when a text that was read as words looks like a call: it has the marks or the fields of one, or names an
/// offered tool with arguments in brackets.
pub(super) fn looks_like_a_call(text: &str, tools: Tools<'_>) -> bool {
    SIGNS.iter().any(|sign| text.contains(sign))
        || FIELDS
            .iter()
            .any(|(one, other)| text.contains(one) && text.contains(other))
        || tools.0.iter().any(|tool| is_called(text, &tool.name))
}

/// Returns true when a name with brackets that hold arguments stands in a text.
fn is_called(text: &str, name: &str) -> bool {
    !name.is_empty()
        && text.match_indices(name).any(|(at, _)| {
            let within = text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
            let inner = text[at + name.len()..].strip_prefix(['(', '{']);
            let inner = inner.and_then(|rest| rest.split_once([')', '}']));
            !within && inner.is_some_and(|(inner, _)| inner.contains(['=', ':', '"', '\'']))
        })
}
