//! Clients of the endpoints that a driver resolved, with the recordings it named.

use std::sync::Arc;

use agoge_contract::{Assignment, RecordingMode};
use agoge_crds::shared::EndpointBinding;
use agoge_llm::{Client, Endpoint, Meter, Recordings};
use agoge_synthesis::binding;

use crate::failure::Failure;

/// Makes clients that share a meter and the recordings.
pub struct Endpoints<'a> {
    assignment: &'a Assignment,
    meter: Arc<Meter>,
    recordings: Option<Arc<Recordings>>,
}

impl<'a> Endpoints<'a> {
    /// Opens the recordings, if there are any.
    ///
    /// # Errors
    /// When they cannot be read or made.
    pub fn open(assignment: &'a Assignment, meter: Meter) -> Result<Self, Failure> {
        let recordings = match &assignment.recordings {
            None => None,
            Some(named) => Some(Arc::new(match named.mode {
                RecordingMode::Record => {
                    Recordings::record(&named.folder).map_err(Failure::infra)?
                }
                RecordingMode::Replay => {
                    Recordings::replay(&named.folder).map_err(Failure::input)?
                }
            })),
        };
        Ok(Self {
            assignment,
            meter: Arc::new(meter),
            recordings,
        })
    }

    /// Keeps every answer in a folder before it is used, unless recordings do so already: a worker that is started again
    /// after a crash takes the answers of unfinished items from there.
    ///
    /// # Errors
    /// When the folder cannot be made or read.
    pub fn keeping(mut self, folder: &std::path::Path) -> Result<Self, Failure> {
        if self.recordings.is_none() {
            let kept = Recordings::record(folder).map_err(Failure::infra)?;
            self.recordings = Some(Arc::new(kept));
        }
        Ok(self)
    }

    /// The client of a binding. What is replayed needs no address.
    ///
    /// # Errors
    /// An endpoint that the driver did not resolve, or an address that is none.
    pub fn client(&self, bound: &EndpointBinding) -> Result<Client, Failure> {
        let name = &bound.endpoint;
        let resolved = self.assignment.endpoints.get(name);
        let replays = self.recordings.as_ref().is_some_and(|r| r.replays());
        let url = match resolved {
            Some(resolved) if !resolved.url.is_empty() => resolved.url.as_str(),
            _ if replays => "http://localhost",
            _ => {
                let message = format!(
                    "endpoint `{name}` has no address; give one with --endpoint {name}=URL"
                );
                return Err(Failure::Input(message));
            }
        };
        let patience = Endpoint::patience_here().map_err(Failure::Input)?;
        let mut endpoint = binding::endpoint(url, bound, patience);
        let variable = resolved.and_then(|resolved| resolved.key_variable.as_ref());
        endpoint.key = variable.and_then(|variable| std::env::var(variable).ok());
        let client = Client::new(endpoint, self.meter.clone()).map_err(Failure::input)?;
        Ok(match &self.recordings {
            Some(recordings) => client.with_recordings(recordings.clone()),
            None => client,
        })
    }
}
