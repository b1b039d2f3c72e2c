//! `agoge report`: the report page of a run, made anew from what its folder holds.

use std::path::PathBuf;

use clap::Args;

use crate::failure::Failure;
use crate::report::{self, ReportError};

/// Writes the report page of a run anew, at any moment of it.
#[derive(Debug, Args)]
pub struct Report {
    /// The run's folder.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

/// Runs it.
///
/// # Errors
/// No such run, or a full disk.
pub fn report(command: &Report) -> Result<(), Failure> {
    let page = report::write(&command.out).map_err(|error| match error {
        ReportError::NoRun(_) => Failure::Input(error.to_string()),
        ReportError::Write(error) => error.into(),
    })?;
    println!("{}", page.display());
    Ok(())
}
