//! `agoge check`: judges manifests as a cluster would, without one.

use std::path::PathBuf;

use clap::Args;

use crate::failure::Failure;
use crate::manifest;

/// Judges manifests as a cluster would, without one: schema, bounds and CEL rules, and fields that nobody knows.
///
/// Exit codes: 0 all good; 2 there are problems, each with its file, its field and what to do.
#[derive(Debug, Args)]
pub struct Check {
    /// A manifest, or a folder of manifests. May be given several times.
    #[arg(short, long = "file", value_name = "PATH", required = true)]
    pub files: Vec<PathBuf>,
    /// A file of patches: documents with kind, metadata.name and the fields to change. May be given several times.
    #[arg(long = "patch", value_name = "FILE")]
    pub patches: Vec<PathBuf>,
}

/// Runs it.
///
/// # Errors
/// Every problem.
pub fn check(check: &Check) -> Result<(), Failure> {
    let sources = manifest::read(&check.files, &check.patches)
        .map_err(|problems| Failure::problems(&problems))?;
    for source in &sources {
        let manifest = &source.manifest;
        println!(
            "{}/{} is valid ({})",
            manifest.kind().to_lowercase(),
            manifest.name(),
            source.file.display()
        );
    }
    Ok(())
}
