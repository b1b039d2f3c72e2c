//! `agoge export`: a run's qualified instances in the form that a trainer takes.

mod origin;
pub mod policy;
mod target;

use std::path::{Path, PathBuf};

use agoge_artifacts::{Instance, QualifiedSuite};
use agoge_crds::{CheckerSuite, Manifest};
use agoge_store::Store;
use agoge_world::Domain;
use clap::Args;
use serde_json::Value;

use crate::driver::objects;
use crate::failure::Failure;

pub use target::{Options, Target, check_empty};

/// Writes a run's qualified instances in the form that another stack reads.
///
/// Forms: `dataset` (whole dialogues and tasks, for transformers and TRL), `messages` (JSON lines and Parquet), `trl`, `verl`,
/// `sharegpt`, `turns`, `dpo`, `openai`, `nemo-gym`, `tau2`, `atif`, `verifiers`; and `policy`, the trained policy with
/// tokenizer, chat template and stop tokens, as transformers and vLLM load it. Dialogues come from the split trainSft, tasks
/// from trainRl; held-out tasks are exported only with `--heldout`. Every row says what made it, and `manifest.json` lists the
/// files with their digests; `agoge verify` checks them. docs/export.md describes the forms.
#[derive(Debug, Args)]
pub struct Export {
    /// The run's folder.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// A form, written to a folder of this name; or a folder, for a dataset in it.
    #[arg(long, value_name = "FORM|DIR")]
    pub to: PathBuf,
    /// The folder to write, where it is not named after the form. It must not exist yet, or be empty.
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// The CheckerSuite, where the run has several.
    #[arg(long, value_name = "NAME")]
    pub suite: Option<String>,
    /// With `--to policy`: the GRPORun, where the run's folder has several.
    #[arg(long, value_name = "NAME")]
    pub run: Option<String>,
    /// With `--to policy`: the stage whose policy it is.
    #[arg(long, default_value = "grpo", value_parser = policy::STAGES)]
    pub stage: String,
    /// License, held-out instances, signature.
    #[command(flatten)]
    pub options: Options,
}

/// A run's qualified suite: its name, its digest, its instances and the domain's folder.
pub struct Found {
    /// The CheckerSuite's name.
    pub name: String,
    /// Its digest.
    pub digest: String,
    /// Its instances.
    pub instances: Vec<Instance>,
    /// The domain.
    pub domain: Domain,
}

/// Why it is not one suite that is meant.
pub enum NotOne {
    /// There is none of that name.
    None,
    /// There are several.
    Several,
}

/// The one suite that is meant.
///
/// # Errors
/// [`NotOne`]
pub fn pick(suites: Vec<CheckerSuite>, wanted: Option<&str>) -> Result<CheckerSuite, NotOne> {
    let mut suites: Vec<_> = suites
        .into_iter()
        .filter(|suite| wanted.is_none_or(|name| suite.metadata.name.as_deref() == Some(name)))
        .collect();
    match suites.len() {
        0 => Err(NotOne::None),
        1 => Ok(suites.remove(0)),
        _ => Err(NotOne::Several),
    }
}

/// Finds the suite of a run and reads it.
///
/// # Errors
/// No such suite, one that is not ready, or a domain that has moved.
pub fn find(out: &Path, wanted: Option<&str>) -> Result<Found, Failure> {
    let suites = objects::stored(out)?
        .into_iter()
        .filter_map(|object| match object.manifest {
            Manifest::CheckerSuite(suite) => Some(*suite),
            _ => None,
        })
        .collect();
    let suite = pick(suites, wanted).map_err(|what| {
        Failure::Input(match what {
            NotOne::None => format!(
                "{} has no such CheckerSuite; `agoge status` lists what it has",
                out.display()
            ),
            NotOne::Several => "the run has several suites; choose one with --suite NAME".into(),
        })
    })?;
    let name = suite.metadata.name.clone().unwrap_or_default();
    qualified(&suite, "`agoge up` goes on with it")?;
    let store = Store::open(out.join("store"))?;
    let domain = domain_folder(out, &name)?;
    let file = objects::file(out, "CheckerSuite", &name);
    let hint = format!(
        "delete {} and run `agoge up` again, which makes it anew",
        file.display()
    );
    read(&suite, &store, &domain, &hint)
}

/// The digest of a suite that is qualified.
fn qualified(suite: &CheckerSuite, hint: &str) -> Result<String, Failure> {
    let status = suite.status.as_ref();
    status
        .and_then(|status| status.digest.clone())
        .ok_or_else(|| {
            let name = suite.metadata.name.as_deref().unwrap_or_default();
            Failure::Input(format!("the suite {name} is not qualified yet; {hint}"))
        })
}

/// Reads a suite from its store.
///
/// # Errors
/// One that is not ready or not in the store, with a hint, or a domain that cannot be read.
pub fn read(
    suite: &CheckerSuite,
    store: &Store,
    domain: &Path,
    hint: &str,
) -> Result<Found, Failure> {
    let digest = qualified(suite, hint)?;
    let qualified = QualifiedSuite::find(store, &digest)
        .map_err(Failure::input)?
        .ok_or_else(|| Failure::Input(format!("the store has no suite {digest}; {hint}")))?;
    Ok(Found {
        name: suite.metadata.name.clone().unwrap_or_default(),
        digest,
        instances: qualified.instances,
        domain: agoge_servers::load(domain).map_err(Failure::input)?,
    })
}

/// The domain's folder as the suite's worker was given it.
fn domain_folder(out: &Path, suite: &str) -> Result<PathBuf, Failure> {
    let file = out
        .join("work")
        .join(format!("{suite}-qualify"))
        .join("assignment.json");
    let text = std::fs::read(&file).map_err(Failure::file("read", &file))?;
    let value: Value = serde_json::from_slice(&text)
        .map_err(|e| Failure::Input(format!("{}: {e}", file.display())))?;
    let folder = value
        .get("domain")
        .and_then(Value::as_str)
        .unwrap_or_default();
    Ok(PathBuf::from(folder))
}

/// Runs it.
///
/// # Errors
/// The errors of [`find`], or a folder that cannot be written.
pub fn export(export: &Export) -> Result<(), Failure> {
    if policy::is_meant(&export.to) {
        let folder = export.dir.as_ref().unwrap_or(&export.to);
        check_empty(folder)?;
        let key = export.options.key()?;
        let trained = policy::find(&export.out, export.run.as_deref(), &export.stage)?;
        return trained.write(folder, key.as_ref());
    }
    let target = Target::of(&export.to, export.dir.as_deref())?;
    target.check_empty()?;
    let found = find(&export.out, export.suite.as_deref())?;
    let store = Store::open(export.out.join("store"))?;
    target.write(&found, &store, &export.options)
}
