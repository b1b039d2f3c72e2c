//! `agoge-worker`: everything that runs in a pod or beside a laptop's driver, one role a subcommand.
//!
//! The exit code and the last line on stderr say how it ended; see `failure`.

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
mod words;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;

use agoge_plan::ROLLOUT_PORT;
use clap::{Args, Parser};
use serde_json::Value;
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
    /// Play rollouts for the trainer of a GRPORun, until asked to stop.
    Rollout(Rollout),
    /// Train several seeds of one run and compare its arms: `make learn`.
    Learn(learn::Options),
    /// Serve a trained policy behind the OpenAI chat API.
    Serve(serve::Options),
    /// Answer from recordings behind the OpenAI chat API.
    Replay(replay::Options),
}

/// What a driver gives.
#[derive(Args)]
struct Work {
    /// The assignment, a JSON file.
    #[arg(long)]
    assignment: PathBuf,
}

/// The same with an address.
#[derive(Args)]
struct Rollout {
    #[command(flatten)]
    work: Work,
    /// Where to listen.
    #[arg(long, default_value_t = SocketAddr::from((Ipv4Addr::UNSPECIFIED, ROLLOUT_PORT)))]
    listen: SocketAddr,
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
    words::write(&ended);
    match ended {
        Ok(_) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            failure.code()
        }
    }
}

fn run(command: Command, stop: Stop) -> Result<Option<Value>, Failure> {
    match command {
        Command::Synthesize(work) => role(&work, stop, synthesize::run),
        Command::Qualify(work) => role(&work, stop, qualify::run),
        Command::Score(work) => role(&work, stop, score::run),
        Command::Train(work) => role(&work, stop, train::run),
        Command::Rollout(Rollout { work, listen }) => {
            role(&work, stop, |job| train::rollouts::run(job, listen))
        }
        Command::Learn(options) => learn::run(&options, stop).map(|()| None),
        Command::Serve(options) => serve::run(&options, stop).map(|()| None),
        Command::Replay(options) => replay::run(&options, stop).map(|()| None),
    }
}

/// Does one piece of work; its result.
fn role(
    work: &Work,
    stop: Stop,
    perform: impl Fn(&mut Job) -> Result<(), Failure>,
) -> Result<Option<Value>, Failure> {
    let mut job = Job::open(&work.assignment, stop)?;
    // torch would take every core of the machine, whatever this pod may use.
    tch::set_num_threads(i32::try_from(job.threads()).unwrap_or(1));
    let performed = perform(&mut job);
    let ended = job.end(performed.is_ok());
    match (performed, ended) {
        // Why it was stopped says more than that it was.
        (Err(Failure::Stopped), Err(failure)) => Err(failure),
        (performed, ended) => performed.and(ended).and_then(|()| job.result().map(Some)),
    }
}
