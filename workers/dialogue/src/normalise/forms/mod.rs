//! The forms in which models write calls as text: one file for each, and the table of all.
//!
//! A form says where it opens, and reads a call from there to its end. Its marks are looked for only behind the JSON or the
//! literals that it holds, so that an argument may contain them. To add a form, write its file and add it to [`FORMS`].

mod bare;
mod fenced;
mod pythonic;
mod run;
mod sectioned;
mod tagged;
mod xml;

use super::call::{CallError, Tools};
use crate::ToolCall;

pub(crate) use fenced::calls_in_fences;
pub use fenced::calls_in_text;
pub(super) use pythonic::calls_of_whole;
pub(crate) use tagged::calls_between_tags;
pub(super) use tagged::without_stray_tags;

/// Every form. Of several that open at one place the first that finds a call reads it.
pub(super) const FORMS: [Form; 6] = [
    tagged::FORM,
    xml::FORM,
    sectioned::FORM,
    fenced::FORM,
    pythonic::FORM,
    bare::FORM,
];

/// A form of calls.
pub(super) struct Form {
    /// True when it has marks of its own, which stand nowhere else.
    pub marked: bool,
    /// Returns the length of the marks that open it at the beginning of a text.
    pub opens: fn(&str) -> Option<usize>,
    /// Reads what stands behind them.
    pub read: fn(Place<'_>) -> Found,
}

/// A place of a text at which a form opens.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    /// The whole text.
    pub text: &'a str,
    /// The place where the form opens.
    pub start: usize,
    /// The place after the marks that open it.
    pub after: usize,
    /// True when only reasoning and calls stand before it.
    pub alone: bool,
    /// The tools that are offered.
    pub tools: Tools<'a>,
}

/// The finding of a form at a place, with the place where it ends.
pub(super) enum Found {
    /// Calls, or none where only marks stand.
    Calls(Vec<ToolCall>, usize),
    /// A call that cannot be read.
    Broken(CallError, usize),
    /// Words up to there.
    Nothing(usize),
}

impl Found {
    /// Calls, or the error of one of them, that end at a place.
    fn of(calls: Result<Vec<ToolCall>, CallError>, end: usize) -> Self {
        match calls {
            Ok(calls) => Self::Calls(calls, end),
            Err(error) => Self::Broken(error, end),
        }
    }
}
