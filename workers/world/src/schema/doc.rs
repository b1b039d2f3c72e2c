//! Docstrings: the parts that describe parameters, in Google's style.

use std::collections::BTreeMap;

use agoge_sandbox::Format;

/// A docstring, read.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Doc {
    /// The text without the section of parameters.
    pub description: String,
    /// The descriptions of parameters by name.
    pub parameters: BTreeMap<String, String>,
}

/// The heads of a section of parameters.
const ARGUMENTS: [&str; 4] = ["Args:", "Arguments:", "Parameters:", "Keyword Args:"];

/// Reads a docstring whose lines have no indentation. In format 1 it is all description.
///
/// The section ends at an empty line or at the next head, `Returns:`. A line of it that begins as `name: text` or
/// `name (type): text`, with one of these names, begins a parameter, and any other one continues it.
pub(super) fn read(doc: &str, names: &[&str], format: Format) -> Doc {
    let mut read = Doc::default();
    if format == Format::One {
        read.description = doc.to_owned();
        return read;
    }
    let mut kept: Vec<&str> = Vec::new();
    let (mut within, mut last) = (false, None::<String>);
    for line in doc.lines() {
        if ARGUMENTS.contains(&line) {
            within = true;
            continue;
        }
        within &= !(is_head(line) || line.is_empty() && last.is_some());
        if !within {
            last = None;
            kept.push(line);
            continue;
        }
        let begun = parameter(line).filter(|(name, _)| names.contains(name));
        match (begun, &last) {
            (Some((name, text)), _) => {
                read.parameters.insert(name.to_owned(), text.to_owned());
                last = Some(name.to_owned());
            }
            (None, Some(name)) => {
                if let Some(text) = read.parameters.get_mut(name) {
                    text.push(' ');
                    text.push_str(line);
                }
            }
            (None, None) => {}
        }
    }
    read.description = joined(&kept);
    read
}

/// Tells whether a line heads a section: one word and a colon.
fn is_head(line: &str) -> bool {
    line.strip_suffix(':').is_some_and(|head| {
        head.starts_with(|c: char| c.is_ascii_uppercase())
            && head.chars().all(|c| c.is_ascii_alphabetic())
    })
}

/// The name and the text of a line such as `days (int): from 1 to 9`.
fn parameter(line: &str) -> Option<(&str, &str)> {
    let end = line.find(|c: char| !c.is_alphanumeric() && c != '_')?;
    let (name, rest) = line
        .split_at_checked(end)
        .filter(|(name, _)| !name.is_empty())?;
    let text = match rest.strip_prefix(" (") {
        Some(typed) => typed.split_once("):")?.1,
        None => rest.strip_prefix(':')?,
    };
    Some((name, text.trim()))
}

/// The lines that are left, without the gap where a section was.
fn joined(lines: &[&str]) -> String {
    let mut text: Vec<&str> = Vec::new();
    for line in lines {
        if !(line.is_empty() && text.last().is_none_or(|last| last.is_empty())) {
            text.push(line);
        }
    }
    text.join("\n").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_told_from_the_description_in_format_two_alone() {
        let doc = "Keep it.\n\nArgs:\nparcel: Its number:\nfive digits: no more.\ndays (int): 1 to 9.\n\nRaises:\nValueError: no parcel.";
        let names = ["parcel", "days"];
        let two = read(doc, &names, Format::Two);
        assert_eq!(
            two.description,
            "Keep it.\n\nRaises:\nValueError: no parcel."
        );
        assert_eq!(
            two.parameters["parcel"],
            "Its number: five digits: no more."
        );
        assert_eq!(two.parameters["days"], "1 to 9.");
        let one = read(doc, &names, Format::One);
        assert_eq!(one.description, doc);
        assert!(one.parameters.is_empty());
        assert_eq!(
            read("Say: hello.", &names, Format::Two).description,
            "Say: hello."
        );
    }
}
