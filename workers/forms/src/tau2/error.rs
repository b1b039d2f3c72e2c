//! The errors of reading tau2-bench.

use std::path::PathBuf;

use agoge_world::{Problems, StartError, WorldError};

/// The reason why a domain of tau2-bench cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Tau2Error {
    /// There are no tools for a domain of this name.
    #[error(
        "there are no tools for the tau2-bench domain `{0}`, only for airline, mock, retail and telecom"
    )]
    Unknown(String),
    /// The folder has no such domain.
    #[error(
        "{} has no data of the tau2-bench domain `{domain}`; name a checkout of tau2-bench, the folder of an installed `tau2` package, or its data folder",
        dir.display()
    )]
    NotFound {
        /// The folder that was named.
        dir: PathBuf,
        /// The domain.
        domain: String,
    },
    /// A file cannot be read.
    #[error("{}: it cannot be read: {source}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file does not have the form that tau2-bench gives it.
    #[error("{}: {message}; take the file from tau2-bench again", file.display())]
    Malformed {
        /// The file.
        file: PathBuf,
        /// The problem.
        message: String,
    },
    /// The folder to write has such a file already.
    #[error("{} is there already; remove it, or name another folder", file.display())]
    Exists {
        /// The file.
        file: PathBuf,
    },
    /// A file cannot be written.
    #[error("{}: it cannot be written: {source}", file.display())]
    Write {
        /// The file.
        file: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The folder that was written is not a sound domain.
    #[error(transparent)]
    Folder(#[from] Problems),
    /// The tools do not start in the sandbox.
    #[error(transparent)]
    World(#[from] WorldError),
    /// A task cannot be read.
    #[error("task {number}{}: {message}; correct the task", named(id))]
    Task {
        /// The number of the task in its file, from 1.
        number: usize,
        /// The task; empty where it has none that can be read.
        id: String,
        /// The problem, beginning with its field.
        message: String,
    },
    /// A task cannot begin in the world.
    #[error("task `{id}`: {source}")]
    Begin {
        /// The task.
        id: String,
        /// The reason.
        source: StartError,
    },
    /// A gold call was stopped by a limit, or its result is lost.
    #[error("task `{id}`: gold call {number} was stopped: {reason}")]
    Stopped {
        /// The task.
        id: String,
        /// The number of the call, from 1.
        number: u32,
        /// The reason.
        reason: String,
    },
}

fn named(id: &str) -> String {
    match id {
        "" => String::new(),
        id => format!(" (`{id}`)"),
    }
}
