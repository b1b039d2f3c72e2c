//! Calls as XML: Qwen3-Coder (`<function=name><parameter=key>value</parameter></function>`), MiniMax and others
//! (`<invoke name="..">`), and Llama's `<function=name>{..}</function>`.
//!
//! Nothing is escaped in a value, so that it ends at the tag behind which the next argument or the call's end follows. A value
//! is a text; the tool's schema says which value it stands for.

use serde_json::Map;

use super::{Form, Found, Place};
use crate::ToolCall;
use crate::json::value_at;
use crate::normalise::call::{CallError, Tools, call_with};

/// The tags of a dialect.
struct Tags {
    /// The text before the name of a call.
    call: &'static str,
    /// The tag that ends a call.
    end: &'static str,
    /// The text before the name of an argument.
    argument: &'static str,
    /// The tag that ends an argument.
    end_of_argument: &'static str,
}

const DIALECTS: [Tags; 2] = [
    Tags {
        call: "<function=",
        end: "</function>",
        argument: "<parameter=",
        end_of_argument: "</parameter>",
    },
    Tags {
        call: "<invoke name=",
        end: "</invoke>",
        argument: "<parameter name=",
        end_of_argument: "</parameter>",
    },
];
/// Tags around calls, which end with the last of them.
const AROUND: [&str; 4] = [
    "</tool_call>",
    "</tool_calls>",
    "</function_calls>",
    "</minimax:tool_call>",
];

pub(super) const FORM: Form = Form {
    marked: true,
    opens,
    read,
};

pub(super) fn opens(text: &str) -> Option<usize> {
    dialect(text).map(|tags| tags.call.len())
}

fn dialect(text: &str) -> Option<&'static Tags> {
    DIALECTS.iter().find(|tags| text.starts_with(tags.call))
}

fn read(place: Place<'_>) -> Found {
    let Some(tags) = dialect(&place.text[place.start..]) else {
        return Found::Nothing(place.after);
    };
    let text = &place.text[place.after..];
    let end_of = |rest: &str| place.text.len() - rest.len();
    let Some((name, rest)) = name(text) else {
        return Found::Broken(
            CallError::Form("the tag of the call has no end"),
            end_of(""),
        );
    };
    let name = place.tools.name(name);
    let (call, rest) = match value_at(rest.trim_start()) {
        Some((arguments, length)) => {
            let call = call_with("", &name, Some(&arguments));
            (call, &rest.trim_start()[length..])
        }
        None => {
            let (call, rest) = with_arguments(&name, rest, tags, place.tools);
            (Ok(call), rest)
        }
    };
    let mut left = rest;
    if let Some(behind) = left.trim_start().strip_prefix(tags.end) {
        left = behind;
    }
    let around = AROUND
        .iter()
        .find_map(|tag| left.trim_start().strip_prefix(tag));
    Found::of(call.map(|call| vec![call]), end_of(around.unwrap_or(left)))
}

/// The name that begins a text, with or without quotes, and what stands behind its tag.
fn name(text: &str) -> Option<(&str, &str)> {
    let (head, rest) = text.split_once('>')?;
    let name = match head.chars().next()? {
        quote @ ('"' | '\'') => head[1..].split(quote).next()?,
        _ => head.split_whitespace().next()?,
    };
    (!name.trim().is_empty()).then_some((name.trim(), rest))
}

/// The arguments that begin a text, and the rest of it.
fn with_arguments<'a>(
    tool: &str,
    text: &'a str,
    tags: &Tags,
    tools: Tools<'_>,
) -> (ToolCall, &'a str) {
    let mut call = ToolCall::new(tool, Map::new());
    let mut rest = text;
    while let Some(argument) = rest.trim_start().strip_prefix(tags.argument) {
        let Some((key, behind)) = name(argument) else {
            break;
        };
        let follows = [&[tags.argument, tags.end][..], &AROUND[..]].concat();
        let (value, behind) = raw_value(behind, tags.end_of_argument, &follows);
        call.arguments
            .insert(key.to_owned(), tools.value(tool, key, value));
        rest = behind;
    }
    (call, rest)
}

/// The value that begins a text, without the line breaks around it, and the text behind it. It ends at the first `close` with
/// the end of the text or one of `follows` behind it, so that it may contain `close` itself; where a `close` was forgotten it
/// ends before a line that begins with the first of `follows`, or before any of them.
pub(super) fn raw_value<'a>(text: &'a str, close: &str, follows: &[&str]) -> (&'a str, &'a str) {
    let ends = |rest: &str| {
        let rest = rest.trim_start();
        rest.is_empty() || follows.iter().any(|tag| rest.starts_with(tag))
    };
    let mut closers = text
        .match_indices(close)
        .map(|(at, _)| (at, at + close.len()));
    let found = closers.find(|(_, behind)| ends(&text[*behind..]));
    let forgotten = |at: usize| (at, at);
    let next = follows
        .first()
        .and_then(|tag| text.find(&format!("\n{tag}")));
    let (end, behind) = match (found, next) {
        (Some((end, _)), Some(next)) if next < end => forgotten(next),
        (Some(found), _) => found,
        (None, _) => {
            let first = text.find(close).map(|at| (at, at + close.len()));
            let any = follows.iter().filter_map(|tag| text.find(tag)).min();
            first.unwrap_or_else(|| forgotten(any.unwrap_or(text.len())))
        }
    };
    let value = &text[..end];
    let value = value
        .strip_prefix("\r\n")
        .or_else(|| value.strip_prefix('\n'))
        .unwrap_or(value);
    let value = value
        .strip_suffix("\r\n")
        .or_else(|| value.strip_suffix('\n'))
        .unwrap_or(value);
    (value, &text[behind..])
}
