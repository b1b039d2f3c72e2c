//! A run: its objects with their statuses, and the artifacts that they name. What cannot be read is a note on the page.

use std::cell::RefCell;

use agoge_artifacts::{Attempt, PlanRecord, Plans, StageRecord, Stored, dataset};
use agoge_contract::Assignment;
use agoge_crds::synthesis_job::StrategyStatus;
use agoge_crds::{CheckerSuite, GRPORun, Manifest, SynthesisJob};
use agoge_store::{Artifact, Digest, Store};
use kube::ResourceExt as _;
use serde_json::Value;

use super::Material;

/// Attempts of one strategy that are read at most.
const MAX_ATTEMPTS: usize = 200_000;

/// Everything a page is made from.
pub(super) struct Run {
    /// In the order synthesis, suite, run; then by name.
    pub objects: Vec<Manifest>,
    /// The driver's `result.json`, where there is one.
    pub result: Value,
    /// The workers' assignments.
    pub assignments: Vec<Assignment>,
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
    pub status: StrategyStatus,
    pub attempts: Vec<Attempt>,
}

impl Run {
    /// Reads what the material names in its store.
    pub fn read(material: Material) -> Self {
        let mut objects = material.objects;
        objects.sort_by_cached_key(|object| (rank(object), object.name()));
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

    /// The SynthesisJobs.
    pub fn jobs(&self) -> impl Iterator<Item = &SynthesisJob> {
        self.objects.iter().filter_map(|object| match object {
            Manifest::SynthesisJob(job) => Some(job.as_ref()),
            _ => None,
        })
    }

    /// The CheckerSuites.
    pub fn suites(&self) -> impl Iterator<Item = &CheckerSuite> {
        self.objects.iter().filter_map(|object| match object {
            Manifest::CheckerSuite(suite) => Some(suite.as_ref()),
            _ => None,
        })
    }

    /// The GRPORuns.
    pub fn trainings(&self) -> impl Iterator<Item = &GRPORun> {
        self.objects.iter().filter_map(|object| match object {
            Manifest::GRPORun(run) => Some(run.as_ref()),
            _ => None,
        })
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
        for job in self.jobs() {
            for (strategy, status) in job.status.iter().flat_map(|status| &status.strategies) {
                let what = format!("the instances of strategy {strategy}");
                let attempts = match status.digest.as_deref() {
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
                    job: job.name_any(),
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
        for run in self.trainings() {
            for (stage, status) in run.status.iter().flat_map(|status| &status.stages) {
                if let Some(digest) = &status.digest {
                    let record = self.stored(digest, &format!("the record of stage {stage}"));
                    found.extend(record.map(|r| (run.name_any(), stage.clone(), r)));
                }
            }
            // What ended after the last status was written, such as a certification that failed its run. A store outlives
            // its runs: only what was made from this run's suite.
            let suite = run.status.as_ref().and_then(|s| s.suite_digest.as_deref());
            let suite = suite.unwrap_or_default();
            for artifact in self.newest(StageRecord::KIND) {
                let input = |key: &str| artifact.inputs.get(key).map_or("", String::as_str);
                let stage = input("stage");
                let ours = !suite.is_empty() && input("suite") == suite;
                if ours && !found.iter().any(|(_, s, _)| s == stage) {
                    let what = format!("the record of stage {stage}");
                    let record = self.stored(&artifact.digest.to_string(), &what);
                    found.extend(record.map(|r| (run.name_any(), stage.to_owned(), r)));
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

/// The place of an object's kind on the page.
const fn rank(object: &Manifest) -> u8 {
    match object {
        Manifest::SynthesisJob(_) => 0,
        Manifest::CheckerSuite(_) => 1,
        Manifest::GRPORun(_) => 2,
    }
}
