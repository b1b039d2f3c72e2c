//! Calls in sections of special tokens: DeepSeek (`<｜tool▁call▁begin｜>name<｜tool▁sep｜>{..}<｜tool▁call▁end｜>`, in the older
//! form `function<｜tool▁sep｜>name` and a fence) and Kimi (`<|tool_call_begin|>functions.name:0<|tool_call_argument_begin|>{..}`).

use super::run::not_json;
use super::{Form, Found, Place};
use crate::json::value_at;
use crate::normalise::call::{CallError, call_with};
use crate::normalise::fence::fence_at;

/// The tokens of a dialect: around one call, and before its arguments.
struct Tokens {
    begin: &'static str,
    separator: &'static str,
    end: &'static str,
}

const DIALECTS: [Tokens; 2] = [
    Tokens {
        begin: "<｜tool▁call▁begin｜>",
        separator: "<｜tool▁sep｜>",
        end: "<｜tool▁call▁end｜>",
    },
    Tokens {
        begin: "<|tool_call_begin|>",
        separator: "<|tool_call_argument_begin|>",
        end: "<|tool_call_end|>",
    },
];
/// The tokens around all calls of a turn.
const SECTIONS: [&str; 4] = [
    "<｜tool▁calls▁begin｜>",
    "<｜tool▁calls▁end｜>",
    "<|tool_calls_section_begin|>",
    "<|tool_calls_section_end|>",
];

pub(super) const FORM: Form = Form {
    marked: true,
    opens,
    read,
};

pub(super) fn opens(text: &str) -> Option<usize> {
    let begins = DIALECTS.iter().map(|tokens| tokens.begin);
    let mut marks = begins.chain(SECTIONS);
    marks.find(|mark| text.starts_with(mark)).map(str::len)
}

fn read(place: Place<'_>) -> Found {
    let open = &place.text[place.start..place.after];
    let Some(tokens) = DIALECTS.iter().find(|tokens| tokens.begin == open) else {
        return Found::Calls(Vec::new(), place.after);
    };
    let text = &place.text[place.after..];
    let end_of = |rest: &str| place.text.len() - rest.len();
    let Some((head, rest)) = text.split_once(tokens.separator) else {
        let why = CallError::Form("its name and its arguments are not separated");
        return Found::Broken(why, end_of(""));
    };
    // The older form has the kind of the call before the separator, its name and a fence behind it.
    let (name, rest) = if rest.trim_start().starts_with('{') {
        (head, rest)
    } else {
        rest.split_once('\n').unwrap_or((rest, ""))
    };
    let inner = rest.trim_start();
    let fence = fence_at(inner, 0);
    let json = fence
        .map_or(inner, |fence| &inner[fence.start..])
        .trim_start();
    let Some((arguments, length)) = value_at(json) else {
        let raw = json.split(tokens.end).next().unwrap_or(json);
        let behind = rest.split_once(tokens.end).map_or("", |(_, behind)| behind);
        return Found::Broken(not_json(raw), end_of(behind));
    };
    let mut left = &json[length..];
    for mark in [fence.map_or("", |fence| fence.marks), tokens.end] {
        left = left.trim_start().strip_prefix(mark).unwrap_or(left);
    }
    let name = place.tools.name(name.trim());
    let call = call_with("", &name, Some(&arguments));
    Found::of(call.map(|call| vec![call]), end_of(left))
}
