//! A run: its objects with their statuses, and the artifacts that they name. What cannot be read is a note on the page.

use std::cell::RefCell;

use agoge_artifacts::{Attempt, PlanRecord, Plans, StageRecord, Stored, dataset};
use agoge_store::{Artifact, Digest, Store};
use serde_json::Value;

use super::Material;
use super::text::{members, text};

/// Attempts of one strategy that are read at most.
const MAX_ATTEMPTS: usize = 200_000;

/// One object: what was asked, and what became of it.
pub(super) struct Object {
    pub kind: Kind,
    pub name: String,
    pub spec: Value,
    pub status: Value,
}

/// The three kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    SynthesisJob,
    CheckerSuite,
    GrpoRun,
}

impl Kind {
    pub const fn name(self) -> &'static str {
        match self {
            Self::SynthesisJob => "SynthesisJob",
            Self::CheckerSuite => "CheckerSuite",
            Self::GrpoRun => "GRPORun",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        [Self::SynthesisJob, Self::CheckerSuite, Self::GrpoRun]
            .into_iter()
            .find(|kind| kind.name().eq_ignore_ascii_case(word))
    }
}

/// Everything a page is made from.
pub(super) struct Run {
    /// In the order synthesis, suite, run; then by name.
    pub objects: Vec<Object>,
    /// The driver's `result.json`, where there is one.
    pub result: Value,
    /// The workers' assignments.
    pub assignments: Vec<Value>,
    /// Artifacts, oldest first.
    pub artifacts: Vec<Artifact>,
    /// Attempts by strategy.
    pub attempts: Vec<Attempts>,
    /// Records of stages: `(run, stage, record)`.
    pub stages: Vec<(String, String, StageRecord)>,
    store: Option<Store>,
    notes: RefCell<Vec<String>>,
}

/// All attempts of one strategy of one job.
pub(super) struct Attempts {
    pub job: String,
    pub strategy: String,
    pub status: Value,
    pub attempts: Vec<Attempt>,
}

impl Run {
    /// Reads what the material names in its store.
    pub fn read(material: Material) -> Self {
        let mut objects: Vec<Object> = material.objects.into_iter().filter_map(object).collect();
        objects.sort_by(|a, b| (a.kind, &a.name).cmp(&(b.kind, &b.name)));
        let mut run = Self {
            objects,
            result: material.result,
            assignments: material.assignments,
            artifacts: Vec::new(),
            attempts: Vec::new(),
            stages: Vec::new(),
            store: material.store,
            notes: RefCell::new(material.notes),
        };
        if let Some(store) = &run.store {
            run.artifacts = store
                .all_artifacts()
                .map_err(|e| run.note(e.to_string()))
                .unwrap_or_default();
        }
        run.attempts = run.read_attempts();
        run.stages = run.read_stages();
        run
    }

    /// Something a reader of the page should know about what is missing.
    pub fn note(&self, note: impl Into<String>) {
        let note = note.into();
        let mut notes = self.notes.borrow_mut();
        if !notes.contains(&note) && notes.len() < 40 {
            notes.push(note);
        }
    }

    /// All notes.
    pub fn notes(&self) -> Vec<String> {
        self.notes.borrow().clone()
    }

    /// The objects of a kind.
    pub fn of(&self, kind: Kind) -> impl Iterator<Item = &Object> {
        self.objects.iter().filter(move |o| o.kind == kind)
    }

    /// Artifacts of a kind, newest first.
    pub fn newest<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Artifact> {
        self.artifacts.iter().rev().filter(move |a| a.kind == kind)
    }

    /// The record of a stage.
    pub fn stage(&self, stage: &str) -> Option<&StageRecord> {
        self.stages
            .iter()
            .find(|(_, s, _)| s == stage)
            .map(|(_, _, record)| record)
    }

    /// Reads the artifact of a digest; what cannot be read is noted.
    pub fn stored<T: Stored>(&self, digest: &str, what: &str) -> Option<T> {
        let bytes = self.bytes(digest, what)?;
        T::from_bytes(bytes.as_ref(), what)
            .map_err(|e| self.note(e.to_string()))
            .ok()
    }

    fn bytes(&self, digest: &str, what: &str) -> Option<impl AsRef<[u8]> + use<>> {
        let store = self.store.as_ref()?;
        let digest = Digest::parse(digest)
            .map_err(|e| self.note(format!("{what} has no digest that can be read: {e}")))
            .ok()?;
        store
            .get(&digest)
            .map_err(|e| self.note(format!("{what}: {e}")))
            .ok()
    }

    fn read_attempts(&self) -> Vec<Attempts> {
        let mut found = Vec::new();
        for job in self.of(Kind::SynthesisJob) {
            for (strategy, status) in members(&job.status["strategies"]) {
                let what = format!("the instances of strategy {strategy}");
                let attempts = match status["digest"].as_str() {
                    Some(digest) if self.has(digest) => self.attempts_of(digest, &what),
                    // Shards: the digest is one over all of theirs.
                    Some(_) => self
                        .newest(dataset::KIND)
                        .flat_map(|a| self.attempts_of(&a.digest.to_string(), &what))
                        .filter(|attempt| attempt.strategy == *strategy)
                        .collect(),
                    None => Vec::new(),
                };
                found.push(Attempts {
                    job: job.name.clone(),
                    strategy: strategy.clone(),
                    status: status.clone(),
                    attempts,
                });
            }
        }
        found
    }

    fn has(&self, digest: &str) -> bool {
        match (&self.store, Digest::parse(digest)) {
            (Some(store), Ok(digest)) => store.contains(&digest).unwrap_or(false),
            _ => false,
        }
    }

    fn attempts_of(&self, digest: &str, what: &str) -> Vec<Attempt> {
        let Some(bytes) = self.bytes(digest, what) else {
            return Vec::new();
        };
        let found = dataset::readable(bytes.as_ref(), what, MAX_ATTEMPTS)
            .map_err(|error| self.note(error.to_string()))
            .unwrap_or_default();
        if let Some(error) = found.error {
            let lines = found.unreadable;
            self.note(format!("{what}: {lines} lines cannot be read ({error})"));
        }
        found.attempts
    }

    fn read_stages(&self) -> Vec<(String, String, StageRecord)> {
        let mut found = Vec::new();
        for run in self.of(Kind::GrpoRun) {
            for (stage, status) in members(&run.status["stages"]) {
                if let Some(digest) = status["digest"].as_str() {
                    let record = self.stored(digest, &format!("the record of stage {stage}"));
                    found.extend(record.map(|r| (run.name.clone(), stage.clone(), r)));
                }
            }
            // What ended after the last status was written, such as a certification that failed its run. A store outlives
            // its runs: only what was made from this run's suite.
            let suite = text(&run.status, "suiteDigest");
            for artifact in self.newest(StageRecord::KIND) {
                let input = |key: &str| artifact.inputs.get(key).map_or("", String::as_str);
                let stage = input("stage");
                let ours = !suite.is_empty() && input("suite") == suite;
                if ours && !found.iter().any(|(_, s, _)| s == stage) {
                    let what = format!("the record of stage {stage}");
                    let record = self.stored(&artifact.digest.to_string(), &what);
                    found.extend(record.map(|r| (run.name.clone(), stage.to_owned(), r)));
                }
            }
        }
        found
    }

    /// Returns the plan pairs, oldest first.
    pub fn plans(&self) -> Vec<PlanRecord> {
        let newest = self.newest(Plans::KIND).next();
        let plans = newest.and_then(|a| self.stored(&a.digest.to_string(), "the plans"));
        plans.map_or_else(Vec::new, |plans: Plans| plans.plans)
    }
}

/// An object; `None` when it is none of the three kinds.
fn object(value: Value) -> Option<Object> {
    Some(Object {
        kind: Kind::parse(text(&value, "kind"))?,
        name: text(&value["metadata"], "name").to_owned(),
        spec: value.get("spec").cloned().unwrap_or_default(),
        status: value.get("status").cloned().unwrap_or_default(),
    })
}
