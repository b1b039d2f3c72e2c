//! The progress of a running stage for its driver: one small JSON file, replaced atomically, at most twice a second; in a pod
//! also over the network.
//!
//! Losing it costs nothing: the truth is in the store.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use agoge_contract::ProgressReport;
use serde_json::Value;

use crate::report::Reporter;

/// The writer.
#[derive(Debug)]
pub struct Progress {
    path: Option<PathBuf>,
    written: Option<Instant>,
    report: ProgressReport,
    reporter: Option<Reporter>,
}

impl Progress {
    /// Writes to `path`, or nowhere.
    #[must_use]
    pub fn new(path: Option<PathBuf>) -> Self {
        Self {
            path,
            written: None,
            report: ProgressReport::default(),
            reporter: None,
        }
    }

    /// Tells a server too.
    #[must_use]
    pub fn with_reporter(mut self, reporter: Option<Reporter>) -> Self {
        self.reporter = reporter;
        self
    }

    /// Tells no server any more, once the last report is out.
    pub fn end(&mut self) {
        self.reporter = None;
    }

    /// Begins a stage.
    pub fn stage(&mut self, stage: &str, unit: &str, total: u64) {
        self.report = ProgressReport {
            stage: stage.into(),
            unit: unit.into(),
            total,
            warning: self.report.warning.take(),
            ..ProgressReport::default()
        };
        self.write();
    }

    /// Warns of something that a person should know while the work goes on. The same warning is given once.
    pub fn warn(&mut self, warning: &str) {
        if self.report.warning.as_deref() != Some(warning) {
            tracing::warn!("{warning}");
            self.report.warning = Some(warning.to_owned());
            self.write();
        }
    }

    /// Notes a figure; written with the next [`Progress::at`].
    pub fn figure(&mut self, name: &str, value: impl Into<Value>) {
        self.report.figures.insert(name.into(), value.into());
    }

    /// Units done so far.
    pub fn at(&mut self, done: u64) {
        self.report.done = done;
        let due = self
            .written
            .is_none_or(|at| at.elapsed() > Duration::from_millis(500));
        if due || done == self.report.total {
            self.write();
        }
    }

    fn write(&mut self) {
        if let Some(reporter) = &self.reporter {
            reporter.tell(serde_json::to_value(&self.report).unwrap_or_default());
        }
        let Some(path) = &self.path else { return };
        self.written = Some(Instant::now());
        let written = serde_json::to_vec(&self.report)
            .map_err(|e| e.to_string())
            .and_then(|text| agoge_store::write_atomic(path, &text).map_err(|e| e.to_string()));
        if let Err(error) = written {
            tracing::warn!(%error, "progress was not written; the work goes on");
        }
    }
}
