//! All writes to the API server. Each checks right before it is sent that this replica leads.
//!
//! A write that arrives after another replica has taken over does no harm:
//! - **status**: carries the resourceVersion it was computed from; the API server refuses it (409) if anything changed.
//! - **Job**: created, never applied; its name contains owner, key and attempt, so a second one is refused (409).
//! - **Service, pod group** of a child: applied with the same content as by the other replica; nothing changes.
//! - **deletion**: names the uid; a namesake that was created since is refused (409).
//! - **event**: reports a fact; it changes nothing.
//! - **leader label**: is on this replica's own pod; see `leader`.

mod child;
mod event;
mod status;

use std::sync::Arc;

use kube::Client;
use kube::runtime::events::{Recorder, Reporter};

use crate::metrics::Metrics;
use crate::names::MANAGER;

/// A write that did not happen.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// This replica does not lead, or not any more.
    #[error("this replica does not lead")]
    NotLeading,
    /// The API server refused it or did not answer.
    #[error("cannot {operation}: {source}")]
    Api {
        /// The operation.
        operation: &'static str,
        /// The cause.
        source: Box<kube::Error>,
    },
}

impl WriteError {
    /// Returns the HTTP status, if the API server answered with one.
    #[must_use]
    pub fn code(&self) -> Option<u16> {
        self.answer().map(|status| status.code)
    }

    /// Returns the class of the error as metrics name it.
    #[must_use]
    pub fn class(&self) -> &'static str {
        match (self, self.code()) {
            (Self::NotLeading, _) => "NotLeading",
            (_, Some(409)) => "Conflict",
            (_, Some(403)) => "Forbidden",
            (_, Some(404)) => "NotFound",
            (_, Some(422 | 400)) => "Invalid",
            (_, Some(429)) => "Throttled",
            (_, Some(_)) => "Server",
            (_, None) => "Unreachable",
        }
    }

    fn already_exists(&self) -> bool {
        self.answer()
            .is_some_and(|status| status.reason == "AlreadyExists")
    }

    fn answer(&self) -> Option<&kube::core::Status> {
        match self {
            Self::Api { source, .. } => match source.as_ref() {
                kube::Error::Api(status) => Some(status),
                _ => None,
            },
            Self::NotLeading => None,
        }
    }
}

/// Returns true while this replica leads.
pub type Leads = Arc<dyn Fn() -> bool + Send + Sync>;

/// One write, as errors and metrics name it.
struct Operation {
    /// The operation in words, for errors.
    name: &'static str,
    verb: &'static str,
    resource: &'static str,
}

/// The writer of this replica.
#[derive(Clone)]
pub struct Writer {
    client: Client,
    leads: Leads,
    recorder: Recorder,
    metrics: Metrics,
}

impl Writer {
    /// Creates a writer that writes only while `leads` returns true.
    #[must_use]
    pub fn new(client: Client, leads: Leads, identity: &str, metrics: Metrics) -> Self {
        let reporter = Reporter {
            controller: MANAGER.to_owned(),
            instance: Some(identity.to_owned()),
        };
        Self {
            recorder: Recorder::new(client.clone(), reporter),
            client,
            leads,
            metrics,
        }
    }

    /// Returns true if this replica may write.
    #[must_use]
    pub fn leads(&self) -> bool {
        (self.leads)()
    }

    /// Sends one write if this replica leads, and counts it.
    async fn send<T>(
        &self,
        operation: Operation,
        request: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, WriteError> {
        if !self.leads() {
            return Err(WriteError::NotLeading);
        }
        let answer = request.await.map_err(|source| WriteError::Api {
            operation: operation.name,
            source: Box::new(source),
        });
        let outcome = answer.as_ref().map_or_else(WriteError::class, |_| "ok");
        self.metrics
            .api_request(operation.verb, operation.resource, outcome);
        answer
    }
}

#[cfg(test)]
mod tests;
