//! The report page: one self-contained HTML file made from what a run's folder holds, finished or not.
//!
//! 1. `folder` gathers what a run's folder holds (on a cluster the API server has it: [`Material`]); `run` finds what they name in the store. What is missing or cannot be read is a note on the
//!    page, never an error: the page of a failed run is the one that is needed most.
//! 2. `synthesis`, `suite`, `training`, `samples` and `provenance` each make their part of one bounded JSON document.
//! 3. The document is embedded as data, escaped so that nothing in it can become markup, and drawn by the page's script.

mod audit;
mod folder;
mod overview;
mod provenance;
mod run;
mod samples;
mod suite;
mod synthesis;
mod text;
mod training;

use std::path::{Path, PathBuf};

use agoge_contract::Assignment;
use agoge_crds::Manifest;
use agoge_store::{Store, WriteError, write_atomic};
use serde_json::{Value, json};

use run::Run;
use samples::Limits;

/// The page without its data, and its own files.
const PAGE: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/style.css");
const SCRIPTS: [&str; 8] = [
    include_str!("page/dom.js"),
    include_str!("page/diff.js"),
    include_str!("page/chart.js"),
    include_str!("page/table.js"),
    include_str!("page/synthesis.js"),
    include_str!("page/training.js"),
    include_str!("page/viewer.js"),
    include_str!("page/main.js"),
];

/// Bytes of data that a page carries at most; dialogues are left out until it fits, and the page says how many.
const MAX_DATA: usize = 6 << 20;

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The folder is not one of a run.
    #[error(
        "{0} holds no run (no folder objects/ in it): give the folder that `agoge up --out` wrote"
    )]
    NoRun(PathBuf),
    /// The page cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// Writes `report.html` into a run's folder, atomically, and returns its path. Works at any moment of a run.
///
/// # Errors
/// The folder is not one of a run, or the page cannot be written.
pub fn write(out: &Path) -> Result<PathBuf, ReportError> {
    let material = Material::of_folder(out).ok_or_else(|| ReportError::NoRun(out.to_owned()))?;
    let path = out.join("report.html");
    write_to(material, &path)?;
    Ok(path)
}

/// The input of a page, wherever it lies.
#[derive(Default)]
pub struct Material {
    /// Objects with their statuses.
    pub objects: Vec<Manifest>,
    /// The workers' assignments.
    pub assignments: Vec<Assignment>,
    /// The driver's `result.json`, or null.
    pub result: Value,
    /// The store.
    pub store: Option<Store>,
    /// The parts that could not be read.
    pub notes: Vec<String>,
}

/// Writes a page, atomically.
///
/// # Errors
/// The page cannot be written.
pub fn write_to(material: Material, path: &Path) -> Result<(), WriteError> {
    write_atomic(path, page(&bounded(&Run::read(material))))
}

/// The document in at most [`MAX_DATA`] bytes.
fn bounded(run: &Run) -> String {
    let mut document = document(run);
    let mut limits = Limits::default();
    loop {
        document["samples"] = samples::samples(run, limits);
        let text = embeddable(&document);
        match limits.less() {
            Some(less) if text.len() > MAX_DATA => limits = less,
            _ => return text,
        }
    }
}

fn document(run: &Run) -> Value {
    let (synthesis, suite) = (synthesis::part(run), suite::part(run));
    let training = training::part(run);
    let mut document = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "made": agoge_store::now(),
        "overview": overview::part(run),
        "synthesis": synthesis,
        "suite": suite,
        "audit": audit::part(run),
        "training": training,
        "provenance": provenance::part(run),
    });
    // Last, since the other parts add to it.
    document["notes"] = json!(run.notes());
    document
}

/// JSON that may stand inside a script element: nothing in it can end the element, begin a comment or end a line.
fn embeddable(document: &Value) -> String {
    let text = document.to_string();
    let mut safe = String::with_capacity(text.len() + text.len() / 16);
    for c in text.chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                safe.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            _ => safe.push(c),
        }
    }
    safe
}

fn page(data: &str) -> String {
    let mut page = PAGE.to_owned();
    for (slot, content) in [
        ("/*STYLE*/", STYLE),
        ("/*SCRIPT*/", &SCRIPTS.join("\n")),
        // Last: what the data says is never searched for slots.
        ("/*DATA*/", data),
    ] {
        if let Some(at) = page.find(slot) {
            page.replace_range(at..at + slot.len(), content);
        }
    }
    page
}
