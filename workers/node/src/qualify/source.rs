//! The source of a suite's tasks: datasets of strategies, a dataset in the store, tasks written in the manifest, or those of the
//! domain's own file.

use std::collections::BTreeMap;

use agoge_artifacts::{Instance, dataset, splits};
use agoge_crds::checker_suite::Source;
use agoge_store::{Digest, Store};
use agoge_world::{Domain, Split};

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
    domain: &Domain,
) -> Result<Loaded, Failure> {
    let audit = source.audit.as_ref();
    if audit.is_some_and(|audit| audit.path.is_none()) {
        return given(domain);
    }
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
    let path = source.path.as_ref().or_else(|| audit?.path.as_ref());
    let objects: Vec<Digest> = match (path, parts) {
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
    if audit.is_some() {
        came.push("audited");
    }
    Ok(Loaded {
        instances,
        text: came.join(" "),
        datasets: objects,
    })
}

/// Returns the tasks of the domain's own file, to be audited.
fn given(domain: &Domain) -> Result<Loaded, Failure> {
    if domain.tasks.is_empty() {
        let message = "spec.source.audit: the domain has no tasks.jsonl; add one, or name a dataset in spec.source.audit.path";
        return Err(Failure::Input(message.into()));
    }
    let instances = domain.tasks.iter().map(|task| Instance {
        split: task
            .split
            .unwrap_or_else(|| domain.split.split_of(&domain.key_of(task))),
        task: task.clone(),
        strategy: "audit".into(),
        messages: Vec::new(),
    });
    Ok(Loaded {
        instances: instances.collect(),
        text: "audited tasks.jsonl".into(),
        datasets: Vec::new(),
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
