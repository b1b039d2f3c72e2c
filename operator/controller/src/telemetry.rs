//! Logs: their format, and a filter that can be changed while the operator runs.

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, Registry, reload};

use crate::options::LogFormat;

/// Changes what is logged.
#[derive(Clone)]
pub struct LogFilter(reload::Handle<EnvFilter, Registry>);

impl LogFilter {
    /// Starts logging to stderr.
    ///
    /// # Errors
    /// A filter that is none.
    pub fn start(format: LogFormat, filter: &str) -> Result<Self, String> {
        let filter =
            EnvFilter::try_new(filter).map_err(|error| format!("--log-filter: {error}"))?;
        let (filter, handle) = reload::Layer::new(filter);
        let lines = tracing_subscriber::fmt::layer()
            .with_writer(std::io::stderr)
            .with_ansi(false);
        let lines = match format {
            LogFormat::Json => lines.json().flatten_event(true).boxed(),
            LogFormat::Text => lines.boxed(),
        };
        // A second start in one process (tests) keeps the first one's.
        let _ = tracing_subscriber::registry()
            .with(filter)
            .with(lines)
            .try_init();
        Ok(Self(handle))
    }

    /// Changes the filter.
    ///
    /// # Errors
    /// A filter that is none.
    pub fn set(&self, filter: &str) -> Result<(), String> {
        let filter = EnvFilter::try_new(filter).map_err(|error| error.to_string())?;
        self.0.reload(filter).map_err(|error| error.to_string())
    }
}
