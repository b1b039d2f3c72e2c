//! `agoge key`: keys that sign exports.

use std::path::PathBuf;

use agoge_forms::sign::SecretKey;
use clap::Subcommand;

use crate::failure::Failure;

/// Makes keys that sign exports.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Writes a new secret key of ed25519 to FILE and its public key to FILE.pub.
    ///
    /// Both are PEM files, as OpenSSL writes and reads them. FILE can be read by its owner alone: keep it secret, and give the
    /// other file to those who check.
    New {
        /// The file of the secret key. It must not exist yet.
        file: PathBuf,
    },
}

/// Runs it.
///
/// # Errors
/// A file that is there already or cannot be written.
pub fn key(command: &KeyCommand) -> Result<(), Failure> {
    let KeyCommand::New { file } = command;
    let key = SecretKey::draw().map_err(Failure::input)?;
    let public = key.write(file).map_err(Failure::input)?;
    println!("wrote {}, which only you can read", file.display());
    println!(
        "wrote {}: the public key {}",
        public.display(),
        key.public()
    );
    Ok(())
}
