//! A domain of tau2-bench as a folder of ours.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::error::Tau2Error;
use super::ported::ported;
use super::source::{Source, locate};
use super::state;
use super::task::{GivenTask, TaskReader, split};

/// The files and tasks of an imported domain.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The files of the folder with their content, all but `tasks.jsonl`.
    pub files: Vec<(&'static str, String)>,
    /// The tasks, in the order of their file. [`mark_refused`](super::mark_refused) finds the calls that fail.
    pub tasks: Vec<GivenTask>,
    /// Tasks of the file that were left out, because the split `base` does not have them.
    pub left_out: usize,
}

/// Reads a domain from a checkout, a package or a data folder of tau2-bench.
///
/// Tasks of the split `train` are for training, all others are held out; so all are where the domain has no `train`. Without
/// `all`, only tasks of the split `base` are taken, as tau2-bench does, where there is one.
///
/// # Errors
/// [`Tau2Error`]: no such domain, or a file that cannot be read.
pub fn import(dir: &Path, name: &str, all: bool) -> Result<Imported, Tau2Error> {
    let domain = ported(name)?;
    let folder = locate(dir, name)?;
    let source = Source::read(&folder, &domain)?;
    let schema_text = domain.file("schema.json");
    let schema: Value =
        serde_json::from_str(schema_text).map_err(|error| Tau2Error::Malformed {
            file: format!("examples/tau2/{name}/domain/schema.json").into(),
            message: error.to_string(),
        })?;

    let state = state::arranged(&schema, source.state);
    let mut files: Vec<(&str, String)> = Vec::new();
    files.extend(
        domain
            .files
            .iter()
            .map(|(name, text)| (*name, (*text).to_owned())),
    );
    files.push(("policy.md", source.policy));
    files.push(("state.json", state::text(&state)));

    let names = |split: &str| -> Option<BTreeSet<&str>> {
        let ids = source.splits.get(split)?;
        Some(ids.iter().map(String::as_str).collect())
    };
    let (train, base) = (names("train").unwrap_or_default(), names("base"));
    let base = base.filter(|_| !all);
    let reader = TaskReader::new(name, &schema);
    let mut tasks = Vec::new();
    for (number, row) in (1..).zip(&source.tasks) {
        let mut given = reader.read(number, row)?;
        let id = given.task.id.as_str();
        if base.as_ref().is_some_and(|base| !base.contains(id)) {
            continue;
        }
        let is_train = train.contains(id);
        split(&mut given, is_train);
        tasks.push(given);
    }
    Ok(Imported {
        left_out: source.tasks.len().saturating_sub(tasks.len()),
        files,
        tasks,
    })
}

impl Imported {
    /// Gives every second task for training, from the first, where none is: of a domain that tau2-bench does not split.
    pub fn alternate(&mut self) {
        if self.tasks.iter().any(|given| given.training) {
            return;
        }
        for given in self.tasks.iter_mut().step_by(2) {
            split(given, true);
        }
    }
}
