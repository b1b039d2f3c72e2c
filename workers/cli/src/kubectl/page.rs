//! One page about an object: how it is, why it is not ready and what to do, its children, its figures, the last events. Pure.

use std::collections::BTreeMap;

use agoge_controller::observe::{JobFacts, PodFacts, state};
use agoge_crds::checker_suite::CheckerSuiteStatus;
use agoge_crds::shared::FailureRule;
use agoge_crds::synthesis_job::StrategyStatus;
use agoge_crds::{
    Condition, GRPORunStatus, Manifest, RunStatus, SynthesisJobStatus, Timestamp, conditions as c,
};
use agoge_plan::ChildState;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::ResourceExt;

use super::cluster::id;
use super::{explain, lineage};
use crate::table;

/// Events shown at most.
const EVENTS: usize = 8;

/// The input of a page.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The object.
    pub object: Manifest,
    /// Its Jobs.
    pub jobs: Vec<Job>,
    /// Their pods.
    pub pods: Vec<Pod>,
    /// Events of the object, its Jobs and pods.
    pub events: Vec<Event>,
}

/// The page.
#[must_use]
pub fn page(seen: &Seen, now: Timestamp) -> String {
    let object = &seen.object;
    let run = run(object);
    let mut text = format!("{}   {}", id(object), head(object, &run, now));
    text.push('\n');
    for line in why(&run) {
        text.push_str(&line);
        text.push('\n');
    }
    section(&mut text, "conditions", &conditions(&run, now));
    section(&mut text, "children", &children(seen, &run));
    section(&mut text, "figures", &figures(object));
    if let Manifest::SynthesisJob(job) = object
        && let Some(table) = job.status.as_ref().and_then(lineage::table)
    {
        section(&mut text, "lineage", &table);
    }
    if let Some(table) = table::of(&[object]).first() {
        section(&mut text, "evaluation", table);
    }
    section(&mut text, "last events", &events(seen, now));
    text
}

/// One line for each object.
#[must_use]
pub fn overview(objects: &[Manifest], now: Timestamp) -> String {
    let mut rows = vec![["OBJECT", "PHASE", "PROGRESS", "ACTIVE", "WHY"].map(str::to_owned)];
    rows.extend(objects.iter().map(|object| {
        let run = run(object);
        let why = telling(&run).map_or_else(String::new, |condition| {
            c::shorten(&format!("{}: {}", condition.reason, condition.message), 100)
        });
        [
            id(object),
            format!("{:?}", run.phase),
            progress(object),
            span(run.active(now).as_secs()),
            why,
        ]
    }));
    table::columns(&rows)
}

fn section(text: &mut String, name: &str, body: &str) {
    if body.is_empty() {
        return;
    }
    text.push_str(&format!("\n{name}\n"));
    for line in body.lines() {
        text.push_str(&format!("  {line}\n"));
    }
}

/// The life cycle's part of a status; empty before the operator has looked.
#[must_use]
pub fn run(object: &Manifest) -> RunStatus {
    match object {
        Manifest::SynthesisJob(object) => object.status.as_ref().map(|s| s.run.clone()),
        Manifest::CheckerSuite(object) => object.status.as_ref().map(|s| s.run.clone()),
        Manifest::GRPORun(object) => object.status.as_ref().map(|s| s.run.clone()),
    }
    .unwrap_or_default()
}

fn rules(object: &Manifest) -> &[FailureRule] {
    match object {
        Manifest::SynthesisJob(object) => &object.spec.worker.failure_rules,
        Manifest::CheckerSuite(object) => &object.spec.worker.failure_rules,
        Manifest::GRPORun(object) => &object.spec.worker.failure_rules,
    }
}

fn created(object: &Manifest) -> Option<Timestamp> {
    let meta = match object {
        Manifest::SynthesisJob(object) => &object.metadata,
        Manifest::CheckerSuite(object) => &object.metadata,
        Manifest::GRPORun(object) => &object.metadata,
    };
    meta.creation_timestamp.as_ref().map(|time| time.0)
}

fn head(object: &Manifest, run: &RunStatus, now: Timestamp) -> String {
    let mut parts = vec![format!("{:?}", run.phase)];
    let progress = progress(object);
    if !progress.is_empty() {
        parts.push(progress);
    }
    if let Some(created) = created(object) {
        parts.push(format!("age {}", ago(created, now)));
    }
    parts.push(format!("active {}", span(run.active(now).as_secs())));
    parts.join("   ")
}

/// Returns an object's progress towards its target.
#[must_use]
pub fn progress(object: &Manifest) -> String {
    match object {
        Manifest::SynthesisJob(job) => job.status.as_ref().map_or_else(String::new, |s| {
            format!("{}/{} accepted", s.accepted, s.target)
        }),
        Manifest::CheckerSuite(suite) => suite.status.as_ref().map_or_else(String::new, |s| {
            format!("{}/{} qualified", s.qualified, s.checkers)
        }),
        Manifest::GRPORun(run) => {
            run.status
                .as_ref()
                .map_or_else(String::new, |s| match (&s.stage, &s.pass1) {
                    (Some(stage), _) if s.total > 0 => format!("{stage} {}/{}", s.step, s.total),
                    (Some(stage), _) => format!("{stage} {}", s.step),
                    (None, Some(pass)) => format!("pass^1 {pass}"),
                    (None, None) => String::new(),
                })
        }
    }
}

/// The condition that says what stands in the way, or how it ended.
fn telling(run: &RunStatus) -> Option<&Condition> {
    let is = |type_: &str, status: &str| {
        c::get(&run.conditions, type_).filter(|condition| condition.status == status)
    };
    is(c::FAILED, "True")
        .or_else(|| is(c::COMPLETE, "True"))
        .or_else(|| is(c::SUSPENDED, "True"))
        .or_else(|| is(c::ACCEPTED, "False"))
        .or_else(|| is(c::STALLED, "True"))
        .or_else(|| is(c::PROGRESSING, "True"))
}

/// Why it is not ready, and what to do about it.
fn why(run: &RunStatus) -> Vec<String> {
    let Some(condition) = telling(run) else {
        return vec!["why: no status yet; is the operator running?".to_owned()];
    };
    let calm = condition.type_ == c::COMPLETE
        || (condition.type_ == c::PROGRESSING && condition.reason == c::reason::RUNNING);
    let mut lines = vec![];
    if !calm {
        lines.push(format!("why: {}: {}", condition.reason, condition.message));
        let meanings = explain::reasons(&condition.reason);
        lines.extend(
            meanings
                .iter()
                .map(|meaning| &meaning.remedy)
                .find(|remedy| !remedy.is_empty())
                .map(|remedy| format!("do:  {remedy}")),
        );
    } else if !condition.message.is_empty() {
        lines.push(format!("{}: {}", condition.reason, condition.message));
    }
    lines
}

/// The conditions that say more than that nothing is wrong.
fn conditions(run: &RunStatus, now: Timestamp) -> String {
    let rows: Vec<[String; 4]> = run
        .conditions
        .iter()
        .filter(|condition| condition.status == "True" || condition.type_ == c::ACCEPTED)
        .map(|condition| {
            [
                format!("{} {}", condition.type_, condition.status),
                condition.reason.clone(),
                ago(condition.last_transition_time.0, now),
                c::shorten(&condition.message, 120),
            ]
        })
        .collect();
    table::columns(&rows)
}

/// A line for each Job, and for each child whose Job is gone.
fn children(seen: &Seen, run: &RunStatus) -> String {
    let pods: Vec<PodFacts> = seen.pods.iter().filter_map(PodFacts::of).collect();
    let mut jobs: Vec<JobFacts> = seen.jobs.iter().filter_map(JobFacts::of).collect();
    jobs.sort_by(|a, b| (&a.component, &a.key, a.attempt).cmp(&(&b.component, &b.key, b.attempt)));
    let mut rows = vec![["ROLE", "JOB", "TRY", "PODS", "STATE", "LAST WORDS"].map(str::to_owned)];
    for job in &jobs {
        let own: Vec<&PodFacts> = pods.iter().filter(|pod| pod.job == job.uid).collect();
        let refused = refused(seen, &job.name);
        let state = state(
            job,
            &own,
            &BTreeMap::new(),
            refused.as_deref(),
            rules(&seen.object),
        );
        let ready = own
            .iter()
            .filter(|pod| {
                pod.running || pod.ended.as_ref().is_some_and(|ended| ended.exit_code == 0)
            })
            .count();
        let (state, words) = told(&state);
        rows.push([
            job.component.clone(),
            job.name.clone(),
            (job.attempt + 1).to_string(),
            format!("{ready}/{}", job.shards),
            state,
            words,
        ]);
    }
    for (key, attempts) in &run.attempts {
        if jobs.iter().all(|job| &job.key != key) {
            let retry = attempts
                .retry_at
                .as_ref()
                .map_or_else(String::new, |at| format!("next try at {}", at.0));
            let failed = attempts.reason.clone().unwrap_or_default();
            let state = format!("no Job; {} failed {failed}", attempts.failures);
            rows.push([
                key.clone(),
                "-".into(),
                (attempts.current + 1).to_string(),
                "-".into(),
                state,
                retry,
            ]);
        }
    }
    if rows.len() == 1 {
        return String::new();
    }
    table::columns(&rows)
}

/// Why a Job's pods were refused: only an event says so.
fn refused(seen: &Seen, job: &str) -> Option<String> {
    seen.events
        .iter()
        .filter(|event| event.involved_object.name.as_deref() == Some(job))
        .find(|event| event.reason.as_deref() == Some("FailedCreate"))
        .and_then(|event| event.message.clone())
}

fn told(state: &ChildState) -> (String, String) {
    match state {
        ChildState::Absent => ("absent".into(), String::new()),
        ChildState::Pending { reason, message } => (
            reason.clone().unwrap_or_else(|| "starting".into()),
            message.clone(),
        ),
        ChildState::Running { .. } => ("running".into(), String::new()),
        ChildState::Succeeded { .. } => ("succeeded".into(), String::new()),
        ChildState::Failed {
            exit_code,
            reason,
            message,
            disrupted,
            ..
        } => {
            let code = exit_code.map_or_else(String::new, |code| format!(", exit code {code}"));
            let moved = if *disrupted { ", moved away" } else { "" };
            (format!("failed: {reason}{code}{moved}"), message.clone())
        }
    }
}

/// Returns the figures of the last reports, as the status keeps them.
fn figures(object: &Manifest) -> String {
    let figures = match object {
        Manifest::SynthesisJob(job) => job.status.as_ref().map(synthesis),
        Manifest::CheckerSuite(suite) => suite.status.as_ref().map(qualification),
        Manifest::GRPORun(run) => run.status.as_ref().map(training),
    };
    figures.unwrap_or_default()
}

fn synthesis(status: &SynthesisJobStatus) -> String {
    let head = [
        "STRATEGY",
        "ACCEPTED",
        "VALID",
        "TRIED",
        "TOKENS",
        "COST",
        "ENDED",
        "REJECTED BY",
    ];
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(
        status
            .strategies
            .iter()
            .map(|(name, of)| strategy(name, of)),
    );
    let mut text = match rows.len() {
        1 => String::new(),
        _ => table::columns(&rows),
    };
    text.push_str(&words(&[
        ("yield", status.yield_.clone()),
        ("rate", status.rate.clone()),
        ("eta", status.eta.clone()),
        ("dataset", status.digest.clone()),
    ]));
    text
}

fn strategy(name: &str, of: &StrategyStatus) -> [String; 8] {
    let mut rejected: Vec<(&String, &u64)> = of.rejected.iter().collect();
    rejected.sort_by(|a, b| b.1.cmp(a.1));
    let rejected: Vec<String> = rejected
        .iter()
        .map(|(gate, n)| format!("{gate} {n}"))
        .collect();
    [
        name.to_owned(),
        format!("{}/{}", of.accepted, of.target),
        of.valid.to_string(),
        of.attempted.to_string(),
        of.tokens.to_string(),
        format!("{:.2}", of.cost),
        of.ended.clone().unwrap_or_else(|| "-".into()),
        rejected.join(", "),
    ]
}

fn qualification(status: &CheckerSuiteStatus) -> String {
    let idle = (status.nothing_passes > 0).then(|| format!("{} tasks", status.nothing_passes));
    let mut text = words(&[
        ("mutation score", status.mutation_score.clone()),
        ("passed by doing nothing", idle),
        ("flake", status.flake.clone()),
        ("p95", status.p95.clone()),
        ("suite", status.digest.clone()),
    ]);
    text.push_str(&table::findings(status));
    for score in &status.endpoints {
        text.push_str(&format!(
            "{}: pass^1 {:.3} of {} tasks\n",
            score.endpoint, score.pass1, score.tasks
        ));
    }
    text
}

fn training(status: &GRPORunStatus) -> String {
    let mut text = words(&[
        ("reward", status.reward.clone()),
        ("kl", status.kl.clone()),
        ("entropy", status.entropy.clone()),
        ("mixed", status.mixed.clone()),
        ("tok/s", status.tokens_per_second.map(|n| n.to_string())),
        ("checkpoint", status.checkpoint.map(|n| n.to_string())),
        ("best", status.best.clone()),
        ("policy", status.digest.clone()),
    ]);
    if !status.stages.is_empty() {
        let head = ["STAGE DONE", "STEPS", "TRAINED TOKENS", "SECONDS"];
        let stages = status.stages.iter().map(|(name, stage)| {
            [
                name.clone(),
                stage.steps.to_string(),
                stage.trained_tokens.to_string(),
                format!("{:.0}", stage.seconds),
            ]
        });
        let rows: Vec<_> = std::iter::once(head.map(str::to_owned))
            .chain(stages)
            .collect();
        text.push_str(&table::columns(&rows));
    }
    text
}

/// `a 1   b 2` of those that are known, as a line.
fn words(figures: &[(&str, Option<String>)]) -> String {
    let known: Vec<String> = figures
        .iter()
        .filter_map(|(name, value)| value.as_ref().map(|value| format!("{name} {value}")))
        .collect();
    if known.is_empty() {
        String::new()
    } else {
        format!("{}\n", known.join("   "))
    }
}

/// The last events, oldest first.
fn events(seen: &Seen, now: Timestamp) -> String {
    let mut events: Vec<(Timestamp, &Event)> = seen
        .events
        .iter()
        .filter_map(|event| Some((when(event)?, event)))
        .collect();
    events.sort_by_key(|(at, event)| (*at, event.name_any()));
    let first = events.len().saturating_sub(EVENTS);
    let rows: Vec<[String; 5]> = events[first..]
        .iter()
        .map(|(at, event)| {
            let about = &event.involved_object;
            let of = |text: &Option<String>| text.clone().unwrap_or_default();
            let count = event
                .series
                .as_ref()
                .and_then(|series| series.count)
                .or(event.count)
                .filter(|count| *count > 1);
            [
                ago(*at, now),
                of(&event.type_),
                format!("{}/{}", of(&about.kind).to_lowercase(), of(&about.name)),
                of(&event.reason),
                format!(
                    "{}{}",
                    c::shorten(&of(&event.message), 160),
                    count.map_or_else(String::new, |n| format!(" (x{n})"))
                ),
            ]
        })
        .collect();
    table::columns(&rows)
}

fn when(event: &Event) -> Option<Timestamp> {
    let series = event
        .series
        .as_ref()
        .and_then(|series| series.last_observed_time.as_ref());
    series
        .or(event.event_time.as_ref())
        .map(|time| time.0)
        .into_iter()
        .chain(event.last_timestamp.as_ref().map(|time| time.0))
        .max()
        .or_else(|| {
            event
                .metadata
                .creation_timestamp
                .as_ref()
                .map(|time| time.0)
        })
}

fn ago(then: Timestamp, now: Timestamp) -> String {
    span(u64::try_from(now.as_second() - then.as_second()).unwrap_or(0))
}

/// A time in one or two units, as kubectl writes ages.
#[must_use]
pub fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds}s"),
        120..600 if !seconds.is_multiple_of(60) => format!("{}m{}s", seconds / 60, seconds % 60),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h{}m", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{}d", seconds / 86_400),
    }
}
