//! The objects of a run as files, `objects/<kind>-<name>.json`: what was asked for and the status, as a cluster keeps them.

use std::path::{Path, PathBuf};

use agoge_contract::{Role, Work};
use agoge_crds::grpo_run::TopologyMode;
use agoge_crds::{Manifest, Phase, RunStatus, Time, Timestamp, conditions};
use agoge_plan::{Child, Decision, Observed, Plan, Plannable, SuiteSeen, SynthesisSeen};
use agoge_store::write_atomic;
use serde::Serialize;
use serde_json::Value;

use super::changed::{self, Before, Taken};
use super::origin::Origin;
use crate::failure::Failure;
use crate::manifest::Source;

/// One object: spec, status, and its file.
#[derive(Clone, Debug)]
pub struct Object {
    /// Spec and status.
    pub manifest: Manifest,
    /// Its file.
    pub file: PathBuf,
}

/// The decision about an object.
pub struct Next {
    /// The children that should run.
    pub children: Vec<Child>,
    /// The object with the status that should be written.
    pub manifest: Manifest,
    /// True when time alone will change the decision.
    pub requeue: bool,
    /// True when it has outlived its time to live.
    pub delete: bool,
}

macro_rules! each {
    ($manifest:expr, $object:ident => $do:expr) => {
        match $manifest {
            Manifest::SynthesisJob($object) => $do,
            Manifest::CheckerSuite($object) => $do,
            Manifest::GRPORun($object) => $do,
        }
    };
}

/// Replaces an object: its successor keeps status and creation, and counts a generation where the spec differs. Returns
/// what it was before.
macro_rules! update {
    ($new:ident, $old:ident) => {{
        let generation = $old.metadata.generation.unwrap_or(1);
        let differs = i64::from($new.spec != $old.spec);
        $new.metadata.generation = Some(generation.saturating_add(differs));
        $new.metadata
            .creation_timestamp
            .clone_from(&$old.metadata.creation_timestamp);
        let before = Before {
            fields: changed::fields(&$old.spec, &$new.spec),
            allowed: $new.validate_cel_update(&$old).is_ok(),
            origin: Origin::read($old.metadata.annotations.as_ref()),
        };
        $new.status = $old.status;
        before
    }};
}

/// The file of an object.
#[must_use]
pub fn file(out: &Path, kind: &str, name: &str) -> PathBuf {
    out.join("objects")
        .join(format!("{}-{name}.json", kind.to_lowercase()))
}

/// Every object that a run has written.
///
/// # Errors
/// A file that cannot be read.
pub fn stored(out: &Path) -> Result<Vec<Object>, Failure> {
    let mut files: Vec<PathBuf> = match std::fs::read_dir(out.join("objects")) {
        Ok(entries) => entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .collect(),
        Err(_) => return Ok(vec![]),
    };
    files.retain(|file| {
        file.extension()
            .is_some_and(|extension| extension == "json")
    });
    files.sort();
    files
        .iter()
        .filter_map(|file| read(file).transpose())
        .collect()
}

/// The object in this file, if there is one.
///
/// # Errors
/// A file that is there and cannot be read.
pub fn read(file: &Path) -> Result<Option<Object>, Failure> {
    let text = match std::fs::read(file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Failure::file("read", file)(error)),
    };
    match parse(&text) {
        Ok(manifest) => Ok(Some(Object {
            manifest,
            file: file.to_owned(),
        })),
        Err(error) => Err(Failure::Input(format!(
            "{} is damaged: {error}; delete it to begin this object anew, what it finished is found in the store",
            file.display()
        ))),
    }
}

/// Parses an object as its file holds it.
///
/// # Errors
/// The reason, for a person.
pub fn parse(text: &[u8]) -> Result<Manifest, String> {
    let value: Value = serde_json::from_slice(text).map_err(|e| e.to_string())?;
    let kind = value
        .get("kind")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    let wrong = |e: serde_json::Error| e.to_string();
    Ok(match kind.as_str() {
        "SynthesisJob" => Manifest::SynthesisJob(serde_json::from_value(value).map_err(wrong)?),
        "CheckerSuite" => Manifest::CheckerSuite(serde_json::from_value(value).map_err(wrong)?),
        "GRPORun" => Manifest::GRPORun(serde_json::from_value(value).map_err(wrong)?),
        other => return Err(format!("the kind {other:?} is unknown")),
    })
}

impl Object {
    /// Takes up a manifest that is made from `origin`: as a new object, or in the place of the one there is. A cluster refuses
    /// some changes; here the object is replaced, and made anew where that is needed.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn take(
        source: &Source,
        out: &Path,
        origin: &Origin,
        now: Timestamp,
    ) -> Result<Taken, Failure> {
        let file = file(out, source.manifest.kind(), &source.manifest.name());
        let mut manifest = source.manifest.clone();
        let old = read(&file)?;
        let before = match (&mut manifest, old.map(|old| old.manifest)) {
            (Manifest::SynthesisJob(new), Some(Manifest::SynthesisJob(old))) => {
                Some(update!(new, old))
            }
            (Manifest::CheckerSuite(new), Some(Manifest::CheckerSuite(old))) => {
                Some(update!(new, old))
            }
            (Manifest::GRPORun(new), Some(Manifest::GRPORun(old))) => Some(update!(new, old)),
            (new, _) => {
                each!(new, object => {
                    object.status = None;
                    object.metadata.generation = Some(1);
                    object.metadata.creation_timestamp = Some(Time(now));
                });
                None
            }
        };
        let known = before.as_ref().map(|before| before.origin.clone());
        let known = known.unwrap_or_default();
        each!(&mut manifest, object => origin.write(&known, &mut object.metadata.annotations));
        let phase = run_of(&manifest).phase;
        let changed = before.map(|before| before.changes(phase, manifest.domain(), origin));
        Ok(Taken {
            object: Self { manifest, file },
            changed: changed.unwrap_or_default(),
            rests: None,
        })
    }

    /// The domain and the model that it was made from, as far as they are known.
    #[must_use]
    pub fn origin(&self) -> Origin {
        each!(&self.manifest, object => Origin::read(object.metadata.annotations.as_ref()))
    }

    /// Returns true if anything was begun for it.
    #[must_use]
    pub fn begun(&self) -> bool {
        let run = self.run();
        run.start_time.is_some() || run.phase.is_terminal()
    }

    /// `Kind/name`, as kubectl says it.
    #[must_use]
    pub fn id(&self) -> String {
        format!(
            "{}/{}",
            self.manifest.kind().to_lowercase(),
            self.manifest.name()
        )
    }

    /// The life cycle's part of its status.
    #[must_use]
    pub fn run(&self) -> RunStatus {
        run_of(&self.manifest)
    }

    /// Its phase.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.run().phase
    }

    /// Reason and message of what it came to, or of what it does.
    #[must_use]
    pub fn why(&self) -> (String, String) {
        let run = self.run();
        let told = [
            conditions::FAILED,
            conditions::COMPLETE,
            conditions::SUSPENDED,
        ];
        let said = told
            .iter()
            .find(|c| conditions::is_true(&run.conditions, c));
        let waits = (run.phase == Phase::Waiting).then_some(&conditions::ACCEPTED);
        let condition = said.or(waits).copied().unwrap_or(conditions::PROGRESSING);
        conditions::get(&run.conditions, condition)
            .map(|c| (c.reason.clone(), c.message.clone()))
            .unwrap_or_default()
    }

    /// Writes it.
    ///
    /// # Errors
    /// A full disk, or whatever keeps the file from being written.
    pub fn write(&self) -> Result<(), Failure> {
        let text = each!(&self.manifest, object => pretty(object));
        let text = text.map_err(|error| {
            Failure::Failed(format!("cannot write {}: {error}", self.file.display()))
        })?;
        Ok(write_atomic(&self.file, text)?)
    }

    /// Returns true if it asks for rollout servers, which one machine does without.
    #[must_use]
    pub fn is_apart(&self) -> bool {
        match &self.manifest {
            Manifest::GRPORun(run) => run.spec.topology.mode == TopologyMode::Disaggregated,
            _ => false,
        }
    }

    /// Decides about it.
    #[must_use]
    pub fn plan(&self, observed: &Observed, now: Timestamp) -> Next {
        match &self.manifest {
            Manifest::SynthesisJob(object) => {
                let (mut next, plan) = (object.clone(), object.plan(observed, now));
                let rest = rest(plan, |status| next.status = Some(status));
                rest.with(Manifest::SynthesisJob(next))
            }
            Manifest::CheckerSuite(object) => {
                let (mut next, plan) = (object.clone(), object.plan(observed, now));
                let rest = rest(plan, |status| next.status = Some(status));
                rest.with(Manifest::CheckerSuite(next))
            }
            Manifest::GRPORun(object) => {
                let (mut next, plan) = (object.clone(), object.plan(observed, now));
                let rest = rest(plan, |status| next.status = Some(status));
                rest.with(Manifest::GRPORun(next))
            }
        }
    }

    /// Stops its clock at the moment its driver was last alive: time in which nobody drove it is not active time.
    pub fn wake(&mut self, last_alive: Timestamp) {
        let mut run = self.run();
        if run.active_since.is_none() {
            return;
        }
        run.active_seconds = run.active(last_alive).as_secs();
        run.active_since = None;
        match &mut self.manifest {
            Manifest::SynthesisJob(o) => o.status.get_or_insert_default().run = run,
            Manifest::CheckerSuite(o) => o.status.get_or_insert_default().run = run,
            Manifest::GRPORun(o) => o.status.get_or_insert_default().run = run,
        }
    }

    /// Forgets its failure: it is tried again, and what it finished is found.
    pub fn retry(&mut self) {
        if self.phase() == Phase::Failed {
            self.forget();
        }
    }

    /// Forgets its status: it is made anew, and what is still the same is found in the store.
    pub fn forget(&mut self) {
        each!(&mut self.manifest, object => object.status = None);
    }
}

/// Returns the objects among these that an object refers to, and those that refer to it.
#[must_use]
pub fn references(manifest: &Manifest, all: &[&Manifest]) -> Observed {
    let mut observed = Observed::default();
    match manifest {
        Manifest::SynthesisJob(job) => {
            observed.decision = job.metadata.annotations.as_ref().and_then(Decision::of);
            observed.used_by = all.iter().find_map(|other| match other {
                Manifest::CheckerSuite(suite)
                    if suite.spec.source.synthesis_job == job.metadata.name =>
                {
                    suite.metadata.name.clone()
                }
                _ => None,
            });
        }
        Manifest::CheckerSuite(suite) => {
            observed.synthesis = all.iter().find_map(|other| match other {
                Manifest::SynthesisJob(job)
                    if job.metadata.name == suite.spec.source.synthesis_job =>
                {
                    Some(SynthesisSeen::from(job.as_ref()))
                }
                _ => None,
            });
        }
        Manifest::GRPORun(run) => {
            observed.suite = all.iter().find_map(|other| match other {
                Manifest::CheckerSuite(suite)
                    if suite.metadata.name.as_ref() == Some(&run.spec.suite.name) =>
                {
                    Some(SuiteSeen::from(suite.as_ref()))
                }
                _ => None,
            });
        }
    }
    observed
}

/// The life cycle's part of an object's status.
#[must_use]
pub fn run_of(manifest: &Manifest) -> RunStatus {
    each!(manifest, object => object.status.as_ref().map(|status| status.run.clone()).unwrap_or_default())
}

struct Rest {
    children: Vec<Child>,
    requeue: bool,
    delete: bool,
}

impl Rest {
    fn with(self, manifest: Manifest) -> Next {
        Next {
            children: self.children,
            manifest,
            requeue: self.requeue,
            delete: self.delete,
        }
    }
}

fn rest<S>(plan: Plan<S>, keep: impl FnOnce(S)) -> Rest {
    keep(plan.status);
    Rest {
        children: here(plan.children),
        requeue: plan.requeue.is_some(),
        delete: plan.delete,
    }
}

/// The children as one machine runs them: without rollout servers, since a trainer can play itself.
fn here(mut children: Vec<Child>) -> Vec<Child> {
    children.retain(|child| child.role() != Role::Rollout);
    for child in &mut children {
        if let Work::Train(work) = &mut child.work {
            work.rollouts = None;
        }
    }
    children
}

fn pretty(object: &impl Serialize) -> Result<Vec<u8>, serde_json::Error> {
    let mut text = serde_json::to_vec_pretty(object)?;
    text.push(b'\n');
    Ok(text)
}
