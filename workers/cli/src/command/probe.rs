//! `agoge probe`: asks whether a URL answers, for images that have no shell.

use clap::Args;

use crate::failure::Failure;

/// Ask a URL; the exit code says whether it answered well.
#[derive(Debug, Args)]
pub struct Probe {
    /// The URL, http only.
    #[arg(long)]
    url: String,
    /// Seconds to wait for the answer.
    #[arg(long, default_value_t = 5)]
    timeout: u64,
}

/// Asks the URL once.
///
/// # Errors
/// When nothing answers, or not with a 2xx.
pub fn probe(probe: &Probe) -> Result<(), Failure> {
    let wait = std::time::Duration::from_secs(probe.timeout);
    match crate::probe::get(&probe.url, wait) {
        Ok(status) if (200..300).contains(&status) => Ok(()),
        Ok(status) => Err(Failure::Failed(format!(
            "{} answered with {status}",
            probe.url
        ))),
        Err(what) => Err(Failure::Failed(format!("{}: {what}", probe.url))),
    }
}
