//! Reads a domain together with its servers.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use agoge_world::{Domain, Problem, Problems};

use crate::launch::isolation;
use crate::pool::Pool;
use crate::reactor::Reactor;
use crate::server::Plant;
use crate::site::Site;

/// The suggested fix where the servers do not work.
const REMEDY: &str = "correct `tools:`, see docs/servers.md";

/// The reason why a domain's servers are of no use.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The thread for connections.
    #[error("starting a thread for the tool servers: {0}")]
    Thread(#[source] io::Error),
    /// The servers do not start, or are not as the domain says.
    #[error("{file}: the tool server: {reason}")]
    Server {
        /// `domain.yaml`.
        file: PathBuf,
        /// The reason.
        reason: String,
    },
}

/// Reads a domain's folder, starts its servers and attaches them. A domain without servers is only read.
///
/// # Errors
/// All problems that make the folder unusable, or that of the servers.
pub fn load(dir: &Path) -> Result<Domain, Problems> {
    let domain = Domain::load(dir)?;
    attach(domain).map_err(|error| {
        let message = match error {
            ServerError::Server { reason, .. } => format!("the tool server: {reason}"),
            thread @ ServerError::Thread(_) => thread.to_string(),
        };
        let file = dir.join("domain.yaml");
        Problems(vec![Problem::new(&file, message, REMEDY)])
    })
}

/// Starts the servers of a domain and attaches them: their tools become the agent's, their records part of the state. The
/// servers end with the last copy of the domain.
///
/// # Errors
/// [`ServerError`]
pub fn attach(domain: Domain) -> Result<Domain, ServerError> {
    let Some(spec) = domain.servers.clone() else {
        return Ok(domain);
    };
    if domain.foreign.is_some() {
        return Ok(domain);
    }
    let file = domain.dir.join("domain.yaml");
    let fail = |reason: String| ServerError::Server {
        file: file.clone(),
        reason,
    };
    let plant = Plant {
        reactor: Reactor::start().map_err(ServerError::Thread)?,
        domain: domain.clone(),
        site: Site::of(&spec).map_err(fail)?,
        isolation: isolation(),
        spec,
    };
    let (pool, tools, records) = Pool::open(plant).map_err(fail)?;
    domain.attach(Arc::new(pool), tools, records).map_err(fail)
}
