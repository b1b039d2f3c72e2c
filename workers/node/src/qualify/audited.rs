//! The audit of tasks that somebody else made, before their checkers are qualified.

use std::collections::BTreeMap;
use std::sync::Arc;

use agoge_artifacts::{Instance, Stored as _};
use agoge_audit::{
    AuditReport, Options, Severity, SourceOf, Subject, audit as audit_tasks, repair,
};
use agoge_crds::checker_suite::Finding;
use agoge_crds::conditions::shorten;
use agoge_sandbox::Limits;
use agoge_store::Artifact;
use agoge_world::{Domain, Task};

use crate::failure::Failure;
use crate::job::Job;

/// Audits instances, keeps the report in the store under a name and its inputs, and returns the repaired instances and the defects
/// by kind. Wrong solutions are left to qualification, which follows.
///
/// # Errors
/// The sandbox gave no result, the store cannot be written, or no task is left.
pub fn audit(
    job: &Job,
    domain: &Arc<Domain>,
    (name, inputs): (&str, BTreeMap<String, String>),
    instances: Vec<Instance>,
    limits: &Limits,
) -> Result<(Vec<Instance>, Vec<Finding>), Failure> {
    let subjects: Vec<Subject> = instances.iter().map(subject).collect();
    let mut options = Options {
        limits: limits.clone(),
        ..Options::default()
    };
    options.thresholds.mutants = 0;
    let audited = audit_tasks(domain, &subjects, &options, &|_| ())?;
    let repaired = repair(&subjects, &audited.findings);
    let rows = repaired.rows;
    let source = SourceOf {
        name: name.to_owned(),
        form: "tasks of a suite".into(),
        domain: Some(domain.digest.clone()),
        ..SourceOf::default()
    };
    let report = AuditReport::new(
        source,
        subjects.len(),
        audited.findings,
        audited.checked,
        repaired.outcome,
    );
    let object = report.put(&job.store)?;
    job.store
        .put_artifact(&Artifact::new(AuditReport::KIND, name, object, inputs))?;
    if rows.is_empty() {
        return Err(Failure::Input(format!(
            "the audit of {} tasks left none; see the artifact `{}` in the store for the reasons",
            subjects.len(),
            AuditReport::KIND
        )));
    }
    let stays = |(at, task): (usize, Task)| {
        let instance = instances.get(at)?;
        // A dialogue belongs to the task as it was.
        let messages = match task.gold == instance.task.gold {
            true => instance.messages.clone(),
            false => Vec::new(),
        };
        Some(Instance {
            task: Task {
                split: instance.task.split,
                ..task
            },
            split: instance.split,
            strategy: instance.strategy.clone(),
            messages,
        })
    };
    let kept = rows.into_iter().filter_map(stays).collect();
    Ok((kept, counted(&report)))
}

/// The task of an instance, with the split that the instance has.
fn subject(instance: &Instance) -> Subject {
    Subject {
        task: Task {
            split: instance.task.split.or(Some(instance.split)),
            ..instance.task.clone()
        },
        ..Subject::default()
    }
}

/// Returns the defects by kind, without notes.
fn counted(report: &AuditReport) -> Vec<Finding> {
    let counts = report.counts.iter();
    let flawed = counts.filter(|(_, count)| count.errors + count.warnings > 0);
    flawed
        .map(|(kind, count)| {
            let mut of = report.findings.iter();
            let first = of.find(|one| one.kind == *kind && one.severity > Severity::Note);
            Finding {
                reason: format!("{}: {}", kind.name(), kind.meaning()),
                count: count.tasks as u64,
                example: first.map(|one| shorten(&one.task, 80)),
            }
        })
        .collect()
}
