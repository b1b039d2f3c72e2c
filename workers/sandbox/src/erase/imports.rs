//! Imports of names that the interpreter does not have and a source can do without.

use ruff_python_ast::{Alias, StmtImportFrom};

/// The names that hints alone use and the interpreter's `typing` lacks.
const ABSENT: [&str; 28] = [
    "AbstractSet",
    "AnyStr",
    "Awaitable",
    "Collection",
    "Concatenate",
    "Container",
    "Coroutine",
    "DefaultDict",
    "Deque",
    "Hashable",
    "KeysView",
    "LiteralString",
    "MutableMapping",
    "MutableSequence",
    "MutableSet",
    "NotRequired",
    "ParamSpec",
    "ReadOnly",
    "Required",
    "Reversible",
    "Sized",
    "Text",
    "TypeAlias",
    "TypeAliasType",
    "TypeGuard",
    "TypeIs",
    "TypedDict",
    "Unpack",
];

/// Functions that the interpreter lacks, with an expression that does the same.
const STAND_INS: [(&str, &str, &str); 6] = [
    (
        "functools",
        "wraps",
        "lambda wrapped, *rest, **names: lambda f: f",
    ),
    ("typing", "NewType", "lambda name, tp: lambda value: value"),
    ("typing", "cast", "lambda typ, val: val"),
    ("typing", "final", "lambda f: f"),
    ("typing", "override", "lambda f: f"),
    ("typing", "runtime_checkable", "lambda f: f"),
];

/// The names of an import that are replaced.
pub(crate) fn erased_names(import: &StmtImportFrom) -> Vec<&str> {
    let module = import.module.as_ref().map_or("", |module| module.as_str());
    let names = import.names.iter().map(|alias| alias.name.as_str());
    names.filter(|name| is_absent(module, name)).collect()
}

/// True for a module whose names are all replaced.
pub(crate) fn is_erased(module: &str) -> bool {
    ["typing_extensions", "collections.abc"].contains(&module)
}

fn is_absent(module: &str, name: &str) -> bool {
    let hint = is_erased(module) || (module == "typing" && ABSENT.contains(&name));
    (hint && name != "*") || stand_in(module, name).is_some()
}

fn stand_in(module: &str, name: &str) -> Option<&'static str> {
    let module = match module {
        "typing_extensions" => "typing",
        module => module,
    };
    let mut all = STAND_INS.iter();
    let found = all.find(|(of, known, _)| *of == module && *known == name)?;
    Some(found.2)
}

/// The import without the names that are missing: hints become `None`, functions what does the same.
pub(super) fn imported(import: &StmtImportFrom) -> Option<String> {
    let module = import.module.as_ref()?.as_str();
    let (absent, there): (Vec<_>, Vec<_>) =
        (import.names.iter()).partition(|alias| is_absent(module, alias.name.as_str()));
    if absent.is_empty() || import.level > 0 {
        return None;
    }
    let bound = |alias: &Alias| alias.asname.as_ref().unwrap_or(&alias.name).to_string();
    let mut parts = Vec::new();
    if !there.is_empty() {
        let there = there.iter().map(|alias| match &alias.asname {
            Some(bound) => format!("{} as {bound}", alias.name),
            None => alias.name.to_string(),
        });
        let there: Vec<String> = there.collect();
        parts.push(format!("from {module} import {}", there.join(", ")));
    }
    let (functions, hints): (Vec<_>, Vec<_>) =
        (absent.into_iter()).partition(|alias| stand_in(module, alias.name.as_str()).is_some());
    if !hints.is_empty() {
        let names: Vec<String> = hints.into_iter().map(bound).collect();
        parts.push(format!("{} = None", names.join(" = ")));
    }
    for alias in functions {
        let written = stand_in(module, alias.name.as_str()).unwrap_or("None");
        parts.push(format!("{} = {written}", bound(alias)));
    }
    Some(parts.join("; "))
}
