//! `agoge-worker`: everything that runs in a pod or beside a laptop's driver, one role a subcommand.
//!
//! Exit code, termination message and the last line on stderr tell how it ended; see `failure`.

mod datasets;
mod domain;
mod endpoints;
mod failure;
mod job;
mod keep;
mod learn;
mod progress;
mod qualify;
mod replay;
mod report;
mod score;
mod serve;
mod stop;
mod synthesize;
mod train;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;

use agoge_contract::{ROLLOUT_PORT, Role, Work};
use clap::{Args, Parser};
use tracing_subscriber::EnvFilter;

use crate::failure::Failure;
use crate::job::Job;
use crate::stop::Stop;

/// A worker of Agoge: a driver starts it with one piece of work.
#[derive(Parser)]
#[command(name = "agoge-worker", version)]
enum Command {
    /// Make instances by one strategy of a SynthesisJob.
    Synthesize(Given),
    /// Qualify the checkers of a CheckerSuite.
    Qualify(Given),
    /// Score endpoints on a qualified suite.
    Score(Given),
    /// Train, certify or evaluate: one stage of a GRPORun.
    Train(Given),
    /// Play rollouts for the trainer of a GRPORun, until asked to stop.
    Rollout(Rollout),
    /// Train several seeds of one run and compare its arms: `make learn`.
    Learn(learn::Options),
    /// Serve a trained policy behind the OpenAI chat API.
    Serve(serve::Options),
    /// Answer from recordings behind the OpenAI chat API.
    Replay(replay::Options),
}

/// The assignment of a driver.
#[derive(Args)]
struct Given {
    /// The assignment, a JSON file.
    #[arg(long)]
    assignment: PathBuf,
}

/// The same with an address.
#[derive(Args)]
struct Rollout {
    #[command(flatten)]
    given: Given,
    /// Where to listen.
    #[arg(long, default_value_t = SocketAddr::from((Ipv4Addr::UNSPECIFIED, ROLLOUT_PORT)))]
    listen: SocketAddr,
}

/// Runs the worker: reads the command line, does the work and reports how it ended.
#[must_use]
pub fn main() -> ExitCode {
    let filter = EnvFilter::try_from_env("AGOGE_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    let ended = Stop::on_signals()
        .map_err(Failure::infra)
        .and_then(|stop| run(Command::parse(), stop));
    write_termination(&ended);
    match ended {
        Ok(_) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            failure.code()
        }
    }
}

/// Runs a command. Returns the termination message of a role that is done.
fn run(command: Command, stop: Stop) -> Result<Option<String>, Failure> {
    let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, ROLLOUT_PORT));
    match command {
        Command::Synthesize(given) => perform(Role::Synthesize, &given, stop, any),
        Command::Qualify(given) => perform(Role::Qualify, &given, stop, any),
        Command::Score(given) => perform(Role::Score, &given, stop, any),
        Command::Train(given) => perform(Role::Train, &given, stop, any),
        Command::Rollout(Rollout { given, listen }) => perform(Role::Rollout, &given, stop, listen),
        Command::Learn(options) => learn::run(&options, stop).map(|()| None),
        Command::Serve(options) => serve::run(&options, stop).map(|()| None),
        Command::Replay(options) => replay::run(&options, stop).map(|()| None),
    }
}

/// Does one piece of work. Returns its termination message.
fn perform(
    role: Role,
    given: &Given,
    stop: Stop,
    listen: SocketAddr,
) -> Result<Option<String>, Failure> {
    let (mut job, work) = Job::open(&given.assignment, stop)?;
    if work.role() != role {
        let (has, asked) = (work.role().as_str(), role.as_str());
        return Err(Failure::Input(format!(
            "the assignment is for the role {has}, not {asked}; use the subcommand {has}"
        )));
    }
    // torch would take every core of the machine, whatever this pod may use.
    tch::set_num_threads(i32::try_from(job.threads()).unwrap_or(1));
    let performed = match &work {
        Work::Synthesize(work) => synthesize::run(&mut job, work),
        Work::Qualify(work) => qualify::run(&mut job, work),
        Work::Score(work) => score::run(&mut job, work),
        Work::Train(work) => train::run(&mut job, work),
        Work::Rollout(work) => train::rollouts::run(&mut job, work, listen),
    };
    let ended = job.end(performed.is_ok());
    match (performed, ended) {
        // The cause of a stop says more than that it was stopped.
        (Err(Failure::Stopped), Err(failure)) => Err(failure),
        (performed, ended) => performed.and(ended).map(|()| job.termination()),
    }
}

/// Writes the termination message to the file that `AGOGE_TERMINATION_LOG` names, if it names one.
fn write_termination(ended: &Result<Option<String>, Failure>) {
    let Some(path) = std::env::var_os("AGOGE_TERMINATION_LOG") else {
        return;
    };
    let text = match ended {
        Ok(None) => return,
        Ok(Some(text)) => text.clone(),
        Err(failure) => failure.termination(),
    };
    // In a pod the file is a mount: it can be written, not replaced.
    if let Err(error) = std::fs::write(&path, text) {
        tracing::warn!(path = %path.display(), %error, "the termination message was not written");
    }
}
