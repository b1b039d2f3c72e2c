//! `agoge check`: judges manifests as a cluster would, without one.

use std::path::PathBuf;

use clap::Args;

use crate::failure::Failure;
use crate::manifest::{self, Depth};

/// Judges manifests as a cluster would, without one: schema, bounds and CEL rules, and fields that nobody knows.
///
/// Reads YAML and JSON, several documents in a file and `kind: List`. Objects of other kinds, templates of charts and patches of
/// kustomizations are counted and not judged, so that it can be pointed at a whole repository.
///
/// Exit codes: 0 all good; 2 there are problems, each with its file, its field and what to do.
#[derive(Debug, Args)]
pub struct Check {
    /// A manifest, or a folder of manifests. May be given several times.
    #[arg(short, long = "file", value_name = "PATH", required = true)]
    pub files: Vec<PathBuf>,
    /// Read the subfolders of folders too, except hidden ones and the folders of domains.
    #[arg(short = 'R', long)]
    pub recursive: bool,
    /// A file of patches: documents with kind, metadata.name and the fields to change. May be given several times.
    #[arg(long = "patch", value_name = "FILE")]
    pub patches: Vec<PathBuf>,
}

/// Runs it.
///
/// # Errors
/// Every problem.
pub fn check(check: &Check) -> Result<(), Failure> {
    let depth = match check.recursive {
        true => Depth::Tree,
        false => Depth::Folder,
    };
    let found = manifest::find(&check.files, &check.patches, depth)
        .map_err(|problems| Failure::problems(&problems))?;
    for source in &found.sources {
        let manifest = &source.manifest;
        println!(
            "{}/{} is valid ({})",
            manifest.kind().to_lowercase(),
            manifest.name(),
            source.file.display()
        );
    }
    for line in found.not_judged() {
        println!("{line}");
    }
    Ok(())
}
