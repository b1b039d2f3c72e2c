//! One pass over a text that takes it apart: reasoning, words, calls.

use super::call::{CallError, Tools};
use super::forms::{FORMS, Found, Place, without_stray_tags};
use super::reasoning::{self, Mark};
use crate::ToolCall;

/// Places at which a form is tried, at most: a bound on the work that a text of brackets makes.
const PLACES: usize = 1024;
/// Tokens that end a turn, which some servers leave in the text.
const STOPS: [&str; 8] = [
    "<|im_end|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|end_of_text|>",
    "<|endoftext|>",
    "<|end|>",
    "<｜end▁of▁sentence｜>",
    "</s>",
];

/// A text, taken apart.
pub(super) struct Scan<'a> {
    text: &'a str,
    tools: Tools<'a>,
    /// The place up to which the text is taken apart.
    from: usize,
    /// True within reasoning that is never closed.
    thinking: bool,
    words: Vec<&'a str>,
    /// The spans of reasoning, its marks included.
    removed: Vec<(usize, usize)>,
    /// Reasoning, block by block.
    pub reasoning: Vec<&'a str>,
    /// The calls in their order.
    pub calls: Vec<ToolCall>,
    /// The first call that cannot be read.
    pub error: Option<CallError>,
}

impl<'a> Scan<'a> {
    /// Takes a text apart.
    pub fn of(text: &'a str, tools: Tools<'a>) -> Self {
        let mut scan = Self {
            text,
            tools,
            from: 0,
            thinking: false,
            words: Vec::new(),
            removed: Vec::new(),
            reasoning: Vec::new(),
            calls: Vec::new(),
            error: None,
        };
        let (mut at, mut places) = (0, 0);
        while let Some(next) = text[at..].find(['<', '[', '{', '`', '~', '◁']) {
            at += next;
            at = match reasoning::mark_at(&text[at..]) {
                Some(mark) => scan.mark(at, mark),
                None if places >= PLACES => break,
                None => scan.place(at, &mut places),
            };
        }
        scan.prose(text.len());
        scan
    }

    /// The text without reasoning; unchanged where there is none.
    pub fn without_reasoning(&self) -> String {
        if self.removed.is_empty() {
            return self.text.to_owned();
        }
        let mut kept = String::new();
        let mut at = 0;
        for (start, end) in &self.removed {
            kept.push_str(&self.text[at..*start]);
            at = *end;
        }
        kept.push_str(&self.text[at..]);
        kept.trim().to_owned()
    }

    /// The words, without what servers leave of stop tokens. Beside calls also without tags that close nothing.
    pub fn said(&self, calls_apart: bool) -> String {
        let beside = calls_apart || self.error.is_some() || !self.calls.is_empty();
        let tidy = |words: &&'a str| {
            let mut words = words.trim();
            while let Some(less) = STOPS.iter().find_map(|stop| words.strip_suffix(stop)) {
                words = less.trim();
            }
            if !beside {
                return words;
            }
            let words = without_open_fence(without_stray_tags(words));
            let empty = words
                .chars()
                .all(|c| c.is_whitespace() || "[]{},;`".contains(c));
            if empty { "" } else { words }
        };
        let words = self.words.iter().map(tidy);
        let words: Vec<&str> = words.filter(|words| !words.is_empty()).collect();
        words.join("\n")
    }

    /// Takes a mark of reasoning; returns the place after what it begins or ends.
    fn mark(&mut self, at: usize, mark: Mark) -> usize {
        match mark {
            Mark::Open(length, close) => {
                self.prose(at);
                let start = at + length;
                let end = reasoning::find(&self.text[start..], close);
                self.thinking = end.is_none();
                let (inner, end) = match end {
                    Some(end) => (&self.text[start..start + end], start + end + close.len()),
                    None => ("", start),
                };
                self.reasoning.push(inner);
                self.removed.push((at, end));
                self.from = end;
            }
            Mark::Close(length) => {
                // The prompt opened it: all that stands before is reasoning.
                self.reasoning = vec![&self.text[..at]];
                self.removed = vec![(0, at + length)];
                self.words.clear();
                self.calls.clear();
                self.error = None;
                self.thinking = false;
                self.from = at + length;
            }
        }
        self.from
    }

    /// Tries the forms at a place; returns the place from which to go on.
    fn place(&mut self, at: usize, places: &mut usize) -> usize {
        let text = self.text;
        let rest = &text[at..];
        let blank = |words: &&str| words.trim().is_empty();
        let alone = self.words.iter().all(blank) && text[self.from..at].trim().is_empty();
        let mut to = at + rest.chars().next().map_or(1, char::len_utf8);
        for form in FORMS.iter().filter(|form| form.marked || !self.thinking) {
            let Some(length) = (form.opens)(rest) else {
                continue;
            };
            *places += 1;
            let found = (form.read)(Place {
                text,
                start: at,
                after: at + length,
                alone,
                tools: self.tools,
            });
            match found {
                Found::Nothing(end) => {
                    to = to.max(end);
                    continue;
                }
                Found::Calls(calls, end) => {
                    self.prose(at);
                    self.calls.extend(calls);
                    self.from = end;
                }
                Found::Broken(error, end) => {
                    self.prose(at);
                    if self.error.is_none() {
                        self.error = Some(error);
                    }
                    self.from = end;
                }
            }
            return self.from;
        }
        to
    }

    /// Takes the text up to a place as words, or as reasoning that is not closed.
    fn prose(&mut self, to: usize) {
        let piece = &self.text[self.from..to];
        if self.thinking && !piece.is_empty() {
            self.reasoning.push(piece);
            self.removed.push((self.from, to));
        } else {
            self.words.push(piece);
        }
        self.from = to;
    }
}

/// Words without the half of a fence that stood around a call.
fn without_open_fence(words: &str) -> &str {
    const MARKS: &str = "```";
    if words.matches(MARKS).count().is_multiple_of(2) {
        return words;
    }
    let (before, last) = words.rsplit_once('\n').unwrap_or(("", words));
    if last.trim_start().starts_with(MARKS) && !last.trim().contains(' ') {
        return before.trim_end();
    }
    let behind = words.strip_prefix(MARKS).unwrap_or(words);
    behind.trim_start()
}
