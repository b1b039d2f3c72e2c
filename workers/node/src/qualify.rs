//! The role `qualify`: tests the checker of every valid instance and stores the suite that a run pins.
//!
//! The artifact `suite` is found by the suite's digest, which is known only at the end. The artifact `qualification` is
//! the report; it is found by its inputs, and so says that the work is done.

mod audited;
mod source;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use agoge_artifacts::provenance::QualificationOrigin;
use agoge_artifacts::reason::general;
use agoge_artifacts::{ArtifactError, Instance, Qualifications, QualifiedSuite, splits};
use agoge_checker::{Qualification, Qualifier, Suite, Thresholds, aggregate, qualification_key};
use agoge_contract::QualifyWork;
use agoge_crds::checker_suite::{Finding, QualificationSpec, SandboxLimits};
use agoge_crds::conditions::shorten;
use agoge_crds::report::QualifyReport;
use agoge_sandbox::Limits;
use agoge_store::{Artifact, Digest, Ledger, Store};
use agoge_world::{Domain, Lost, Task, WorldError};

use crate::failure::Failure;
use crate::job::Job;
use source::Loaded;

/// Tasks between two commits, for each thread.
const BATCH: usize = 16;

/// The tasks of a source, and everything that decides about them.
struct Qualifying {
    name: String,
    domain: Arc<Domain>,
    instances: Vec<Instance>,
    /// The datasets that hold the tasks; none when the manifest does.
    datasets: Vec<Digest>,
    spec: QualificationSpec,
    thresholds: Thresholds,
    limits: Limits,
    origin: QualificationOrigin,
    /// True when the tasks are audited first.
    audits: bool,
}

/// Qualifies the checkers of a suite, or finds that this is done: reads the tasks, qualifies them, publishes the suite.
///
/// # Errors
/// [`Failure`]
pub fn run(job: &mut Job, work: &QualifyWork) -> Result<(), Failure> {
    let mut work = Qualifying::of(job, work)?;
    let report = match work.finished(job)? {
        Some(report) => report,
        None => {
            let begun = Instant::now();
            let audited = work.audit(job)?;
            let qualifications = work.qualify(job)?;
            work.publish(job, qualifications, audited, begun.elapsed().as_secs_f64())?
        }
    };
    job.finish(&report)
}

impl Qualifying {
    /// Reads what was assigned.
    fn of(job: &Job, work: &QualifyWork) -> Result<Self, Failure> {
        let domain = job.domain()?;
        let Loaded {
            instances,
            text: source,
            datasets,
        } = source::load(&job.store, &work.source, work.parts.as_ref(), &domain)?;
        let settings = serde_json::json!([work.qualification, work.sandbox]).to_string();
        Ok(Self {
            name: work.suite.clone(),
            origin: QualificationOrigin {
                domain: domain.digest.clone(),
                source,
                settings,
            },
            domain,
            instances,
            datasets,
            spec: work.qualification,
            thresholds: Thresholds::from(&work.qualification),
            limits: limits(&work.sandbox),
            audits: work.source.audit.is_some(),
        })
    }

    /// Audits the tasks where their source asks for it. The repaired ones take their place. Returns the defects by kind.
    fn audit(&mut self, job: &mut Job) -> Result<Vec<Finding>, Failure> {
        if !self.audits {
            return Ok(Vec::new());
        }
        let instances = std::mem::take(&mut self.instances);
        job.progress
            .stage("auditing tasks", "tasks", instances.len() as u64);
        let inputs = self.origin.inputs();
        let (repaired, found) = audited::audit(
            job,
            &self.domain,
            (self.name.as_str(), inputs),
            instances,
            &self.limits,
        )?;
        self.instances = repaired;
        Ok(found)
    }

    /// Returns the report of an earlier run when its suite is still in the store.
    fn finished(&self, job: &Job) -> Result<Option<QualifyReport>, Failure> {
        let done = job
            .store
            .find_artifact(QualificationOrigin::KIND, &self.origin.inputs())?;
        let Some(done) = done else {
            return Ok(None);
        };
        let report: QualifyReport = job.store.get_json(&done.digest)?;
        let suite = match &report.digest {
            Some(digest) => QualifiedSuite::object(&job.store, digest)?,
            None => None,
        };
        Ok(suite.map(|_| report))
    }

    /// Qualifies every task, batch by batch, where its dataset does not come with the qualification. A ledger keeps finished
    /// batches for a resume.
    fn qualify(&self, job: &mut Job) -> Result<Vec<Qualification>, Failure> {
        let tasks: Vec<&Task> = self.instances.iter().map(|one| &one.task).collect();
        let known = self.known(&tasks, &qualifications(&job.store, &self.datasets)?);
        tracing::info!(
            tasks = tasks.len(),
            taken_over = known.iter().flatten().count(),
            "qualifications taken over from the datasets"
        );
        let threads = job.threads().clamp(1, tasks.len().max(1));
        let mut ledger = self.ledger(job)?;
        let mut qualifier = Qualifier::open(
            &self.domain,
            self.spec.seed,
            &self.thresholds,
            &self.limits,
            threads,
        )?;
        job.progress
            .stage("qualifying checkers", "checkers", tasks.len() as u64);
        let mut found: Vec<Qualification> = Vec::with_capacity(tasks.len());
        let size = BATCH * threads;
        for (batch, known) in tasks.chunks(size).zip(known.chunks(size)) {
            found.extend(qualify_batch(
                &mut qualifier,
                &mut ledger,
                found.len(),
                (batch, known),
            )?);
            let qualified = found.iter().filter(|q| q.qualified).count();
            job.progress.figure("checkers", found.len() as u64);
            job.progress.figure("qualified", qualified as u64);
            job.progress.at(found.len() as u64);
            job.stop.check()?;
        }
        Ok(found)
    }

    /// Returns the qualification of each task that `made` has under this suite's domain, seed, thresholds and limits.
    fn known(&self, tasks: &[&Task], made: &Qualifications) -> Vec<Option<Qualification>> {
        if made.by_key.is_empty() {
            return vec![None; tasks.len()];
        }
        let (domain, seed) = (&self.domain.digest, self.spec.seed);
        let of = |task: &&Task| {
            let key = qualification_key(domain, task, seed, &self.thresholds, &self.limits);
            made.by_key.get(&key.ok()?).cloned()
        };
        tasks.iter().map(of).collect()
    }

    fn ledger(&self, job: &Job) -> Result<Ledger, Failure> {
        let key = Artifact::key(&self.origin.inputs());
        let name = format!("qualify-{}.jsonl", key.short());
        Ledger::open(job.assignment.work.join(name)).map_err(Failure::infra)
    }

    /// Puts the suite into the store, and the report by which it is found to be done.
    fn publish(
        self,
        job: &Job,
        qualifications: Vec<Qualification>,
        audited: Vec<Finding>,
        seconds: f64,
    ) -> Result<QualifyReport, Failure> {
        let Self {
            name,
            domain,
            instances,
            origin,
            ..
        } = self;
        let tasks: Vec<&Task> = instances.iter().map(|one| &one.task).collect();
        let mut suite = aggregate(&domain, &tasks, &qualifications);
        suite.seconds = seconds;
        let trusted = instances.into_iter().zip(&qualifications);
        let mut trusted: Vec<Instance> = trusted
            .filter(|(_, q)| q.qualified)
            .map(|(instance, _)| instance)
            .collect();
        splits::divide(&mut trusted, &domain);
        let suite = QualifiedSuite {
            instances: trusted,
            suite,
            qualifications,
        };
        suite.publish(&job.store, &name)?;
        let report = QualifyReport {
            audited,
            ..report(&suite.suite)
        };
        let object = job.store.put_json(&report)?;
        let kind = QualificationOrigin::KIND;
        job.store
            .put_artifact(&Artifact::new(kind, name, object, origin.inputs()))?;
        Ok(report)
    }
}

/// Reads the qualifications that were made along with these datasets.
fn qualifications(store: &Store, datasets: &[Digest]) -> Result<Qualifications, Failure> {
    let mut all = Qualifications::default();
    for dataset in datasets {
        match Qualifications::find(store, dataset) {
            Ok(made) => all.by_key.extend(made.by_key),
            Err(ArtifactError::Store(error)) => return Err(error.into()),
            Err(error) => tracing::warn!("the checkers are qualified again: {error}"),
        }
    }
    Ok(all)
}

/// Qualifies the tasks of one batch that have no known qualification, or takes the batch from the ledger. `first` is the number
/// of its first task.
fn qualify_batch(
    qualifier: &mut Qualifier,
    ledger: &mut Ledger,
    first: usize,
    (batch, known): (&[&Task], &[Option<Qualification>]),
) -> Result<Vec<Qualification>, Failure> {
    let keys: Vec<String> = (first..)
        .zip(batch)
        .map(|(number, task)| format!("{number}/{}", task.id))
        .collect();
    let finished = keys
        .iter()
        .map(|key| ledger.get(key))
        .collect::<Result<Option<Vec<Qualification>>, _>>();
    if let Some(finished) = finished.map_err(Failure::infra)? {
        return Ok(finished);
    }
    let new = batch.iter().zip(known).filter(|(_, known)| known.is_none());
    let new: Vec<&Task> = new.map(|(task, _)| *task).collect();
    let mut made = qualifier.qualify(&new, &|_| ())?.into_iter();
    let next = |known: &Option<Qualification>| known.clone().or_else(|| made.next());
    let found: Vec<Qualification> = known.iter().filter_map(next).collect();
    let lines = keys.iter().map(String::as_str).zip(&found);
    ledger.append_all(lines).map_err(Failure::infra)?;
    Ok(found)
}

fn report(suite: &Suite) -> QualifyReport {
    let quarantined = suite.quarantined.iter();
    let warnings = suite.warnings.iter();
    QualifyReport {
        checkers: suite.checkers as u64,
        qualified: suite.qualified as u64,
        mutation_score: suite.mutation_score,
        nothing_passes: suite.nothing_passes as u64,
        flake: suite.flake,
        p95_ms: suite.p95_ms,
        digest: Some(suite.digest.clone()),
        quarantined: findings(quarantined.map(|entry| (&*entry.task, &*entry.reason))),
        warnings: findings(warnings.map(|entry| (&*entry.task, &*entry.warning))),
        audited: Vec::new(),
        endpoints: Vec::new(),
    }
}

/// Counts tasks by what was found of them.
fn findings<'a>(of_tasks: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<Finding> {
    let mut all: BTreeMap<String, Finding> = BTreeMap::new();
    for (task, said) in of_tasks {
        let reason = shorten(&general(said), 160);
        let entry = all.entry(reason.clone()).or_insert_with(|| Finding {
            reason,
            count: 0,
            example: Some(shorten(task, 80)),
        });
        entry.count += 1;
    }
    all.into_values().collect()
}

fn limits(spec: &SandboxLimits) -> Limits {
    Limits {
        cpu: spec.wall.duration(),
        memory_bytes: spec.memory.as_bytes(),
        recursion: spec.recursion,
        output_bytes: spec.output.as_bytes(),
        host_calls: spec.host_calls,
    }
}

impl From<Lost> for Failure {
    fn from(lost: Lost) -> Self {
        WorldError::from(lost).into()
    }
}

impl From<WorldError> for Failure {
    fn from(error: WorldError) -> Self {
        match error.is_final() {
            true => Self::Input(error.to_string()),
            false => Self::Infra(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use agoge_contract::Reason;

    use super::*;

    #[test]
    fn like_findings_are_counted_once_with_a_task() {
        let all = [
            ("a", "call 1 (ring) changes nothing"),
            ("b", "call 2 (ring) changes nothing"),
            ("c", "too slow"),
        ];
        let found = findings(all.into_iter());
        let told: Vec<(&str, u64, Option<&str>)> = found
            .iter()
            .map(|one| (one.reason.as_str(), one.count, one.example.as_deref()))
            .collect();
        assert_eq!(
            told,
            [
                ("call # (ring) changes nothing", 2, Some("a")),
                ("too slow", 1, Some("c"))
            ]
        );
    }

    #[test]
    fn a_run_that_the_sandbox_lost_is_a_fault_of_the_surroundings() {
        let failure = Failure::from(Lost("the machine is too busy".into()));
        assert_eq!(failure.reason(), Reason::Infrastructure);
    }
}
