//! `agoge domain check`: every finding about a domain's folder.

use std::path::PathBuf;
use std::sync::Arc;

use agoge_world::{Findings, Problems, Review};
use clap::Args;

use super::{diff, inside};
use crate::failure::Failure;

/// The folder to check, and the form of the report.
#[derive(Debug, Args)]
pub struct Check {
    /// The domain's folder (the one with domain.yaml), or a folder that has it as domain/.
    pub dir: PathBuf,
    /// Show one task of each branch: its gold calls, and field by field what each call changes.
    #[arg(long)]
    pub diff: bool,
    /// Print the findings and the differences of each branch as JSON.
    #[arg(long, conflicts_with = "diff")]
    pub json: bool,
}

/// Runs it.
///
/// # Errors
/// Every problem.
pub fn check(check: &Check) -> Result<(), Failure> {
    let dir = inside(&check.dir);
    let (review, domain) = match agoge_servers::load(&dir) {
        Ok(domain) => {
            let domain = Arc::new(domain);
            let mut review = domain.review();
            review.findings.extend(agoge_servers::check(&domain));
            (review, Some(domain))
        }
        Err(Problems(problems)) => {
            let findings = Findings {
                problems,
                ..Findings::default()
            };
            let review = Review {
                findings,
                ..Review::default()
            };
            (review, None)
        }
    };
    let found = &review.findings;
    if check.json {
        println!(
            "{}",
            serde_json::to_string_pretty(&review).map_err(Failure::input)?
        );
    } else {
        if check.diff {
            for trace in &review.branches {
                println!("{}", diff::of_task(trace));
            }
        }
        for note in &found.notes {
            println!("note: {note}");
        }
        for warning in &found.warnings {
            eprintln!("warning: {warning}");
        }
    }
    if !found.problems.is_empty() {
        return Err(Failure::problems(&found.problems));
    }
    if let (false, Some(domain)) = (check.json, domain) {
        let (tools, templates) = (domain.tools.len(), domain.templates.len());
        println!(
            "{} is sound: {tools} tools, {templates} templates, {}",
            domain.name, domain.digest
        );
    }
    Ok(())
}
