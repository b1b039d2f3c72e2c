//! The table of an evaluation: pass^k with its interval, by branch, beside agents without a model, and what proved nothing.

use std::collections::BTreeMap;

use agoge_artifacts::Evaluation;
use agoge_checker::passk::{Estimate, Trials, by_branch};
use agoge_synthesis::evaluation::baseline::{self, Baseline};
use serde_json::{Value, json};

use crate::table;

/// Families that are listed one by one at most. More are only in the JSON.
const LISTED: usize = 60;

/// Returns pass^1 of each branch.
fn branches(record: &Evaluation) -> BTreeMap<String, Estimate> {
    let trials: Vec<Trials<'_>> = record
        .tasks
        .iter()
        .map(|task| Trials {
            cluster: &task.family,
            passed: task.passed,
            trials: task.trials,
        })
        .collect();
    by_branch(&trials)
}

/// Returns the model's name in the table.
fn model(record: &Evaluation) -> &str {
    let agent = &record.agent;
    agent.model.as_deref().unwrap_or("agent")
}

/// Returns the figures as JSON.
#[must_use]
pub fn to_json(name: &str, record: &Evaluation, baselines: &[Baseline]) -> Value {
    json!({
        "model": name, "pass": record.pass, "branches": branches(record), "void": record.void, "tokens": record.tokens,
        "baselines": baseline::to_json(baselines),
    })
}

/// Prints the table.
pub fn show(record: &Evaluation, baselines: &[Baseline]) {
    let Some(first) = record.pass.first() else {
        return;
    };
    let mut head = vec!["model".to_owned(), "pass^1".to_owned(), "95 %".to_owned()];
    let mut row = vec![model(record).to_owned(), rate(first)];
    row.push(interval(first));
    for (estimate, k) in record.pass.iter().zip(1..).skip(1) {
        head.push(format!("pass^{k}"));
        row.push(rate(estimate));
    }
    if let Some(last) = record.pass_any.last().filter(|_| record.pass.len() > 1) {
        head.push(format!("pass@{}", record.pass.len()));
        row.push(rate(last));
    }
    let empty = head.len() - 3;
    head.push("tasks".to_owned());
    row.push(first.n.to_string());
    if record.pass.len() == 1 {
        head.push("trials".to_owned());
        row.push("one".to_owned());
    }
    let wide = head.len();
    let mut rows = vec![head, row];
    rows.extend(baselines.iter().map(|baseline| {
        let mut row = vec![baseline.name.to_owned(), rate(&baseline.pass)];
        row.push(interval(&baseline.pass));
        // They say the same in every trial.
        row.resize(row.len() + empty, String::new());
        row.push(baseline.pass.n.to_string());
        row.resize(wide, "one".to_owned());
        row
    }));
    print!("{}", table::columns(&rows));
    show_parts(record);
    for (end, n) in &record.void {
        println!("{n} episodes proved nothing: {end}");
    }
    for note in &record.notes {
        println!("note: {note}");
    }
}

/// Prints the kinds of check and the branches.
fn show_parts(record: &Evaluation) {
    if record.breakdown.len() > 1 || record.statements.is_some() {
        println!("\nby kind of check:");
        let row =
            |name: &str, e: &Estimate| vec![format!("  {name}"), rate(e), format!("{} tasks", e.n)];
        let mut rows: Vec<Vec<String>> = record
            .breakdown
            .iter()
            .map(|(kind, e)| row(kind, e))
            .collect();
        if let Some(judged) = &record.statements {
            rows.push(row("statements, as the judge says", judged));
        }
        print!("{}", table::columns(&rows));
    }
    let branches = branches(record);
    // Where every task is a family of its own, a list of them says nothing of families.
    if branches.len() == record.tasks.len() || branches.len() > LISTED {
        return;
    }
    println!("\nby branch of the policy:");
    let rows: Vec<Vec<String>> = branches
        .iter()
        .map(|(branch, e)| {
            vec![
                format!("  {branch}"),
                format!("{:.2}", e.value),
                format!("{} tasks", e.n),
            ]
        })
        .collect();
    print!("{}", table::columns(&rows));
}

/// A rate, or a dash where nothing came to a verdict: that is not 0.
pub fn rate(estimate: &Estimate) -> String {
    match estimate.n {
        0 => "-".to_owned(),
        _ => format!("{:.3}", estimate.value),
    }
}

/// The interval of a rate.
pub fn interval(estimate: &Estimate) -> String {
    match estimate.n {
        0 => "-".to_owned(),
        _ => format!("{:.3} - {:.3}", estimate.low, estimate.high),
    }
}
