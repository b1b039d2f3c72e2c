//! The audit of a domain's tasks: every gold is played, and each task is held against what it did.
//!
//! 1. Calls are read by the schemas of their tools.
//! 2. Gold is played to its end, once more, and without synchronisation where the domain has any.
//! 3. The task is checked by itself: the empty trajectory, its own checks, the values that it needs, the policy's case.
//! 4. The checkers of tasks whose gold works are tried with wrong and with equivalent solutions.
//! 5. Tasks are compared with each other: requests, and records across the splits.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use agoge_checker::{Judge, Qualifier, Thresholds, sees_state};
use agoge_dialogue::ToolCall;
use agoge_sandbox::Limits;
use agoge_world::{Domain, Lost, Solutions, Task, World, WorldError, read_arguments};
use serde_json::Value;

use crate::empty::Verbs;
use crate::finding::{Finding, Findings, Repair, Severity};
use crate::gold;
use crate::kind::Kind;
use crate::knowledge::{Index, Known};
use crate::leak::Touched;
use crate::play::{Attempt, Played, play};
use crate::references::References;
use crate::report::{Checked, checked};
use crate::{alike, empty, needs, policy, weak};

/// A task that is audited.
#[derive(Clone, Debug, Default)]
pub struct Subject {
    /// The task.
    pub task: Task,
    /// True when it is given for training as a whole.
    pub training: bool,
}

/// The settings of an audit.
#[derive(Clone, Debug)]
pub struct Options {
    /// Seed of the wrong solutions.
    pub seed: u64,
    /// The number of wrong solutions, and the share of them that must fail. With no mutants, checkers are not tried.
    pub thresholds: Thresholds,
    /// Limits of one run in the sandbox.
    pub limits: Limits,
    /// Worlds that try checkers at a time.
    pub threads: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            seed: 0,
            thresholds: Thresholds {
                repeats: 2,
                ..Thresholds::default()
            },
            limits: Limits::default(),
            threads: 1,
        }
    }
}

/// The outcome of an audit.
#[derive(Clone, Debug)]
pub struct Audited {
    /// All findings, in the order of the tasks.
    pub findings: Findings,
    /// The check made for each kind, and what it could not see.
    pub checked: Vec<Checked>,
}

/// A task with what its gold did.
struct Case<'a> {
    task: &'a Task,
    played: Option<Box<Played>>,
    findings: Findings,
}

/// Audits the tasks of a domain. `progress` hears how many are done.
///
/// # Errors
/// The tools do not start, or the sandbox gives no result.
pub fn audit(
    domain: &Arc<Domain>,
    subjects: &[Subject],
    options: &Options,
    progress: &(dyn Fn(usize) + Sync),
) -> Result<Audited, WorldError> {
    let mut world = World::open(domain.clone(), options.limits.clone())?;
    let tasks: Vec<&Task> = subjects.iter().map(|one| &one.task).collect();
    let (mut verbs, mut touched) = (Verbs::default(), Touched::default());
    let mut cases = Vec::with_capacity(tasks.len());
    for (at, task) in tasks.iter().enumerate() {
        let case = begun(&mut world, task)?;
        if let Some(played) = &case.played {
            verbs.learn(played);
            touched.add(domain, at, task, played);
        }
        cases.push(case);
    }
    let index = Index::of(domain);
    let mut single = Single {
        domain: domain.clone(),
        unsynced: unsynced(domain, &options.limits)?,
        world,
        judge: Judge::new(),
        verbs,
        common: needs::common(domain, &index),
        references: References::of(domain, &tasks),
        solutions: Solutions::new(domain),
    };
    for (done, case) in (1..).zip(&mut cases) {
        if let Some(played) = &case.played {
            let found = single.check(case.task, played)?;
            case.findings.extend(found);
        }
        progress(done);
    }
    tried(domain, &mut cases, options)?;
    let mut findings: Findings = cases.into_iter().flat_map(|case| case.findings).collect();
    findings.extend(alike::check(&tasks));
    findings.extend(touched.check(&tasks));
    let order: HashMap<&str, usize> = tasks
        .iter()
        .zip(0..)
        .map(|(task, at)| (task.id.as_str(), at))
        .collect();
    findings.sort_by_key(|one| (order.get(one.task.as_str()).copied(), one.kind));
    Ok(Audited {
        checked: checked(domain, &tasks, options),
        findings,
    })
}

/// Reads a task's calls by their schemas and plays its gold.
fn begun<'a>(world: &mut World, task: &'a Task) -> Result<Case<'a>, Lost> {
    let mut findings = schemas(world.domain(), task);
    let played = match play(world, task)? {
        Attempt::Played(played) => {
            let known: HashSet<String> = findings.iter().map(|one| one.place.clone()).collect();
            let failing = gold::failing(task, &played).into_iter();
            findings.extend(failing.filter(|one| !known.contains(&one.place)));
            Some(played)
        }
        Attempt::NotBegun(why) => {
            let kind = Kind::CannotBegin;
            findings.push(Finding::new(
                &task.id,
                kind,
                Severity::Error,
                why,
                Repair::Quarantine,
            ));
            None
        }
    };
    Ok(Case {
        task,
        played,
        findings,
    })
}

/// Reads the calls of gold by the schemas of their tools.
fn schemas(domain: &Domain, task: &Task) -> Findings {
    let mut found = Vec::new();
    for (number, call) in (1_u32..).zip(&task.gold) {
        let place = format!("gold[{number}]");
        let error = |kind, evidence: String| {
            let finding = Finding::new(
                &task.id,
                kind,
                Severity::Error,
                evidence,
                Repair::Quarantine,
            );
            finding.at(place.clone())
        };
        let Some(tool) = domain.tool(&call.name) else {
            let evidence = format!("there is no tool {}", call.name);
            found.push(error(Kind::UnknownTool, evidence));
            continue;
        };
        match read_arguments(tool, &call.arguments) {
            Err(_) if task.fails_at(number as usize) => {}
            Err(problem) => found.push(error(
                Kind::WrongArgument,
                format!("{}: {problem}", call.name),
            )),
            Ok(read) => {
                let finding = coerced(&task.id, number, call, read);
                found.extend(finding.map(|one| one.at(place)));
            }
        }
    }
    for name in task.asserts.iter().map(|one| &one.name) {
        if domain.function(name).is_none() && domain.servers.is_none() {
            let evidence = format!("an assertion calls {name}, and there is no such function");
            let kind = Kind::UnknownTool;
            found.push(Finding::new(
                &task.id,
                kind,
                Severity::Error,
                evidence,
                Repair::Quarantine,
            ));
        }
    }
    found
}

/// Finds a call whose values have other types than its tool asks for.
pub(crate) fn coerced(
    task: &str,
    number: u32,
    call: &ToolCall,
    read: serde_json::Map<String, Value>,
) -> Option<Finding> {
    let (given, read) = (Value::Object(call.arguments.clone()), Value::Object(read));
    if kept(&given, &read) {
        return None;
    }
    let evidence = format!("{} takes {read}, and gold writes {given}", call.name);
    let Value::Object(arguments) = read else {
        return None;
    };
    let repair = Repair::Coerce {
        call: number,
        arguments,
    };
    let kind = Kind::WrongArgument;
    Some(Finding::new(
        task,
        kind,
        Severity::Warning,
        evidence,
        repair,
    ))
}

/// Returns true when a value was read as it is; defaults may have been added, and numbers may have another kind.
fn kept(given: &Value, read: &Value) -> bool {
    match (given, read) {
        (Value::Number(one), Value::Number(two)) => one.as_f64() == two.as_f64(),
        (Value::Array(one), Value::Array(two)) => {
            one.len() == two.len() && one.iter().zip(two).all(|(one, two)| kept(one, two))
        }
        (Value::Object(one), Value::Object(two)) => one
            .iter()
            .all(|(key, one)| two.get(key).is_some_and(|two| kept(one, two))),
        (one, two) => one == two,
    }
}

/// Opens the domain without its synchronisation; `None` where it has none.
fn unsynced(domain: &Arc<Domain>, limits: &Limits) -> Result<Option<World>, WorldError> {
    if !domain.sync {
        return Ok(None);
    }
    let mut without = Domain::clone(domain);
    without.sync = false;
    World::open(Arc::new(without), limits.clone()).map(Some)
}

/// The checks of one task by itself.
struct Single<'a> {
    domain: Arc<Domain>,
    world: World,
    unsynced: Option<World>,
    judge: Judge,
    verbs: Verbs,
    common: Known<'a>,
    references: References,
    solutions: Solutions<'a>,
}

impl Single<'_> {
    fn check(&mut self, task: &Task, played: &Played) -> Result<Findings, Lost> {
        let (world, judge) = (&mut self.world, &mut self.judge);
        let mut found = Vec::new();
        found.extend(gold::again(world, task, played)?);
        found.extend(gold::own_checks(world, judge, task, played)?);
        found.extend(empty::check(world, judge, task, played, &self.verbs)?);
        found.extend(needs::check(world, task, played, &self.common));
        if let Some(unsynced) = &mut self.unsynced {
            found.extend(gold::unsynced(unsynced, task, played)?);
        }
        found.extend(self.references.check(&self.domain, task, played));
        found.extend(policy::check(&self.solutions, task, played));
        Ok(found)
    }
}

/// Tries the checkers of the tasks whose gold works.
fn tried(
    domain: &Arc<Domain>,
    cases: &mut [Case<'_>],
    options: &Options,
) -> Result<(), WorldError> {
    if options.thresholds.mutants == 0 || !sees_state(domain) {
        return Ok(());
    }
    let broken = |one: &Finding| {
        let kinds = [
            Kind::GoldFails,
            Kind::GoldFailsChecker,
            Kind::UnknownTool,
            Kind::WrongArgument,
            Kind::WrongRefusal,
        ];
        one.severity == Severity::Error && kinds.contains(&one.kind)
    };
    let mut places = Vec::new();
    let mut tasks = Vec::new();
    for (at, case) in cases.iter().enumerate() {
        if let Some(played) = &case.played
            && !case.findings.iter().any(broken)
        {
            places.push(at);
            tasks.push(derived(case.task, played));
        }
    }
    let threads = options.threads.clamp(1, tasks.len().max(1));
    let mut qualifier = Qualifier::open(
        domain,
        options.seed,
        &options.thresholds,
        &options.limits,
        threads,
    )?;
    let found = qualifier.qualify(&tasks, &|_| ())?;
    for ((at, task), one) in places.into_iter().zip(&tasks).zip(&found) {
        cases[at]
            .findings
            .extend(weak::check(task, one, &options.thresholds));
    }
    Ok(())
}

/// The task as its checker is tried: with the calls that fail, and as a refusal where gold changes and says nothing, so that the
/// empty trajectory, which is reported by itself, does not count against the checker again.
fn derived(task: &Task, played: &Played) -> Task {
    let playable = played.playable(task);
    let refusal = task.refusal || (!played.acts() && agoge_checker::only_state(task));
    Task {
        refusal,
        ..playable
    }
}
