//! `agoge audit`: finds the defects of tasks that somebody else made, and writes a repaired copy.

mod source;

use std::path::{Path, PathBuf};
use std::thread::available_parallelism;

use agoge_artifacts::Stored as _;
use agoge_audit::{
    AuditReport, Options, Repaired, Subject, audit as audit_tasks, audit_rows, markdown, repair,
    repair_rows, summary,
};
use agoge_forms::rows::CallRow;
use agoge_world::Split;
use clap::Args;
use serde_json::Value;

use super::export;
use crate::failure::Failure;
use source::{Material, Source};

/// Finds the defects of tasks that somebody else made, and writes a repaired copy.
///
/// SOURCE is a domain's folder with tasks.jsonl; a checkout or package of tau2-bench, with `--domain airline`; a `bfcl-eval`
/// package; rows of NeMo Gym; or a file or folder of tasks as JSONL, with `--domain` naming the domain's folder. Gold is played
/// wherever a domain is at hand, else what can be seen in the rows is checked. Every finding has its kind, evidence, and the
/// calls that show it. Findings do not make the command fail.
///
/// Exit codes: 0 audited; 2 a source that cannot be read; 3 the sandbox gave no result.
#[derive(Debug, Args)]
pub struct Audit {
    /// The tasks.
    pub source: PathBuf,
    /// The folder to write: report.json, report.md and repaired/. It must not exist yet, or be empty.
    #[arg(long, value_name = "DIR", required_unless_present = "markdown")]
    pub out: Option<PathBuf>,
    /// The domain's folder; for tau2-bench the name of its domain: airline, mock, retail or telecom.
    #[arg(long, value_name = "DIR|NAME")]
    pub domain: Option<PathBuf>,
    /// Takes every task of tau2-bench, and not only those of the split `base`.
    #[arg(long)]
    pub all: bool,
    /// Wrong solutions with which each checker is tried; 0 for none.
    #[arg(long, value_name = "SOLUTIONS", default_value_t = 20)]
    pub mutants: usize,
    /// Seed of the wrong solutions.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Writes the page to this file, without the replays. SOURCE may then be a report.json that is there already.
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<PathBuf>,
}

/// Runs it.
///
/// # Errors
/// A source that cannot be read, a folder that is not empty, or a sandbox that gave no result.
pub fn audit(args: &Audit) -> Result<(), Failure> {
    let Some(out) = &args.out else {
        return page(args);
    };
    export::check_empty(out)?;
    let source = Source::read(args, out)?;
    let made = match source.material {
        Material::Tasks { domain, subjects } => {
            let mut options = Options {
                seed: args.seed,
                threads: available_parallelism().map_or(1, usize::from),
                ..Options::default()
            };
            options.thresholds.mutants = args.mutants;
            let count = subjects.len();
            let progress = |done: usize| {
                if done.is_multiple_of(100) {
                    eprintln!("{done} of {count} tasks");
                }
            };
            let audited = audit_tasks(&domain, &subjects, &options, &progress)?;
            let repaired = repair(&subjects, &audited.findings);
            write_tasks(out, &subjects, &repaired)?;
            let outcome = repaired.outcome;
            AuditReport::new(source.of, count, audited.findings, audited.checked, outcome)
        }
        Material::Rows { rows } => {
            let audited = audit_rows(&rows);
            let (repaired, kept) = repair_rows(&rows, &audited.findings);
            write_rows(out, &kept, &repaired)?;
            let outcome = repaired.outcome;
            AuditReport::new(
                source.of,
                rows.len(),
                audited.findings,
                audited.checked,
                outcome,
            )
        }
    };
    let bytes = made.to_bytes().map_err(Failure::input)?;
    let value: Value = serde_json::from_slice(&bytes).map_err(Failure::input)?;
    let json = serde_json::to_string_pretty(&value).map_err(Failure::input)?;
    put(&out.join("report.json"), &(json + "\n"))?;
    let text = markdown(&made);
    put(&out.join("report.md"), &text)?;
    if let Some(file) = &args.markdown {
        put(file, &summary(&made))?;
    }
    table(&made, out);
    Ok(())
}

/// Writes the page of a report that is there already.
fn page(args: &Audit) -> Result<(), Failure> {
    let file = &args.source;
    let text = std::fs::read(file).map_err(Failure::file("read", file))?;
    let name = file.display().to_string();
    let report = AuditReport::from_bytes(&text, &name).map_err(|error| {
        Failure::Input(format!(
            "{error}; name a report.json that `agoge audit` wrote, or give --out"
        ))
    })?;
    match &args.markdown {
        Some(to) => put(to, &summary(&report)),
        None => Ok(()),
    }
}

/// Writes the repaired tasks, the changes and the rows that were left out.
fn write_tasks(out: &Path, subjects: &[Subject], repaired: &Repaired) -> Result<(), Failure> {
    let dir = out.join("repaired");
    let line = |(at, task): &(usize, agoge_world::Task)| {
        let mut row = serde_json::to_value(task).unwrap_or_default();
        let training = subjects.get(*at).is_some_and(|one| one.training);
        if training && task.split == Some(Split::TrainRl) {
            row["split"] = "train".into();
        }
        row
    };
    let rows: Vec<Value> = repaired.rows.iter().map(line).collect();
    lines(&dir.join("tasks.jsonl"), &rows)?;
    beside(&dir, repaired)
}

/// Writes the rows that stay into files of the names that they came from.
fn write_rows(out: &Path, kept: &[CallRow], repaired: &Repaired) -> Result<(), Failure> {
    let dir = out.join("repaired");
    let mut names: Vec<&str> = kept.iter().map(file_of).collect();
    names.dedup();
    for name in names {
        let of = || kept.iter().filter(|row| file_of(row) == name);
        let rows: Vec<Value> = of().map(|row| row.raw.clone()).collect();
        lines(&dir.join(name), &rows)?;
        let answers: Vec<Value> = of()
            .map(|row| row.answer.clone())
            .filter(|answer| !answer.is_null())
            .collect();
        if !answers.is_empty() {
            lines(&dir.join("possible_answer").join(name), &answers)?;
        }
    }
    beside(&dir, repaired)
}

fn beside(dir: &Path, repaired: &Repaired) -> Result<(), Failure> {
    lines(&dir.join("diff.jsonl"), &repaired.diff)?;
    lines(&dir.join("left_out.jsonl"), &repaired.left_out)
}

/// The file that a row came from.
fn file_of(row: &CallRow) -> &str {
    row.place
        .rsplit_once(':')
        .map_or(row.place.as_str(), |(file, _)| file)
}

fn lines(file: &Path, rows: &[Value]) -> Result<(), Failure> {
    let text: String = rows.iter().map(|row| format!("{row}\n")).collect();
    put(file, &text)
}

fn put(file: &Path, text: &str) -> Result<(), Failure> {
    if let Some(dir) = file.parent() {
        std::fs::create_dir_all(dir).map_err(Failure::file("make", dir))?;
    }
    std::fs::write(file, text).map_err(Failure::file("write", file))
}

/// Prints the counts.
fn table(report: &AuditReport, out: &Path) {
    println!(
        "{}: {} tasks, {} of them sound",
        report.source.name, report.tasks, report.sound
    );
    for (kind, count) in &report.counts {
        println!(
            "  {:<26} {:>5} tasks  ({} errors, {} warnings)  {}",
            kind.name(),
            count.tasks,
            count.errors,
            count.warnings,
            kind.meaning()
        );
    }
    let repaired = &report.repaired;
    println!(
        "repaired copy: {} rows, {} of them changed; {} dropped, {} quarantined",
        repaired.kept, repaired.changed, repaired.dropped, repaired.quarantined
    );
    println!("\nnext: {}", out.join("report.md").display());
}
