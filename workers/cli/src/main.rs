//! The `agoge` command.

use std::process::ExitCode;

#[cfg(feature = "stacks")]
use agoge_cli::command::env;
#[cfg(feature = "cluster")]
use agoge_cli::command::operator;
use agoge_cli::command::{
    audit, chat, check, dialogues, domain, eval, export, gc, key, model, probe, report, status, up,
    verify,
};
#[cfg(feature = "cluster")]
use agoge_cli::kubectl;
use agoge_cli::stdout;
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
    Audit(audit::Audit),
    Eval(Box<eval::Eval>),
    #[command(subcommand)]
    Domain(domain::DomainCommand),
    #[cfg(feature = "stacks")]
    #[command(subcommand)]
    Env(env::EnvCommand),
    #[command(subcommand)]
    Model(model::ModelCommand),
    Status(status::Status),
    Report(report::Report),
    Export(export::Export),
    Import(dialogues::Import),
    Verify(verify::Verify),
    #[command(subcommand)]
    Key(key::KeyCommand),
    Gc(gc::Gc),
    #[cfg(feature = "cluster")]
    Kubectl(kubectl::Kubectl),
    #[cfg(feature = "cluster")]
    Operator(Box<agoge_controller::Options>),
    #[command(hide = true)]
    Probe(probe::Probe),
}

fn main() -> ExitCode {
    stdout::run(run)
}

fn run() -> ExitCode {
    #[cfg(feature = "cluster")]
    if called_as("kubectl-agoge") {
        return kubectl::main();
    }
    let ended = match Agoge::parse().command {
        Command::Up(command) => up::up(&command),
        Command::Chat(command) => chat::chat(&command),
        Command::Check(command) => check::check(&command),
        Command::Audit(command) => audit::audit(&command),
        Command::Eval(command) => eval::eval(&command),
        Command::Domain(command) => domain::domain(&command),
        #[cfg(feature = "stacks")]
        Command::Env(command) => env::env(&command),
        Command::Model(command) => model::model(&command),
        Command::Status(command) => status::status(&command),
        Command::Report(command) => report::report(&command),
        Command::Export(command) => export::export(&command),
        Command::Import(command) => dialogues::import(&command),
        Command::Verify(command) => verify::verify(&command),
        Command::Key(command) => key::key(&command),
        Command::Gc(command) => gc::gc(&command),
        #[cfg(feature = "cluster")]
        Command::Kubectl(command) => return kubectl::end(kubectl::kubectl(&command)),
        #[cfg(feature = "cluster")]
        Command::Operator(options) => operator::operator(*options),
        Command::Probe(command) => probe::probe(&command),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            failure.code()
        }
    }
}

/// Returns true when this program was started under a name, such as that of a link to it.
#[cfg(feature = "cluster")]
fn called_as(name: &str) -> bool {
    let called = std::env::args_os().next();
    called.is_some_and(|path| std::path::Path::new(&path).file_stem() == Some(name.as_ref()))
}
