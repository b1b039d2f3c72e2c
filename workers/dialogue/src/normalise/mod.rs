//! Reads what a model wrote: reasoning, words to the other party, and calls, in whatever form it writes them.
//!
//! Where servers parse calls they come apart from the text; else they stand in it, in the form of the model's family. The
//! forms are in `forms`, one file each. These rules hold for all of them:
//! 1. JSON is read to its end before a tag or a fence that closes is looked for, so that an argument may hold one.
//! 2. Reasoning is taken out first, also where only the mark that closes it is there; brackets and drafts in it are no calls.
//! 3. Between marks every object is a call, and an unknown name is an unknown tool. In a fence, or as the whole text, an object
//!    with a name and arguments is one. In prose and in Python's notation only the call of an offered tool is.
//! 4. Calls that the server sends apart count alone; the text beside them is words.
//! 5. What is written as a call and cannot be read is an error with its reason. Nothing is guessed.

mod call;
mod code;
mod fence;
mod forms;
mod python;
mod reasoning;
mod scan;
mod unread;

use serde_json::Value;

pub use call::CallError;
pub use code::python_defining;
pub use forms::calls_in_text;
pub(crate) use forms::{calls_between_tags, calls_in_fences};
pub use python::{PythonCall, python_call};

use crate::{ToolCall, ToolSpec};
use call::{Tools, Trust, calls_of_all};
use scan::Scan;

/// One turn of a model as it came.
#[derive(Clone, Copy, Debug, Default)]
pub struct ModelOutput<'a> {
    /// The text.
    pub text: &'a str,
    /// Calls that came apart from the text, in the API's form.
    pub calls: &'a [Value],
    /// Reasoning that came apart from the text.
    pub reasoning: Option<&'a str>,
    /// True when a limit of tokens ended it.
    pub cut: bool,
    /// True when it is said to have ended with calls.
    pub ended_with_calls: bool,
}

/// One turn of a model, read.
#[derive(Clone, Debug, PartialEq)]
pub struct ParsedOutput {
    /// Reasoning: for nobody but the model.
    pub reasoning: Option<String>,
    /// Words to the other party, without reasoning and calls.
    pub said: String,
    /// Calls, or the reason why something written as one cannot be read.
    pub calls: Result<Vec<ToolCall>, CallError>,
    /// True when a limit of tokens ended it.
    pub cut: bool,
    /// The text as it was written, calls included, without reasoning: what goes back to a model that writes calls as text.
    pub written: String,
    /// True when there is no call, but something looks like one that no form reads.
    pub unread: bool,
}

/// Reads a model's turn. `tools` are those that were offered to it, in whatever way.
#[must_use]
pub fn normalise(output: &ModelOutput<'_>, tools: &[ToolSpec]) -> ParsedOutput {
    let tools = Tools(tools);
    let mut scan = Scan::of(output.text, tools);
    let written = scan.without_reasoning();
    let reasoning = output
        .reasoning
        .into_iter()
        .chain(scan.reasoning.iter().copied());
    let reasoning: Vec<&str> = reasoning.map(str::trim).filter(|r| !r.is_empty()).collect();
    let reasoning = (!reasoning.is_empty()).then(|| reasoning.join("\n\n"));
    let mut said = scan.said(!output.calls.is_empty());
    let calls = if !output.calls.is_empty() {
        calls_of_all(output.calls, Trust::Marked, tools)
    } else if let Some(error) = scan.error.take() {
        Err(error)
    } else if scan.calls.is_empty()
        && let Some(calls) = forms::calls_of_whole(&said, tools)
    {
        said.clear();
        calls
    } else {
        Ok(scan.calls)
    };
    let none = calls.as_ref().is_ok_and(Vec::is_empty);
    let unread = none && (output.ended_with_calls || unread::looks_like_a_call(&said, tools));
    ParsedOutput {
        reasoning,
        said,
        calls,
        cut: output.cut,
        written,
        unread,
    }
}

#[cfg(test)]
mod tests;
