//! `agoge verify`: an exported folder held against its manifest, and the manifest against its signature.

use std::path::PathBuf;

use agoge_forms::sign::{self, PublicKey};
use clap::Args;

use crate::failure::Failure;

/// Checks an exported folder: its manifest, the manifest's signature and every file.
///
/// Without `--key` a signature proves only that manifest and signature belong together; with it, that the manifest was signed
/// by this key. Exit codes: 0 everything is as it was exported, 1 something differs and is named, 2 there is no manifest.
#[derive(Debug, Args)]
pub struct Verify {
    /// The folder.
    pub dir: PathBuf,
    /// The public key that must have signed it, such as the .pub file of `agoge key new`.
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
}

/// Runs it.
///
/// # Errors
/// Something differs, or the folder cannot be checked.
pub fn verify(verify: &Verify) -> Result<(), Failure> {
    let key = verify.key.as_deref().map(PublicKey::read).transpose();
    let key = key.map_err(Failure::input)?;
    let checked = sign::check(&verify.dir, key.as_ref()).map_err(Failure::input)?;
    let files = checked.manifest.files.len();
    if !checked.differences.is_empty() {
        return Err(Failure::Failed(format!(
            "{} is not as it was exported:\n{}",
            verify.dir.display(),
            checked.differences.join("\n")
        )));
    }
    println!("{files} files are as {} lists them", sign::MANIFEST);
    match (checked.signed_by, key) {
        (Some(by), Some(_)) => println!("signed by the given key, {by}"),
        (Some(by), None) => {
            println!("signed by {by}; whose key that is, only --key with a key you know can say");
        }
        (None, _) => println!("it is not signed"),
    }
    Ok(())
}
