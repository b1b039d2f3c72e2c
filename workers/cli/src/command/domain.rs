//! `agoge domain`: a new domain that runs as it is, and the problems of one there is.

use std::path::{Path, PathBuf};

use agoge_world::Domain;
use clap::Subcommand;

use crate::failure::Failure;

/// Makes a new domain, or checks one.
#[derive(Debug, Subcommand)]
pub enum DomainCommand {
    /// Writes a small domain that runs as it is, with the three manifests beside it, to be changed into one's own.
    New {
        /// Its name: small letters, digits and `-`.
        name: String,
        /// The folder to write it into. [default: ./NAME]
        dir: Option<PathBuf>,
    },
    /// Reports every problem of a domain's folder, each with file, line and a way out.
    ///
    /// Loads the tools in the sandbox, holds the state against its schema, and plays the gold of every template's
    /// branches. Exit codes: 0 all good; 2 there are problems.
    Check {
        /// The domain's folder (the one with domain.yaml), or a folder that has it as domain/.
        dir: PathBuf,
    },
}

/// Runs it.
///
/// # Errors
/// What cannot be written, or every problem of the domain.
pub fn domain(command: &DomainCommand) -> Result<(), Failure> {
    match command {
        DomainCommand::New { name, dir } => {
            let dir = dir.clone().unwrap_or_else(|| PathBuf::from(name));
            let files = Domain::new_skeleton(&dir, name).map_err(Failure::input)?;
            for file in &files {
                println!("wrote {}", file.display());
            }
            println!("\nnext: agoge up -f {}", dir.display());
            Ok(())
        }
        DomainCommand::Check { dir } => {
            let nested = dir.join("domain");
            let inside = !dir.join("domain.yaml").exists() && nested.join("domain.yaml").exists();
            checked(if inside { &nested } else { dir })
        }
    }
}

fn checked(dir: &Path) -> Result<(), Failure> {
    let problems = Domain::check(dir);
    if !problems.is_empty() {
        return Err(Failure::problems(&problems));
    }
    let domain = Domain::load(dir).map_err(Failure::input)?;
    let (tools, templates) = (domain.tools.len(), domain.templates.len());
    println!(
        "{} is sound: {tools} tools, {templates} templates, {}",
        domain.name, domain.digest
    );
    Ok(())
}
