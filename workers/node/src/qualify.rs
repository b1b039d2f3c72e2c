//! The role `qualify`: puts the checker of every valid instance to the test, and leaves the suite that a run pins.
//!
//! The artifact `suite` is found by the suite's digest, which is known only at the end; that the work is done is found by
//! the artifact `qualification`, the report by what went in.

mod source;

use std::collections::BTreeMap;

use agoge_checker::{Qualification, Qualifier, Suite, Thresholds, aggregate};
use agoge_contract::QualifyWork;
use agoge_crds::checker_suite::{QualificationSpec, Quarantine, SandboxLimits};
use agoge_crds::report::QualifyReport;
use agoge_sandbox::Limits;
use agoge_store::{Artifact, Digest, Ledger};
use agoge_world::{Task, WorldError};
use serde::Serialize;

use crate::failure::Failure;
use crate::job::Job;
pub use source::Instance;

/// The kind of the artifact.
pub const KIND: &str = "suite";
const DONE: &str = "qualification";
/// Changes whenever a suite is written differently.
const FORMAT: &str = "agoge-suite/1";
/// Tasks between two commits, for each thread.
const BATCH: usize = 16;

/// The suite as it lies in the store.
#[derive(Debug, Serialize)]
struct Kept<'a> {
    suite: &'a Suite,
    instances: Vec<&'a Instance>,
    qualifications: &'a [Qualification],
}

/// Qualifies, or finds that it is done.
///
/// # Errors
/// [`Failure`]
pub fn run(job: &mut Job, work: &QualifyWork) -> Result<(), Failure> {
    let domain = job.domain()?;
    let (instances, came) = source::load(&job.store, &work.source, work.parts.as_ref())?;
    let settings = serde_json::json!([work.qualification, work.sandbox]).to_string();
    let inputs: BTreeMap<String, String> = [
        ("domain", domain.digest.as_str()),
        ("source", &came),
        ("settings", &settings),
        ("format", FORMAT),
        ("code", env!("CARGO_PKG_VERSION")),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    if let Some(report) = finished(job, &inputs)? {
        return job.finish(&report);
    }
    let key = Digest::of(serde_json::json!(inputs).to_string().as_bytes());
    let path = job
        .assignment
        .work
        .join(format!("qualify-{}.jsonl", key.short()));
    let mut ledger = Ledger::open(path).map_err(Failure::infra)?;
    let tasks: Vec<Task> = instances
        .iter()
        .map(|instance| instance.task.clone())
        .collect();
    let threads = job.threads().clamp(1, tasks.len().max(1));
    let thresholds = thresholds(&work.qualification);
    let mut qualifier = Qualifier::open(
        &domain,
        work.qualification.seed,
        &thresholds,
        &limits(&work.sandbox),
        threads,
    )?;
    job.progress
        .stage("qualifying checkers", "checkers", tasks.len() as u64);
    let begun = std::time::Instant::now();
    let mut found: Vec<Qualification> = Vec::with_capacity(tasks.len());
    let mut good = 0;
    for batch in tasks.chunks(BATCH * threads) {
        let first = found.len();
        let keys: Vec<String> = (first..first + batch.len())
            .map(|i| format!("{i}/{}", tasks[i].id))
            .collect();
        let known = keys
            .iter()
            .map(|key| ledger.get(key))
            .collect::<Result<Option<Vec<Qualification>>, _>>();
        let batch = match known.map_err(Failure::infra)? {
            Some(known) => known,
            None => {
                let fresh = qualifier.qualify(batch, &|_| ());
                let lines = keys.iter().map(String::as_str).zip(&fresh);
                ledger.append_all(lines).map_err(Failure::infra)?;
                fresh
            }
        };
        good += batch.iter().filter(|q| q.qualified).count() as u64;
        found.extend(batch);
        job.progress.figure("checkers", found.len() as u64);
        job.progress.figure("qualified", good);
        job.progress.at(found.len() as u64);
        if job.stop.asked() {
            return Err(Failure::Stopped);
        }
    }
    let mut suite = aggregate(&domain, &tasks, &found);
    suite.seconds = begun.elapsed().as_secs_f64();
    let instances = instances
        .iter()
        .zip(&found)
        .filter(|(_, q)| q.qualified)
        .map(|(i, _)| i)
        .collect();
    let kept = Kept {
        suite: &suite,
        instances,
        qualifications: &found,
    };
    let text = serde_json::to_vec(&kept).map_err(Failure::infra)?;
    let object = job.store.put(&text)?;
    let by_digest = BTreeMap::from([("digest".to_owned(), suite.digest.clone())]);
    job.store
        .put_artifact(&Artifact::new(KIND, &work.suite, object, by_digest))?;
    let report = report(&suite);
    let object = job.store.put_json(&report)?;
    job.store
        .put_artifact(&Artifact::new(DONE, &work.suite, object, inputs))?;
    job.finish(&report)
}

/// The report of an earlier run, when its suite is still there.
fn finished(
    job: &Job,
    inputs: &BTreeMap<String, String>,
) -> Result<Option<QualifyReport>, Failure> {
    let Some(done) = job.store.find_artifact(DONE, inputs)? else {
        return Ok(None);
    };
    let report: QualifyReport = job.store.get_json(&done.digest)?;
    let Some(digest) = &report.digest else {
        return Ok(None);
    };
    let suite = BTreeMap::from([("digest".to_owned(), digest.clone())]);
    Ok(job.store.find_artifact(KIND, &suite)?.map(|_| report))
}

fn report(suite: &Suite) -> QualifyReport {
    let mut reasons: BTreeMap<String, u64> = BTreeMap::new();
    for entry in &suite.quarantined {
        *reasons.entry(general(&entry.reason)).or_default() += 1;
    }
    QualifyReport {
        checkers: suite.checkers as u64,
        qualified: suite.qualified as u64,
        mutation_score: suite.mutation_score,
        flake: suite.flake,
        p95_ms: suite.p95_ms,
        digest: Some(suite.digest.clone()),
        quarantined: reasons
            .into_iter()
            .map(|(reason, count)| Quarantine { reason, count })
            .collect(),
        endpoints: Vec::new(),
    }
}

/// A reason without the task's own numbers, so that like reasons are counted together.
fn general(reason: &str) -> String {
    let mut text = String::new();
    for c in reason.chars() {
        match c {
            '0'..='9' if text.ends_with('#') => {}
            '0'..='9' => text.push('#'),
            c => text.push(c),
        }
    }
    agoge_crds::conditions::shorten(&text, 160)
}

fn thresholds(spec: &QualificationSpec) -> Thresholds {
    Thresholds {
        mutants: spec.mutants as usize,
        mutation_score: spec.min_mutation_score,
        repeats: spec.repeats as usize,
        p95_ms: spec.p95.as_secs_f64() * 1e3,
    }
}

fn limits(spec: &SandboxLimits) -> Limits {
    Limits {
        wall: spec.wall.duration(),
        memory_bytes: spec.memory.as_bytes(),
        recursion: spec.recursion,
        output_bytes: spec.output.as_bytes(),
        host_calls: spec.host_calls,
    }
}

impl From<WorldError> for Failure {
    fn from(error: WorldError) -> Self {
        match error {
            WorldError::Import { .. } => Self::Input(error.to_string()),
            WorldError::Start { .. } => Self::Infra(error.to_string()),
        }
    }
}
