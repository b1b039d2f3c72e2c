//! Exceptions that tools raise by mistake, told from those by which they refuse a call.

use agoge_sandbox::Names;

use super::trace::Raised;
use crate::domain::Domain;

/// The classes that a program raises by mistake.
const MISTAKES: [&str; 11] = [
    "AssertionError",
    "AttributeError",
    "ImportError",
    "IndexError",
    "KeyError",
    "ModuleNotFoundError",
    "NameError",
    "NotImplementedError",
    "TypeError",
    "UnboundLocalError",
    "ZeroDivisionError",
];

/// Returns true for an exception that no `raise` of the tools names: the tool broke, and did not refuse.
pub(super) fn is_mistake(names: &Names, raised: &Raised) -> bool {
    let on_purpose = |line: u32| {
        let mut raises = names.raises.iter();
        raises.any(|raise| raise.kind == raised.kind && (raise.first..=raise.last).contains(&line))
    };
    MISTAKES.contains(&raised.kind.as_str()) && !raised.line.is_some_and(on_purpose)
}

/// Returns an exception with its place, such as `NameError at tools.py:57`.
pub(super) fn placed(domain: &Domain, raised: &Raised) -> String {
    let (file, line) = domain.place(raised.line);
    let file = file
        .file_name()
        .map(|name| name.to_string_lossy().into_owned());
    match (file, line) {
        (Some(file), Some(line)) => format!("{} at {file}:{line}", raised.kind),
        _ => raised.kind.clone(),
    }
}
