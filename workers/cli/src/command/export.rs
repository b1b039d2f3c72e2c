//! `agoge export`: a run's qualified instances as a dataset that trainers load: `messages` and `tools` as JSONL, with a card.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use agoge_artifacts::{ArtifactError, Instance, QualifiedSuite};
use agoge_crds::{CheckerSuite, Manifest};
use agoge_dialogue::Message;
use agoge_dialogue::export::{Card, rl_row, sft_row};
use agoge_store::{Store, write_atomic};
use agoge_world::{Domain, Split};
use clap::Args;
use serde_json::Value;

use crate::driver::objects;
use crate::failure::Failure;

/// Writes a run's qualified instances as a dataset folder that `datasets` loads.
///
/// Two configurations: `sft` has whole dialogues (messages, tools, and which messages carry loss), `rl` has what opens a
/// dialogue and the task with its checker. Demonstrations come from the split trainSft, tasks from trainRl; held-out
/// tasks are never exported.
#[derive(Debug, Args)]
pub struct Export {
    /// The run's folder.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// The folder to write; it must not exist yet, or be empty.
    #[arg(long, value_name = "DIR")]
    pub to: PathBuf,
    /// The CheckerSuite, where the run has several.
    #[arg(long, value_name = "NAME")]
    pub suite: Option<String>,
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
    read(&suite, &store, &domain, "`agoge up --retry` makes it again")
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
        .map_err(|error| match error {
            ArtifactError::Store(error) => error.into(),
            error => Failure::Input(error.to_string()),
        })?
        .ok_or_else(|| Failure::Input(format!("the store has no suite {digest}; {hint}")))?;
    Ok(Found {
        name: suite.metadata.name.clone().unwrap_or_default(),
        digest,
        instances: qualified.instances,
        domain: Domain::load(domain).map_err(Failure::input)?,
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
    empty(&export.to)?;
    write(&find(&export.out, export.suite.as_deref())?, &export.to)
}

/// Refuses a folder that has something in it.
///
/// # Errors
/// So it has.
pub fn empty(to: &Path) -> Result<(), Failure> {
    let taken = std::fs::read_dir(to).is_ok_and(|mut entries| entries.next().is_some());
    if taken {
        return Err(Failure::Input(format!(
            "{} is not empty; choose another folder with --to",
            to.display()
        )));
    }
    Ok(())
}

/// Writes a suite as a dataset folder.
///
/// # Errors
/// No instance to export, or a folder that cannot be written.
pub fn write(found: &Found, to: &Path) -> Result<(), Failure> {
    let domain = &found.domain;
    let (mut sft, mut rl) = (String::new(), String::new());
    let mut card = Card {
        domain: domain.title.clone(),
        ..Card::default()
    };
    for instance in &found.instances {
        let task = &instance.task;
        if instance.split == Split::TrainSft && !instance.messages.is_empty() {
            let row = sft_row(
                &task.id,
                &domain.policy,
                &domain.tools,
                without_system(&instance.messages),
            );
            let _ = writeln!(sft, "{row}");
            card.sft += 1;
        }
        if instance.split == Split::TrainRl {
            let value = serde_json::to_value(task).map_err(Failure::input)?;
            let row = rl_row(
                &task.id,
                &domain.policy,
                &task.user.opening,
                &domain.tools,
                &value,
            );
            let _ = writeln!(rl, "{row}");
            card.rl += 1;
        }
    }
    if card.sft + card.rl == 0 {
        return Err(Failure::Input(format!(
            "the suite {} has no instance in a training split",
            found.name
        )));
    }
    card.origin
        .push(format!("suite {} {}", found.name, found.digest));
    card.origin
        .push(format!("domain {} {}", domain.name, domain.digest));
    let mut strategies: Vec<&str> = found
        .instances
        .iter()
        .map(|i| i.strategy.as_str())
        .collect();
    strategies.sort_unstable();
    strategies.dedup();
    card.origin
        .push(format!("strategies {}", strategies.join(", ")));
    write_atomic(to.join("data/sft.jsonl"), &sft)?;
    write_atomic(to.join("data/rl.jsonl"), &rl)?;
    write_atomic(to.join("README.md"), card.text())?;
    println!(
        "wrote {} dialogues and {} tasks to {}",
        card.sft,
        card.rl,
        to.display()
    );
    Ok(())
}

/// A demonstration without a system message of its own: the row brings the domain's.
fn without_system(messages: &[Message]) -> &[Message] {
    match messages {
        [first, rest @ ..] if first.role == agoge_dialogue::Role::System => rest,
        all => all,
    }
}
