//! `agoge domain import`: domains of other projects as folders of ours.

use std::path::PathBuf;

use agoge_forms::tau2;
use agoge_sandbox::Limits;
use clap::Subcommand;

use crate::failure::Failure;

/// Refused gold calls that are listed.
const SHOWN: usize = 20;

/// The project that a domain is read from.
#[derive(Debug, Subcommand)]
pub enum ImportCommand {
    /// Writes a domain of tau2-bench: airline, mock, retail or telecom.
    ///
    /// Policy, data, tasks and splits are read from DIR. Tools, schema and settings are our own and built in. Each gold is
    /// replayed once, and calls that the tools refuse are marked with `fails`. Tasks of the split `train` are for training,
    /// all others are held out.
    Tau2 {
        /// A checkout of tau2-bench, the folder of an installed `tau2` package, or its data folder.
        dir: PathBuf,
        /// The domain.
        #[arg(long, value_parser = ["airline", "mock", "retail", "telecom"])]
        domain: String,
        /// The folder to write.
        #[arg(long)]
        out: PathBuf,
        /// Takes every task of the file, and not only those of the split `base`.
        #[arg(long)]
        all: bool,
        /// Takes every second task for training, where tau2-bench has no split `train` (mock).
        #[arg(long)]
        alternate: bool,
    },
}

/// Runs it.
///
/// # Errors
/// When DIR has no such domain, a file is there already or cannot be written, or the domain is not sound.
pub fn import(command: &ImportCommand) -> Result<(), Failure> {
    let ImportCommand::Tau2 {
        dir,
        domain,
        out,
        all,
        alternate,
    } = command;
    let mut imported = tau2::import(dir, domain, *all)?;
    if *alternate {
        imported.alternate();
    }
    let left_out = imported.left_out;
    let written = imported.write(out, Limits::default())?;
    let tasks = written.domain.tasks.len();
    println!(
        "wrote {}: {tasks} tasks, {} for training and {} held out",
        out.display(),
        written.training,
        tasks.saturating_sub(written.training)
    );
    if left_out > 0 {
        println!(
            "{left_out} tasks are not in the split `base` and were left out; --all takes them"
        );
    }
    if written.judged > 0 {
        println!(
            "{} tasks count a model's opinion (NL_ASSERTION) in tau2-bench; here it is reported apart and no part of the reward",
            written.judged
        );
    }
    if !written.refused.is_empty() {
        println!(
            "{} gold calls are refused by the tools:",
            written.refused.len()
        );
    }
    for refused in written.refused.iter().take(SHOWN) {
        println!(
            "  task {}, call {} ({}): {}",
            refused.task, refused.number, refused.tool, refused.answer
        );
    }
    if written.refused.len() > SHOWN {
        println!("  and {} more", written.refused.len() - SHOWN);
    }
    println!("\nnext: agoge domain check {}", out.display());
    Ok(())
}
