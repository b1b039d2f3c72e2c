//! The card of an exported dataset: its `README.md`, with the configurations by which `datasets` loads it.

use std::fmt::Write as _;

use crate::export::{ExportError, Form, Source, Table};
use crate::sign::MANIFEST;

/// The card's file.
pub const FILE: &str = "README.md";

/// A table that was written, and the file that readers load.
pub(crate) struct Shown<'a> {
    pub table: &'a Table,
    pub file: String,
}

/// Returns the card. A file that was not written is not named.
pub(crate) fn text(
    source: &Source<'_>,
    form: &dyn Form,
    shown: &[Shown<'_>],
) -> Result<String, ExportError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '+');
    if source.license.is_empty() || !source.license.chars().all(plain) {
        return Err(ExportError::License(source.license.to_owned()));
    }
    let mut out = String::from("---\nconfigs:\n");
    let mut configs: Vec<&str> = shown.iter().map(|one| one.table.config).collect();
    configs.dedup();
    for config in configs {
        let _ = write!(out, "- config_name: {config}\n  data_files:\n");
        for one in shown.iter().filter(|one| one.table.config == config) {
            let _ = write!(
                out,
                "  - split: {}\n    path: {}\n",
                one.table.split, one.file
            );
        }
    }
    // The hub names licenses in small letters.
    let _ = writeln!(out, "license: {}\n---\n", source.license.to_lowercase());
    let _ = writeln!(
        out,
        "# {}: tool-use dialogues with executable checkers\n",
        source.domain.title
    );
    let _ = writeln!(out, "Form `{}`: {}\n", form.name(), form.about());
    for Shown { table, file } in shown {
        let _ = writeln!(
            out,
            "- `{}`, split `{}`: {} rows of {} (`{file}`)",
            table.config,
            table.split,
            table.rows.len(),
            table.about
        );
    }
    out.push_str(
        "\nEvery row loads as it is with `datasets` 5. A version without the feature type `Json` fills the keys that a message does not \
         have with nulls; read the lines with `json` there.\n\nMade with Agoge from:\n\n",
    );
    let _ = writeln!(out, "- suite {} {}", source.suite, source.digest);
    let _ = writeln!(
        out,
        "- domain {} {}",
        source.domain.name, source.domain.digest
    );
    let _ = writeln!(out, "- strategies {}", source.strategies().join(", "));
    let _ = writeln!(
        out,
        "\n`{MANIFEST}` lists the files with their digests; `agoge verify` checks them."
    );
    Ok(out)
}
