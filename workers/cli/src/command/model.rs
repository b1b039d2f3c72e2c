//! `agoge model`: a model's way into a store, from where a run on any machine can begin with it.

use std::path::{Path, PathBuf};

use agoge_store::Store;
use clap::Subcommand;

use super::push::push;
use crate::failure::Failure;

/// Puts a model into a store.
#[derive(Debug, Subcommand)]
pub enum ModelCommand {
    /// Puts a model's folder into a store, and prints the `policy.path` by which a GRPORun begins with it there.
    ///
    /// The path is the same on a laptop and on a cluster, and it changes when any of the files does.
    Push {
        /// The folder of config.json, safetensors and tokenizer.json.
        dir: PathBuf,
        /// The store: a folder, or a bucket as s3://BUCKET/PREFIX with AWS_* in the environment.
        #[arg(long, value_name = "URL")]
        store: PathBuf,
        /// Its name in the store. [default: the folder's name]
        #[arg(long)]
        name: Option<String>,
    },
}

/// Runs it.
///
/// # Errors
/// A folder that is not a model's, or a store that cannot be written.
pub fn model(command: &ModelCommand) -> Result<(), Failure> {
    let ModelCommand::Push { dir, store, name } = command;
    let path = path_of(dir, &Store::open(store)?, name.as_deref())?;
    println!("{path}");
    Ok(())
}

/// Pushes a model, and returns its `policy.path`.
fn path_of(dir: &Path, store: &Store, name: Option<&str>) -> Result<String, Failure> {
    for file in ["config.json", "tokenizer.json"] {
        if !dir.join(file).is_file() {
            return Err(Failure::Input(format!(
                "{} has no {file}: give the folder of config.json, safetensors and tokenizer.json",
                dir.display()
            )));
        }
    }
    let called = dir.file_name().map(|name| name.to_string_lossy());
    let name = name.or(called.as_deref()).unwrap_or("model");
    let digest = push(store, dir, ("model", name), None)?;
    Ok(format!("store:{digest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pushed_model_is_named_by_its_content_and_survives_a_collection() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path().join("store")).unwrap();
        let model = dir.path().join("tiny");
        std::fs::create_dir(&model).unwrap();
        let refused = path_of(&model, &store, None).unwrap_err().to_string();
        assert!(refused.contains("config.json"), "{refused}");
        for file in ["config.json", "tokenizer.json", "model.safetensors"] {
            std::fs::write(model.join(file), file).unwrap();
        }
        let path = path_of(&model, &store, None).unwrap();
        assert_eq!(path, path_of(&model, &store, Some("again")).unwrap());
        let now = agoge_store::GcOptions {
            min_age: std::time::Duration::ZERO,
            ..Default::default()
        };
        assert_eq!(store.gc(&now).unwrap().removed, 0);
        std::fs::write(model.join("model.safetensors"), "other weights").unwrap();
        assert_ne!(path, path_of(&model, &store, None).unwrap());
    }
}
