//! The report of an audit: the source, how each kind was checked, the counts, the findings, the repaired copy.

use std::collections::{BTreeMap, BTreeSet};

use agoge_artifacts::Stored;
use agoge_artifacts::format::Format;
use agoge_checker::sees_state;
use agoge_world::{Domain, Task};
use serde::{Deserialize, Serialize};

use crate::audit::Options;
use crate::finding::{Finding, Findings, Severity};
use crate::kind::Kind;
use crate::repair::Outcome;

/// The report of an audit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditReport {
    /// The version of Agoge that made it.
    pub agoge: String,
    /// The source of the tasks.
    pub source: SourceOf,
    /// Tasks or rows that were audited.
    pub tasks: usize,
    /// Tasks without any finding but notes.
    pub sound: usize,
    /// The findings by kind.
    pub counts: BTreeMap<Kind, Count>,
    /// The check made for each kind, and what it could not see.
    pub checked: Vec<Checked>,
    /// The repaired copy.
    pub repaired: Outcome,
    /// All findings.
    pub findings: Findings,
}

/// The source of audited tasks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SourceOf {
    /// Its name for readers, such as `tau2-bench airline`.
    pub name: String,
    /// The form that it was read in.
    pub form: String,
    /// The package and its version, where it was installed as one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
    /// The digest of the domain that its gold was played in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// Its files.
    pub files: Vec<SourceFile>,
    /// The command that made the report.
    pub command: String,
}

/// One file of a source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SourceFile {
    /// Its name, without the folder of this machine.
    pub name: String,
    /// Its digest.
    pub digest: String,
}

/// The findings of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// All of them.
    pub findings: usize,
    /// The tasks that have one.
    pub tasks: usize,
    /// Those that are errors.
    pub errors: usize,
    /// Those that are warnings.
    pub warnings: usize,
}

/// The check made for a kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Checked {
    /// The kind.
    pub kind: Kind,
    /// The check, in words.
    pub how: String,
    /// The part that could not be checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unchecked: Option<String>,
}

impl Stored for AuditReport {
    const FORMAT: Format = Format {
        name: "agoge-audit",
        current: 1,
    };
}

impl AuditReport {
    /// The kind of the artifact.
    pub const KIND: &str = "audit";

    /// Makes the report of an audit.
    #[must_use]
    pub fn new(
        source: SourceOf,
        tasks: usize,
        findings: Findings,
        checked: Vec<Checked>,
        repaired: Outcome,
    ) -> Self {
        let flawed: BTreeSet<&str> = findings
            .iter()
            .filter(|one| one.severity > Severity::Note)
            .map(|one| one.task.as_str())
            .collect();
        Self {
            agoge: env!("CARGO_PKG_VERSION").into(),
            source,
            tasks,
            sound: tasks.saturating_sub(flawed.len()),
            counts: counts(&findings),
            checked,
            repaired,
            findings,
        }
    }
}

/// Counts findings by kind.
fn counts(findings: &[Finding]) -> BTreeMap<Kind, Count> {
    let mut all: BTreeMap<Kind, (Count, BTreeSet<&str>)> = BTreeMap::new();
    for one in findings {
        let (count, tasks) = all.entry(one.kind).or_default();
        count.findings += 1;
        count.errors += usize::from(one.severity == Severity::Error);
        count.warnings += usize::from(one.severity == Severity::Warning);
        tasks.insert(&one.task);
    }
    let told = |(kind, (count, tasks)): (Kind, (Count, BTreeSet<&str>))| {
        let tasks = tasks.len();
        (kind, Count { tasks, ..count })
    };
    all.into_iter().map(told).collect()
}

/// Returns how each kind was checked over tasks whose gold can be played.
pub(crate) fn checked(domain: &Domain, tasks: &[&Task], options: &Options) -> Vec<Checked> {
    let state = (!sees_state(domain)).then(|| {
        "the domain's servers do not show their state: only results were compared".to_owned()
    });
    let judged = tasks.iter().filter(|task| !task.judge.is_empty()).count();
    let templated = tasks
        .iter()
        .filter(|task| !task.template.is_empty())
        .count();
    let split = tasks.iter().filter(|task| task.split.is_some()).count();
    let all = tasks.len();
    let one = |kind, how: &str, unchecked: Option<String>| Checked {
        kind,
        how: how.to_owned(),
        unchecked,
    };
    let tried = match options.thresholds.mutants {
        0 => Some("checkers were not tried with wrong solutions".to_owned()),
        _ => state.clone(),
    };
    vec![
        one(
            Kind::EmptyPasses,
            "the task's own checks on a dialogue in which the agent says and calls nothing",
            (judged > 0).then(|| {
                format!(
                    "{judged} of {all} tasks bring statements that a model judges; none was asked"
                )
            }),
        ),
        one(
            Kind::GoldFails,
            "every gold call is made in the world, and gold goes on after one that fails",
            None,
        ),
        one(
            Kind::GoldFailsChecker,
            "the task's own checks on gold, with all required texts said",
            None,
        ),
        one(
            Kind::Nondeterministic,
            "gold is played twice: results and final states",
            state.clone(),
        ),
        one(
            Kind::GoldNoEffect,
            "the differences that gold makes, and the first words of tools that change records in the user's request",
            state,
        ),
        one(
            Kind::OutputsNotReachable,
            "words and numbers of results, records that can be reached, policy and user; sums, differences, small multiples, counts",
            Some("a text that a person would conclude is reported as well".into()),
        ),
        one(
            Kind::WrongArgument,
            "arguments of gold read by the schemas of the tools, at every depth",
            None,
        ),
        one(
            Kind::UnknownTool,
            "names of gold calls and assertions",
            None,
        ),
        one(
            Kind::DanglingReference,
            "ids in arguments that name records in at least 85% of all gold calls",
            None,
        ),
        one(
            Kind::DuplicateTask,
            "requests without case and punctuation, facts, and initial states",
            Some("requests that say the same in other words".into()),
        ),
        one(
            Kind::ContradictoryTask,
            "the same requests, with other calls, texts or assertions",
            Some("requests that say the same in other words".into()),
        ),
        one(
            Kind::UnsyncedGold,
            "gold is played with and without the function that synchronises",
            (!domain.sync).then(|| "the domain has no such function".to_owned()),
        ),
        one(
            Kind::CheckerAccepts,
            "wrong solutions with one edit of gold, as qualification draws them",
            tried.clone(),
        ),
        one(
            Kind::CheckerRejectsEquivalent,
            "reads repeated or exchanged, and writes exchanged that leave the same records",
            tried,
        ),
        one(
            Kind::Leak,
            "records that gold names or changes and those that they belong to, across splits",
            (split < all)
                .then(|| format!("{} of {all} tasks have no split of their own", all - split)),
        ),
        one(
            Kind::PolicyViolation,
            "the case of the task's template that its records and facts are",
            policy(templated, all),
        ),
        one(
            Kind::MissingCall,
            "the calls of that case",
            policy(templated, all),
        ),
        one(
            Kind::WrongGold,
            "the calls of that case",
            policy(templated, all),
        ),
        one(
            Kind::WrongOutput,
            "the texts of that case",
            policy(templated, all),
        ),
        one(
            Kind::WrongRefusal,
            "the marks of refusals beside the differences that gold makes, and beside that case",
            None,
        ),
        one(
            Kind::UserImpossible,
            "ids in gold's arguments that neither the user, a result, the policy nor a record that can be reached holds",
            Some("values without digits, dates and amounts".into()),
        ),
        one(
            Kind::CannotBegin,
            "the initial records, calls and history of every task",
            None,
        ),
    ]
}

/// Returns the part of the tasks that no executable policy covers.
fn policy(templated: usize, all: usize) -> Option<String> {
    (templated < all).then(|| {
        format!(
            "{} of {all} tasks have no template",
            all.saturating_sub(templated)
        )
    })
}
