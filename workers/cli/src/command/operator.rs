//! `agoge operator`: the cluster driver. `agoge probe`: whether something answers, for images that have no shell.

use agoge_controller::{OperatorError, Options};
use clap::Args;

use crate::failure::Failure;

/// Runs the operator until it is asked to stop.
///
/// # Errors
/// A setting that is wrong, no cluster, or an address that is taken.
pub fn operator(options: Options) -> Result<(), Failure> {
    // One thread: reconciles wait for the API server and hardly compute, and to hand them from thread to thread cost a
    // quarter of the operator's processor time.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Failed(format!("cannot start threads: {error}")))?;
    runtime
        .block_on(agoge_controller::run(options))
        .map_err(|error| match error {
            OperatorError::Setting(_) | OperatorError::Cluster(_) => {
                Failure::Input(error.to_string())
            }
            OperatorError::Listen { .. } | OperatorError::Background(_) => {
                Failure::Failed(error.to_string())
            }
        })
}

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

/// Asks.
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
