//! Audits of tasks that somebody else made: the counts by kind, and the rows with their evidence and replay.

use agoge_artifacts::Stored as _;
use agoge_audit::{AuditReport, Finding, Severity};
use kube::ResourceExt as _;
use serde_json::{Value, json};

use super::run::Run;
use super::text::{clip, clip_value};

/// Findings that a page shows at most, and calls of each.
const MAX_SHOWN: usize = 60;
const MAX_STEPS: usize = 20;

/// One part for each suite whose tasks were audited.
pub(super) fn part(run: &Run) -> Value {
    run.suites()
        .filter_map(|suite| one(run, &suite.name_any()))
        .collect()
}

fn one(run: &Run, suite: &str) -> Option<Value> {
    let artifact = run
        .newest(AuditReport::KIND)
        .find(|artifact| artifact.name == suite)?;
    let what = format!("the audit of {suite} ({})", AuditReport::FORMAT);
    let report: AuditReport = run.stored(&artifact.digest.to_string(), &what)?;
    let counts: Vec<Value> = report
        .counts
        .iter()
        .map(|(kind, count)| {
            json!({
                "kind": kind.name(), "meaning": kind.meaning(), "tasks": count.tasks, "errors": count.errors,
                "warnings": count.warnings, "findings": count.findings,
            })
        })
        .collect();
    let mut worst: Vec<&Finding> = report.findings.iter().collect();
    worst.sort_by_key(|one| std::cmp::Reverse(one.severity));
    let shown: Vec<Value> = worst.into_iter().take(MAX_SHOWN).map(row).collect();
    Some(json!({
        "name": suite,
        "tasks": report.tasks,
        "sound": report.sound,
        "repaired": report.repaired,
        "counts": counts,
        "findings": report.findings.len(),
        "rows": shown,
    }))
}

fn row(one: &Finding) -> Value {
    let steps = one.replay.iter().take(MAX_STEPS).map(|step| {
        let arguments = clip_value(&Value::Object(step.arguments.clone()));
        json!({"name": step.name, "arguments": arguments, "result": clip(&step.result), "error": step.error})
    });
    json!({
        "task": one.task,
        "kind": one.kind.name(),
        "weight": weight(one.severity),
        "place": one.place,
        "evidence": clip(&one.evidence),
        "replay": steps.collect::<Vec<_>>(),
        "diff": one.diff.iter().take(MAX_STEPS).map(|line| clip(line)).collect::<Vec<_>>(),
        "repair": clip_value(&serde_json::to_value(&one.repair).unwrap_or_default()),
    })
}

fn weight(severity: Severity) -> &'static str {
    match severity {
        Severity::Note => "note",
        Severity::Warning => "warning",
        Severity::Error => "error",
    }
}
