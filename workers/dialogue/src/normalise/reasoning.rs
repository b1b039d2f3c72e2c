//! The marks around reasoning within a text.

/// The marks that open reasoning and those that close it, in any case of letters.
const MARKS: [(&str, &str); 8] = [
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
    ("<seed:think>", "</seed:think>"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("[THINK]", "[/THINK]"),
    ("◁think▷", "◁/think▷"),
];

/// A mark that begins a text, with its length in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// Reasoning begins; the text that closes it.
    Open(usize, &'static str),
    /// Reasoning ends. Where nothing opened it, the prompt did.
    Close(usize),
}

/// The mark that begins a text.
pub(super) fn mark_at(text: &str) -> Option<Mark> {
    MARKS.iter().find_map(|(open, close)| {
        if begins(text, open) {
            Some(Mark::Open(open.len(), close))
        } else {
            begins(text, close).then_some(Mark::Close(close.len()))
        }
    })
}

/// The first place of a mark in a text.
pub(super) fn find(text: &str, mark: &str) -> Option<usize> {
    let mut windows = text.as_bytes().windows(mark.len());
    windows.position(|window| window.eq_ignore_ascii_case(mark.as_bytes()))
}

/// Returns true when a text holds a mark that closes reasoning.
pub(super) fn closes(text: &str) -> bool {
    MARKS.iter().any(|(_, close)| find(text, close).is_some())
}

fn begins(text: &str, mark: &str) -> bool {
    let head = text.as_bytes().get(..mark.len());
    head.is_some_and(|head| head.eq_ignore_ascii_case(mark.as_bytes()))
}
