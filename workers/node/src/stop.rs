//! The request to stop: the first SIGTERM or SIGINT cancels a token that all work shares.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use agoge_learner::LearnerError;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::iterator::Signals;
use tokio_util::sync::CancellationToken;

/// The signals that ask a worker to stop.
const SIGNALS: [i32; 2] = [SIGTERM, SIGINT];
/// The exit code after a second signal.
const SECOND: i32 = 130;

/// The token. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Stop(CancellationToken);

impl Stop {
    /// Returns a token that the first signal cancels. A second signal ends the process at once, even while the first is
    /// being handled.
    ///
    /// # Errors
    /// When the system refuses a handler or a thread.
    pub fn on_signals() -> std::io::Result<Self> {
        let stop = Self::default();
        let signalled = Arc::new(AtomicBool::new(false));
        for signal in SIGNALS {
            // Handlers run in the order of their registration: the exit is armed only after the first signal.
            flag::register_conditional_shutdown(signal, SECOND, signalled.clone())?;
            flag::register(signal, signalled.clone())?;
        }
        let mut signals = Signals::new(SIGNALS)?;
        let cancelled = stop.clone();
        std::thread::Builder::new()
            .name("signals".into())
            .spawn(move || {
                if signals.forever().next().is_some() {
                    cancelled.ask();
                }
            })?;
        Ok(stop)
    }

    /// Makes the request.
    pub fn ask(&self) {
        self.0.cancel();
    }

    /// Returns true when the request was made.
    #[must_use]
    pub fn asked(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Waits for the request.
    pub async fn requested(&self) {
        self.0.cancelled().await;
    }

    /// Returns an error when the request was made.
    ///
    /// # Errors
    /// [`LearnerError::Stopped`].
    pub fn check(&self) -> Result<(), LearnerError> {
        if self.asked() {
            Err(LearnerError::Stopped)
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_request_wakes_those_that_wait_for_it_and_those_that_come_later() {
        let stop = Stop::default();
        assert!(stop.check().is_ok());
        let asking = stop.clone();
        let ((), ()) = tokio::join!(stop.requested(), async { asking.ask() });
        stop.requested().await;
        assert!(matches!(stop.check(), Err(LearnerError::Stopped)));
    }
}
