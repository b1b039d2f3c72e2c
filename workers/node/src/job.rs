//! One piece of work as its driver gave it, with what every role needs: the store, the domain, the request to stop, and
//! what the driver reads.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use agoge_contract::{Assignment, Summary, Termination, Work};
use agoge_store::{Artifact, Store};
use agoge_world::Domain;

use crate::domain;
use crate::failure::Failure;
use crate::keep::Keeper;
use crate::progress::Progress;
use crate::report::Reporter;
use crate::stop::Stop;

/// Kind of the artifacts that hold the whole report of a worker.
const RESULT: &str = "result";

/// A piece of work.
pub struct Job {
    /// The assignment.
    pub assignment: Assignment,
    /// The store of artifacts.
    pub store: Store,
    /// The request to stop.
    pub stop: Stop,
    /// The progress that the driver sees.
    pub progress: Progress,
    keeper: Option<Keeper>,
    termination: Option<String>,
}

impl Job {
    /// Reads an assignment and opens what it names. Returns the work apart from the rest.
    ///
    /// # Errors
    /// When the file is no assignment, or store or work folder cannot be used.
    pub fn open(file: &Path, stop: Stop) -> Result<(Self, Work), Failure> {
        let text = std::fs::read(file).map_err(|e| {
            Failure::Input(format!("reading the assignment {}: {e}", file.display()))
        })?;
        let mut assignment = Assignment::parse(&text)?;
        // Pods of one Indexed Job read the same file.
        if let Ok(index) = std::env::var("JOB_COMPLETION_INDEX") {
            assignment.shard = index
                .parse()
                .ok()
                .filter(|shard| *shard < assignment.shards)
                .ok_or_else(|| {
                    let shards = assignment.shards;
                    Failure::Input(format!(
                        "JOB_COMPLETION_INDEX={index} is no index among {shards} shards"
                    ))
                })?;
        }
        let work = assignment.spec.clone();
        let mut job = Self::of(assignment, stop)?;
        job.assignment.domain = domain::delivered(&job.assignment, &job.store)?;
        job.progress = Progress::new(Some(job.assignment.work.join("progress.json")))
            .with_reporter(Reporter::of(&job.assignment));
        if let Some(keep) = &job.assignment.keep {
            let name = format!("{}/{}", keep.trim_matches('/'), job.assignment.shard);
            let keeper = Keeper::start(&job.store, &name, &job.assignment.work, &job.stop)?;
            job.keeper = Some(keeper);
        }
        Ok((job, work))
    }

    /// Opens what an assignment names that is in memory.
    ///
    /// # Errors
    /// When store or work folder cannot be used.
    pub fn of(assignment: Assignment, stop: Stop) -> Result<Self, Failure> {
        std::fs::create_dir_all(&assignment.work).map_err(|e| {
            Failure::Infra(format!(
                "making the work folder {}: {e}; make room or name another",
                assignment.work.display()
            ))
        })?;
        let store = Store::open(&assignment.store)?;
        let progress = Progress::new(Some(assignment.work.join("progress.json")));
        Ok(Self {
            assignment,
            store,
            stop,
            progress,
            keeper: None,
            termination: None,
        })
    }

    /// Ends the work, well or not: the kept copy of the work folder is brought up to date, or let go when the work is done.
    ///
    /// # Errors
    /// When unfinished work could not be kept. What is done is in the store: then a failure costs only space.
    pub fn end(&mut self, done: bool) -> Result<(), Failure> {
        self.progress.end();
        let Some(keeper) = self.keeper.take() else {
            return Ok(());
        };
        match keeper.end(done) {
            Err(failure) if done => {
                tracing::warn!("the kept copy of finished work was not deleted: {failure}");
                Ok(())
            }
            ended => ended,
        }
    }

    /// Returns the termination message that [`Job::finish`] made.
    #[must_use]
    pub fn termination(&mut self) -> Option<String> {
        self.termination.take()
    }

    /// Loads the domain and starts its tool servers, where it has some.
    ///
    /// # Errors
    /// Every problem of its folder, or that of a server.
    pub fn domain(&self) -> Result<Arc<Domain>, Failure> {
        let domain = Domain::load(&self.assignment.domain).map_err(Failure::input)?;
        let domain = agoge_servers::attach(domain).map_err(Failure::infra)?;
        Ok(Arc::new(domain))
    }

    /// Returns the threads that may be kept busy.
    #[must_use]
    pub fn threads(&self) -> usize {
        match self.assignment.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            n => n as usize,
        }
    }

    /// Writes the report, which ends the work: whole into the store and to `result.json`, and as much of it as fits into the
    /// termination message.
    ///
    /// # Errors
    /// When store or file cannot be written.
    pub fn finish(&mut self, report: &impl Summary) -> Result<(), Failure> {
        let digest = self.store.put_json(report)?;
        let Assignment {
            owner, key, shard, ..
        } = &self.assignment;
        let inputs = [
            ("kind", owner.kind.clone()),
            ("name", owner.name.clone()),
            ("uid", owner.uid.clone()),
            ("key", key.clone()),
            ("shard", shard.to_string()),
        ];
        let inputs: BTreeMap<String, String> =
            inputs.map(|(name, value)| (name.to_owned(), value)).into();
        let name = format!("{} {key}", owner.name);
        self.store
            .put_artifact(&Artifact::new(RESULT, name, digest.clone(), inputs))?;
        let text = serde_json::to_vec_pretty(report).map_err(Failure::infra)?;
        agoge_store::write_atomic(self.assignment.work.join("result.json"), text)
            .map_err(Failure::infra)?;
        self.termination = Some(Termination::success(report, Some(digest.as_str())));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use agoge_contract::{Owner, ScoreWork};
    use agoge_crds::lineage::Generation;
    use agoge_crds::report::SynthesisReport;
    use agoge_store::Digest;

    use super::*;

    #[test]
    fn a_report_of_a_hundred_generations_is_whole_in_the_store_and_its_end_in_the_message() {
        let dir = tempfile::tempdir().unwrap();
        let assignment = Assignment {
            name: "courier-synthesize-sea".into(),
            key: "synthesize-sea".into(),
            attempt: 0,
            owner: Owner {
                api_version: agoge_crds::API_VERSION.into(),
                kind: "SynthesisJob".into(),
                name: "courier".into(),
                namespace: None,
                uid: String::new(),
            },
            spec: Work::Score(ScoreWork {
                suite: String::new(),
                digest: String::new(),
                endpoints: vec![],
                evaluation: None,
            }),
            shard: 0,
            shards: 1,
            time_left: None,
            domain: dir.path().into(),
            store: dir.path().join("store").display().to_string(),
            keep: None,
            work: dir.path().join("work"),
            endpoints: BTreeMap::new(),
            recordings: None,
            progress: None,
            threads: 1,
        };
        let report = SynthesisReport {
            lineage: (0..100)
                .map(|generation| Generation {
                    generation,
                    digest: agoge_crds::digest(&generation.to_string()),
                    change: format!("generation {generation} asks for shorter scenarios"),
                    ..Generation::default()
                })
                .collect(),
            ..SynthesisReport::default()
        };
        let mut job = Job::of(assignment, Stop::default()).unwrap();
        job.finish(&report).unwrap();
        let message = job.termination().unwrap();
        assert!(message.len() <= 4096);
        let Some(Termination::Done { artifact, result }) = Termination::parse(&message) else {
            panic!("{message}")
        };
        let short: SynthesisReport = serde_json::from_value(result).unwrap();
        assert_eq!(short.lineage, report.lineage[92..]);
        let digest = Digest::parse(&artifact.unwrap()).unwrap();
        let whole: SynthesisReport = job.store.get_json(&digest).unwrap();
        assert_eq!(whole, report);
        assert_eq!(job.store.artifacts(RESULT).unwrap()[0].digest, digest);
    }
}
