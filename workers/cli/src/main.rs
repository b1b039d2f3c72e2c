//! The `agoge` command.

use std::process::ExitCode;

use agoge_cli::command::{chat, check, domain, eval, export, gc, operator, report, status, up};
use clap::{Parser, Subcommand};

/// Grows tool-use training data that proves itself, and trains agents on it.
///
/// A domain (policy, tools, data) and three manifests become dialogues with executable checkers, a qualified suite of
/// checkers, a user model, an agent trained with GRPO, and an honest pass^k table.
#[derive(Debug, Parser)]
#[command(name = "agoge", version)]
struct Agoge {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Up(up::Up),
    Chat(chat::Chat),
    Check(check::Check),
    Eval(eval::Eval),
    #[command(subcommand)]
    Domain(domain::DomainCommand),
    Status(status::Status),
    Report(report::Report),
    Export(export::Export),
    Gc(gc::Gc),
    Operator(Box<agoge_controller::Options>),
    #[command(hide = true)]
    Probe(operator::Probe),
}

fn main() -> ExitCode {
    let ended = match Agoge::parse().command {
        Command::Up(command) => up::up(&command),
        Command::Chat(command) => chat::chat(&command),
        Command::Check(command) => check::check(&command),
        Command::Eval(command) => eval::eval(&command),
        Command::Domain(command) => domain::domain(&command),
        Command::Status(command) => status::status(&command),
        Command::Report(command) => report::report(&command),
        Command::Export(command) => export::export(&command),
        Command::Gc(command) => gc::gc(&command),
        Command::Operator(options) => operator::operator(*options),
        Command::Probe(command) => operator::probe(&command),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            failure.code()
        }
    }
}
