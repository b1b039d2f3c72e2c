//! Calls between tags: Hermes and Qwen (`<tool_call>{..}</tool_call>`), Llama (`<|python_tag|>{..}`), Mistral
//! (`[TOOL_CALLS][{..}]`, `[TOOL_CALLS]name[ARGS]{..}`), GLM (`<tool_call>name<arg_key>..`), Phi, Granite and LFM. The tags
//! that close may be missing at the end.

use serde_json::{Map, Value};

use super::run::{closing, not_json, values};
use super::xml::raw_value;
use super::{Form, Found, Place, pythonic, sectioned, xml};
use crate::ToolCall;
use crate::json::{until, value_at};
use crate::normalise::call::{CallError, Tools, Trust, call_from, call_with, calls_of_all};
use crate::normalise::fence::fence_at;
use crate::normalise::python;

const OPEN: &str = "<tool_call>";
const CLOSE: &str = "</tool_call>";

/// The tags that open calls, and those that close them.
const TAGS: [(&str, &[&str]); 10] = [
    (OPEN, &[CLOSE]),
    ("<tool_calls>", &["</tool_calls>"]),
    ("<function_call>", &["</function_call>"]),
    ("<function_calls>", &["</function_calls>"]),
    ("<functioncall>", &["</functioncall>", "<|endoftext|>"]),
    ("<minimax:tool_call>", &["</minimax:tool_call>"]),
    ("<|tool_call|>", &["<|/tool_call|>", "</|tool_call|>"]),
    ("<|tool_call_start|>", &["<|tool_call_end|>"]),
    ("<|python_tag|>", &["<|eom_id|>", "<|eot_id|>"]),
    ("[TOOL_CALLS]", &["[/TOOL_CALLS]"]),
];
const KEY: (&str, &str) = ("<arg_key>", "</arg_key>");
const VALUE: (&str, &str) = ("<arg_value>", "</arg_value>");

pub(super) const FORM: Form = Form {
    marked: true,
    opens,
    read,
};

/// Removes tags that close calls from the beginning and the end of words beside calls.
pub(in crate::normalise) fn without_stray_tags(mut words: &str) -> &str {
    loop {
        words = words.trim();
        let closers = || TAGS.iter().flat_map(|(_, closers)| closers.iter());
        let less = closers()
            .find_map(|tag| words.strip_prefix(tag))
            .or_else(|| closers().find_map(|tag| words.strip_suffix(tag)));
        match less {
            Some(less) => words = less,
            None => return words,
        }
    }
}

fn opens(text: &str) -> Option<usize> {
    let tag = TAGS.iter().find(|(open, _)| text.starts_with(open));
    tag.map(|(open, _)| open.len())
}

fn read(place: Place<'_>) -> Found {
    let open = &place.text[place.start..place.after];
    let tag = TAGS.iter().find(|(tag, _)| *tag == open);
    let closers = tag.map_or(&[][..], |(_, closers)| *closers);
    let body = &place.text[place.after..];
    let inner = body.trim_start();
    let at = place.text.len() - inner.len();
    let nested = xml::opens(inner)
        .or_else(|| sectioned::opens(inner))
        .or_else(|| opens(inner));
    if nested.is_some() {
        return Found::Calls(Vec::new(), at);
    }
    let (calls, length) = match fence_at(inner, 0) {
        Some(fence) => {
            let closers = [closers, &[fence.marks][..]].concat();
            let (calls, length) = content(&inner[fence.start..], &closers, open, place.tools);
            (calls, fence.start + length)
        }
        None => content(inner, closers, open, place.tools),
    };
    Found::of(calls, at + length)
}

/// The calls that begin a text, and the place after the tags that close them.
fn content(
    text: &str,
    closers: &[&str],
    open: &str,
    tools: Tools<'_>,
) -> (Result<Vec<ToolCall>, CallError>, usize) {
    let list = text.strip_prefix('[').map(str::trim_start);
    if list.is_none_or(|list| python::name_at(list).is_none()) && text.starts_with(['{', '[']) {
        return match values(text, closers, open) {
            Ok((values, end)) => (calls_of_all(&values, Trust::Marked, tools), end),
            Err((error, end)) => (Err(error), end),
        };
    }
    let found = with_arguments_behind(text, tools)
        .or_else(|| with_keys(text, tools))
        .or_else(|| pythonic::calls_at(text, tools));
    let Some((calls, length)) = found else {
        let why = CallError::Json("nothing readable between the tags".into());
        return (Err(why), until(text, closers).1);
    };
    match closing(text, length, closers, open) {
        Ok(end) => (calls, end),
        Err((raw, end)) => (Err(not_json(raw)), end),
    }
}

/// Mistral's newer form: a name, perhaps an id, and the arguments behind it.
fn with_arguments_behind(
    text: &str,
    tools: Tools<'_>,
) -> Option<(Result<Vec<ToolCall>, CallError>, usize)> {
    let mut calls = Vec::new();
    let mut at = 0;
    while let Some((call, length)) = one_with_arguments_behind(&text[at..], tools) {
        at += length;
        match call {
            Ok(call) => calls.push(call),
            Err(error) => return Some((Err(error), at)),
        }
    }
    (!calls.is_empty()).then_some((Ok(calls), at))
}

fn one_with_arguments_behind(
    text: &str,
    tools: Tools<'_>,
) -> Option<(Result<ToolCall, CallError>, usize)> {
    let start = text.trim_start();
    let length = start
        .find(|c: char| !c.is_alphanumeric() && !"_-.:".contains(c))
        .filter(|length| *length > 0)?;
    let (name, mut rest) = start.split_at(length);
    rest = rest.trim_start();
    let mut id = "";
    if let Some(given) = rest.strip_prefix("[CALL_ID]") {
        let end = given.find(['[', '{']).unwrap_or(given.len());
        (id, rest) = given.split_at(end);
    }
    let marked = rest.strip_prefix("[ARGS]");
    let rest = marked.unwrap_or(rest).trim_start();
    let before = text.len() - rest.len();
    match value_at(rest).filter(|(value, _)| value.is_object()) {
        Some((arguments, length)) => {
            let name = tools.name(name);
            let call = call_with(id.trim(), &name, Some(&arguments));
            Some((call, before + length))
        }
        None if marked.is_some() => Some((Err(CallError::Arguments(name.into())), text.len())),
        None => None,
    }
}

/// GLM's form: a name, and each argument as a key and a value between tags.
fn with_keys(text: &str, tools: Tools<'_>) -> Option<(Result<Vec<ToolCall>, CallError>, usize)> {
    let length = text.find(['\n', '<']).unwrap_or(text.len());
    let name = tools.name(text[..length].trim());
    let mut at = length;
    let mut call = ToolCall::new(&name, Map::new());
    loop {
        let rest = text[at..].trim_start();
        let Some(key) = rest.strip_prefix(KEY.0) else {
            let plain = tools.has(&name) && (rest.is_empty() || rest.starts_with("</"));
            return (!call.arguments.is_empty() || plain).then_some((Ok(vec![call]), at));
        };
        let (key, rest) = key.split_once(KEY.1)?;
        let value = rest.trim_start().strip_prefix(VALUE.0)?;
        let (value, rest) = raw_value(value, VALUE.1, &[KEY.0, CLOSE]);
        at = text.len() - rest.len();
        let key = key.trim();
        call.arguments
            .insert(key.to_owned(), tools.value(&name, key, value));
    }
}

/// Reads a turn of a policy that writes calls between `<tool_call>` tags and nothing else: the text before the first, and the
/// calls. Repairs nothing. `None` where the text has no tag.
///
/// # Errors
/// The reason why a call cannot be read.
pub(crate) fn calls_between_tags(text: &str) -> Option<Result<(&str, Vec<ToolCall>), String>> {
    let first = text.find(OPEN)?;
    let mut rest = &text[first..];
    let mut calls = Vec::new();
    while let Some(at) = rest.find(OPEN) {
        let body = &rest[at + OPEN.len()..];
        let (raw, _) = until(body, &[CLOSE, OPEN]);
        let value = serde_json::from_str::<Value>(raw.trim()).map_err(|e| e.to_string());
        match value.and_then(|value| call_from(&value).map_err(|e| e.to_string())) {
            Ok(call) => calls.push(call),
            Err(why) => return Some(Err(why)),
        }
        rest = &body[raw.len()..];
    }
    Some(Ok((text[..first].trim_end_matches('\n'), calls)))
}
