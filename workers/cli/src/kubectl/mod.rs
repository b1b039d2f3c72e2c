//! `kubectl agoge`: the cluster's objects from a terminal. The binary is called `kubectl-agoge` (a link will do), or `agoge kubectl`.
//!
//! Pure functions ([`page`], [`cost`], [`explain`]) make the output from the fetched objects; the rest is thin.

pub mod change;
pub mod cluster;
pub mod cost;
pub mod explain;
pub mod export;
pub mod lineage;
pub mod logs;
pub mod page;
pub mod report;
pub mod resolved;
pub mod status;
pub mod store;
pub mod submit;
pub mod wait;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::command::check;
use crate::failure::Failure;
pub use cluster::{Cluster, Where};

/// Works with SynthesisJobs, CheckerSuites and GRPORuns of a cluster.
#[derive(Debug, Parser)]
#[command(name = "kubectl-agoge", bin_name = "kubectl agoge", version)]
pub struct Plugin {
    #[command(flatten)]
    kubectl: Kubectl,
}

/// Works with SynthesisJobs, CheckerSuites and GRPORuns of a cluster.
#[derive(Debug, Args)]
pub struct Kubectl {
    #[command(flatten)]
    at: Where,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Check(check::Check),
    Submit(submit::Submit),
    Status(status::Status),
    Wait(wait::Wait),
    Logs(logs::Logs),
    Suspend(change::Suspend),
    Resume(change::Resume),
    Promote(change::Promote),
    Explain(explain::Explain),
    Export(export::Export),
    Report(report::Report),
}

/// Runs as the plugin, from the process's arguments.
#[must_use]
pub fn main() -> ExitCode {
    end(kubectl(&Plugin::parse().kubectl))
}

/// The exit code of an end, with its error on stderr.
#[must_use]
pub fn end(ended: Result<ExitCode, Failure>) -> ExitCode {
    ended.unwrap_or_else(|failure| {
        eprintln!("error: {failure}");
        failure.code()
    })
}

/// Runs it.
///
/// # Errors
/// When the subcommand fails.
pub fn kubectl(kubectl: &Kubectl) -> Result<ExitCode, Failure> {
    let done = |()| ExitCode::SUCCESS;
    match &kubectl.verb {
        // These two ask no cluster.
        Verb::Check(check) => return check::check(check).map(done),
        Verb::Explain(explain) => return explain::explain(explain).map(done),
        _ => {}
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::Failed(format!("cannot start threads: {error}")))?;
    // What fetches is async; what works on a store afterwards is not.
    match &kubectl.verb {
        Verb::Check(_) | Verb::Explain(_) => Ok(ExitCode::SUCCESS),
        Verb::Submit(verb) => runtime
            .block_on(submit::submit(verb, &kubectl.at))
            .map(done),
        Verb::Status(verb) => runtime
            .block_on(status::status(verb, &kubectl.at))
            .map(done),
        Verb::Wait(verb) => runtime.block_on(wait::wait(verb, &kubectl.at)),
        Verb::Logs(verb) => runtime.block_on(logs::logs(verb, &kubectl.at)).map(done),
        Verb::Suspend(verb) => runtime
            .block_on(change::suspend(verb, &kubectl.at))
            .map(done),
        Verb::Resume(verb) => runtime
            .block_on(change::resume(verb, &kubectl.at))
            .map(done),
        Verb::Promote(verb) => runtime
            .block_on(change::promote(verb, &kubectl.at))
            .map(done),
        Verb::Export(verb) => {
            let fetched = runtime.block_on(export::fetch(verb, &kubectl.at))?;
            export::export(verb, fetched).map(done)
        }
        Verb::Report(verb) => {
            let fetched = runtime.block_on(report::fetch(verb, &kubectl.at))?;
            report::report(verb, fetched).map(done)
        }
    }
}
