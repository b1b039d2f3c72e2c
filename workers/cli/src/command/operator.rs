//! `agoge operator`: the cluster driver.

use agoge_controller::{OperatorError, Options};

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
