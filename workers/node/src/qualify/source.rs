//! The source of a suite's tasks: datasets of strategies, a dataset in the store, or tasks written in the manifest.

use std::collections::BTreeMap;

use agoge_artifacts::{Instance, dataset, splits};
use agoge_crds::checker_suite::Source;
use agoge_store::{Digest, Store};
use agoge_world::Split;

use crate::datasets;
use crate::failure::Failure;

/// The tasks of a suite.
pub struct Loaded {
    /// The valid instances.
    pub instances: Vec<Instance>,
    /// A text that determines them.
    pub text: String,
    /// The datasets that hold them; none when they are written in the manifest.
    pub datasets: Vec<Digest>,
}

/// Reads the instances of a source.
pub fn load(
    store: &Store,
    source: &Source,
    parts: Option<&BTreeMap<String, String>>,
) -> Result<Loaded, Failure> {
    if let Some(tasks) = &source.inline {
        let text = serde_json::json!(tasks).to_string();
        let instances = tasks.iter().enumerate().map(|(n, task)| {
            let wrong = |e| Failure::Input(format!("spec.source.inline[{n}] is not a task: {e}"));
            let task = serde_json::from_value(task.clone()).map_err(wrong)?;
            Ok(Instance {
                task,
                split: Split::Heldout,
                strategy: "inline".into(),
                messages: Vec::new(),
            })
        });
        return Ok(Loaded {
            instances: instances.collect::<Result<_, Failure>>()?,
            text,
            datasets: Vec::new(),
        });
    }
    let objects: Vec<Digest> = match (&source.path, parts) {
        (Some(path), _) => vec![named(store, path)?],
        (None, Some(parts)) => datasets::objects(store, parts.values())?,
        (None, None) => {
            let message = "spec.source names nothing that was made; name a SynthesisJob that accepted an instance";
            return Err(Failure::Input(message.into()));
        }
    };
    let instances = datasets::instances(store, &objects)?;
    if instances.is_empty() {
        let message = "the source has no valid instance; see why in the SynthesisJob's status";
        return Err(Failure::Input(message.into()));
    }
    let mut came: Vec<&str> = objects.iter().map(Digest::as_str).collect();
    if splits::undivided(&instances) {
        // Versions that did not divide them made another suite from the same datasets.
        came.push("divided");
    }
    Ok(Loaded {
        instances,
        text: came.join(" "),
        datasets: objects,
    })
}

/// Returns the digest that a path names: a digest itself, or the newest dataset of that name.
fn named(store: &Store, path: &str) -> Result<Digest, Failure> {
    if let Ok(digest) = Digest::parse(path) {
        return Ok(digest);
    }
    dataset::newest(store, path)?.ok_or_else(|| {
        Failure::Input(format!(
            "spec.source.path: the store has no dataset `{path}`; name one that a SynthesisJob made"
        ))
    })
}
