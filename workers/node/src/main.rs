//! `agoge-worker`: everything that runs in a pod or beside a laptop's driver, one role a subcommand.
//!
//! The exit code and the last line on stderr say how it ended; see `failure`.

mod endpoints;
mod failure;
mod job;
mod learn;
mod progress;
mod qualify;
mod score;
mod serve;
mod stop;
mod synthesize;
mod train;

use std::path::PathBuf;
use std::process::ExitCode;

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
    Synthesize(Work),
    /// Qualify the checkers of a CheckerSuite.
    Qualify(Work),
    /// Score endpoints on a qualified suite.
    Score(Work),
    /// Train, certify or evaluate: one stage of a GRPORun.
    Train(Work),
    /// Train several seeds of one run and compare its arms: `make learn`.
    Learn(learn::Options),
    /// Serve a trained policy behind the OpenAI chat API.
    Serve(serve::Options),
}

/// What a driver gives.
#[derive(Args)]
struct Work {
    /// The assignment, a JSON file.
    #[arg(long)]
    assignment: PathBuf,
}

fn main() -> ExitCode {
    let filter = EnvFilter::try_from_env("AGOGE_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    let ended = Stop::on_signals()
        .map_err(Failure::infra)
        .and_then(|stop| run(Command::parse(), stop));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            failure.code()
        }
    }
}

fn run(command: Command, stop: Stop) -> Result<(), Failure> {
    match command {
        Command::Synthesize(work) => synthesize::run(&mut Job::open(&work.assignment, stop)?),
        Command::Qualify(work) => qualify::run(&mut Job::open(&work.assignment, stop)?),
        Command::Score(work) => score::run(&mut Job::open(&work.assignment, stop)?),
        Command::Train(work) => train::run(&mut Job::open(&work.assignment, stop)?),
        Command::Learn(options) => learn::run(&options, stop),
        Command::Serve(options) => serve::run(&options, stop),
    }
}
