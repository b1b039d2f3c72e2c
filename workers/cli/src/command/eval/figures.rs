//! The figures of an evaluation: pass^k with its interval, by branch, and what proved nothing.

use std::collections::BTreeMap;

use agoge_checker::passk::{Estimate, Trials, by_branch, pass_hat_k};
use agoge_world::{End, Task};
use serde_json::{Value, json};

use super::Eval;
use super::baseline::{self, Baseline};
use super::kept::Episode;
use crate::table;

/// The longest reason that is shown, in characters.
const REASON: usize = 300;

/// The figures of an evaluation.
pub struct Figures {
    model: String,
    /// pass^1, pass^2 and so on.
    pub pass: Vec<Estimate>,
    branches: BTreeMap<String, Estimate>,
    /// The rows of agents without a model.
    pub baselines: Vec<Baseline>,
    /// Episodes that prove nothing about the model, by their end.
    void: BTreeMap<String, usize>,
    tokens: u64,
}

impl Figures {
    /// Returns the figures as JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "model": self.model, "pass": self.pass, "branches": self.branches, "void": self.void, "tokens": self.tokens,
            "baselines": baseline::to_json(&self.baselines),
        })
    }
}

/// Returns the figures of these episodes; `clusters` has the branch of each task.
#[must_use]
pub fn figures(
    eval: &Eval,
    clusters: &[String],
    played: &[(usize, Episode)],
    baselines: Vec<Baseline>,
) -> Figures {
    let mut trials: Vec<Trials<'_>> = clusters
        .iter()
        .map(|cluster| Trials::none(cluster))
        .collect();
    let mut void: BTreeMap<String, usize> = BTreeMap::new();
    for (at, episode) in played {
        match episode.reward {
            Some(reward) => {
                trials[*at].trials += 1;
                trials[*at].passed += u32::from(reward >= 1.0);
            }
            None => *void.entry(unproved(episode)).or_default() += 1,
        }
    }
    Figures {
        model: eval.model.clone().unwrap_or_else(|| eval.endpoint.clone()),
        pass: (1..=eval.samples).map(|k| pass_hat_k(&trials, k)).collect(),
        branches: by_branch(&trials),
        baselines,
        void,
        tokens: played.iter().map(|(_, episode)| episode.tokens).sum(),
    }
}

/// Says why an episode proves nothing about the model.
fn unproved(episode: &Episode) -> String {
    let why = match &episode.end {
        End::User(why) => format!("the user failed: {why}"),
        end => match (end.outside(), &episode.verdict) {
            (Some(why), _) => why.to_owned(),
            (None, Some(verdict)) => verdict.why(),
            (None, None) => "there is no verdict".to_owned(),
        },
    };
    why.chars().take(REASON).collect()
}

/// Returns the branch of a task, with its intent.
#[must_use]
pub fn cluster(task: &Task) -> String {
    format!("{}/{}", task.intent, task.branch)
}

/// Prints the table.
pub fn show(figures: &Figures) {
    let Some(first) = figures.pass.first() else {
        return;
    };
    let mut head = vec!["model".to_owned(), "pass^1".to_owned(), "95 %".to_owned()];
    let mut row = vec![figures.model.clone(), rate(first)];
    row.push(interval(first));
    for (estimate, k) in figures.pass.iter().zip(1..).skip(1) {
        head.push(format!("pass^{k}"));
        row.push(rate(estimate));
    }
    head.push("tasks".to_owned());
    row.push(first.n.to_string());
    if figures.pass.len() == 1 {
        head.push("trials".to_owned());
        row.push("one".to_owned());
    }
    let wide = head.len();
    let mut rows = vec![head, row];
    rows.extend(figures.baselines.iter().map(|baseline| {
        let mut row = vec![baseline.name.to_owned(), rate(&baseline.pass)];
        row.push(interval(&baseline.pass));
        // They say the same in every trial.
        row.resize(row.len() + figures.pass.len() - 1, String::new());
        row.push(baseline.pass.n.to_string());
        row.resize(wide, "one".to_owned());
        row
    }));
    print!("{}", table::columns(&rows));
    println!("\nby branch of the policy:");
    let rows: Vec<Vec<String>> = figures
        .branches
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
    for (end, n) in &figures.void {
        println!("{n} episodes proved nothing: {end}");
    }
}

/// A rate, or a dash where nothing came to a verdict: that is not 0.
fn rate(estimate: &Estimate) -> String {
    match estimate.n {
        0 => "-".to_owned(),
        _ => format!("{:.3}", estimate.value),
    }
}

fn interval(estimate: &Estimate) -> String {
    match estimate.n {
        0 => "-".to_owned(),
        _ => format!("{:.3} - {:.3}", estimate.low, estimate.high),
    }
}
