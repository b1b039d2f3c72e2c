//! The request to stop: SIGTERM or SIGINT set a flag that work checks between small steps.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use agoge_learner::LearnerError;

/// The flag. Cloned freely.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// A flag that the signals set. A second signal ends the process at once.
    ///
    /// # Errors
    /// When the system refuses a handler.
    pub fn on_signals() -> std::io::Result<Self> {
        let flag = Arc::new(AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
            signal_hook::flag::register_conditional_shutdown(signal, 130, flag.clone())?;
            signal_hook::flag::register(signal, flag.clone())?;
        }
        Ok(Self(flag))
    }

    /// Makes the request.
    pub fn ask(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Returns whether the request was made.
    #[must_use]
    pub fn asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
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
