//! Plants defects of eight kinds at random in sound tasks, audits them, and measures precision and recall by kind.
//!
//! `planted COURIER OUT [TAU2]`: the folder of the courier domain, the folder for result.json, and a checkout or package of
//! tau2-bench, whose mock tasks are then used as well. A finding on a row without a defect is a false positive; one of another
//! kind on a row with a defect is a consequence of it and is counted apart. Defects that a source has by itself are taken from
//! an audit of the clean copy: none are allowed in courier, those of tau2-bench are listed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use agoge_audit::{Finding, Kind, Options, Severity, Subject, audit};
use agoge_checker::Plausible;
use agoge_dialogue::ToolCall;
use agoge_dialogue::random::Rng;
use agoge_forms::tau2;
use agoge_sandbox::Limits;
use agoge_world::{Basis, Domain, Mix, Split, Task, World, replay, tasks};
use serde_json::{Value, json};

type Failure = Box<dyn std::error::Error>;

const SEED: u64 = 15;
/// Sound tasks of courier, and defects in all.
const TASKS: usize = 600;
const DEFECTS: usize = 200;
/// Rounds over mock, whose tasks are few, and defects in each.
const ROUNDS: u64 = 10;
const IN_ROUND: usize = 3;
/// Wrong solutions for each checker.
const MUTANTS: usize = 20;

/// The kinds of defects that are planted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Defect {
    CallDropped,
    ArgumentChanged,
    CallRaises,
    OutputUnreachable,
    OtherGold,
    RefusalFlipped,
    ValueLost,
    CheckerWeakened,
}

const ALL: [Defect; 8] = [
    Defect::CallDropped,
    Defect::ArgumentChanged,
    Defect::CallRaises,
    Defect::OutputUnreachable,
    Defect::OtherGold,
    Defect::RefusalFlipped,
    Defect::ValueLost,
    Defect::CheckerWeakened,
];

impl Defect {
    fn name(self) -> &'static str {
        match self {
            Self::CallDropped => "gold call dropped",
            Self::ArgumentChanged => "gold argument changed",
            Self::CallRaises => "gold call raises",
            Self::OutputUnreachable => "output cannot be known",
            Self::OtherGold => "same request, other gold",
            Self::RefusalFlipped => "refusal flagged wrongly",
            Self::ValueLost => "user lacks a needed value",
            Self::CheckerWeakened => "checker weakened",
        }
    }

    /// The kinds of findings that name this defect.
    fn kinds(self) -> &'static [Kind] {
        match self {
            Self::CallDropped => &[Kind::MissingCall, Kind::GoldNoEffect, Kind::EmptyPasses],
            Self::ArgumentChanged => &[Kind::WrongGold, Kind::PolicyViolation],
            Self::CallRaises => &[Kind::GoldFails],
            Self::OutputUnreachable => &[Kind::OutputsNotReachable],
            Self::OtherGold => &[Kind::ContradictoryTask],
            Self::RefusalFlipped => &[Kind::WrongRefusal],
            Self::ValueLost => &[Kind::UserImpossible],
            Self::CheckerWeakened => &[Kind::CheckerAccepts],
        }
    }
}

/// Audited tasks of one round: which rows have which defect, and which are involved in one.
#[derive(Default)]
struct Round {
    name: String,
    tasks: Vec<Task>,
    planted: BTreeMap<String, Defect>,
    /// Rows without a defect that another row contradicts.
    involved: BTreeSet<String>,
    /// Findings of the clean copy, which are no false positives.
    before: BTreeSet<(String, Kind)>,
}

/// The counts of one kind of defect.
#[derive(Default)]
struct Tally {
    planted: usize,
    found: usize,
    missed: Vec<String>,
    false_positives: Vec<String>,
    consequences: usize,
}

fn main() -> Result<(), Failure> {
    let usage = "usage: planted COURIER OUT [TAU2]";
    let courier = std::env::args().nth(1).ok_or(usage)?;
    let out = std::env::args().nth(2).ok_or(usage)?;
    let peer = std::env::args().nth(3);
    let mut tallies: BTreeMap<Defect, Tally> = ALL.map(|one| (one, Tally::default())).into();
    let mut clean = Vec::new();
    let mut planted = 0;
    if let Some(peer) = &peer {
        planted += mock(Path::new(peer), &mut tallies, &mut clean)?;
    }
    let domain = Arc::new(Domain::load(Path::new(&courier))?);
    let mut world = World::open(domain.clone(), Limits::default())?;
    let drawn = tasks(&mut world, Split::TrainRl, Mix::EvenBranches, SEED, TASKS)?;
    for one in found(&domain, &drawn)? {
        clean.push(told("courier", &one));
    }
    let mut round = Round {
        name: "courier".into(),
        tasks: drawn,
        ..Round::default()
    };
    planted += plant(
        &mut world,
        &mut round,
        DEFECTS.saturating_sub(planted),
        SEED,
    )?;
    tally(&round, &found(&domain, &round.tasks)?, &mut tallies);
    write(Path::new(&out), &tallies, planted, &clean, peer.is_some())
}

/// Plants in the tasks of tau2-bench's mock domain, a few in each of several rounds.
fn mock(
    peer: &Path,
    tallies: &mut BTreeMap<Defect, Tally>,
    clean: &mut Vec<Value>,
) -> Result<usize, Failure> {
    let dir = tempfile::tempdir()?;
    let written =
        tau2::import(peer, "mock", true)?.write(&dir.path().join("mock"), Limits::default())?;
    let domain = written.domain;
    let before = found(&domain, &domain.tasks)?;
    clean.extend(before.iter().map(|one| told("mock", one)));
    let before: BTreeSet<(String, Kind)> =
        before.into_iter().map(|one| (one.task, one.kind)).collect();
    let mut world = World::open(domain.clone(), Limits::default())?;
    let mut planted = 0;
    for seed in 0..ROUNDS {
        let mut round = Round {
            name: format!("mock {seed}"),
            tasks: domain.tasks.clone(),
            before: before.clone(),
            ..Round::default()
        };
        planted += plant(&mut world, &mut round, IN_ROUND, SEED + seed)?;
        tally(&round, &found(&domain, &round.tasks)?, tallies);
    }
    Ok(planted)
}

/// Audits tasks, and returns the findings that are no notes.
fn found(domain: &Arc<Domain>, tasks: &[Task]) -> Result<Vec<Finding>, Failure> {
    let subjects: Vec<Subject> = tasks
        .iter()
        .map(|task| Subject {
            task: task.clone(),
            ..Subject::default()
        })
        .collect();
    let mut options = Options {
        threads: std::thread::available_parallelism().map_or(1, usize::from),
        ..Options::default()
    };
    options.thresholds.mutants = MUTANTS;
    let mut findings = audit(domain, &subjects, &options, &|_| ())?.findings;
    findings.retain(|one| one.severity > Severity::Note);
    Ok(findings)
}

/// Plants up to so many defects, the kinds in turn, each in another task. Returns their number.
fn plant(world: &mut World, round: &mut Round, count: usize, seed: u64) -> Result<usize, Failure> {
    let mut rng = Rng::keyed_le(seed, &round.name);
    let plausible = Plausible::of(world.domain());
    let mut free: Vec<usize> = (0..round.tasks.len()).collect();
    rng.shuffle(&mut free);
    let mut kinds = ALL;
    rng.shuffle(&mut kinds);
    let mut copies = Vec::new();
    let mut planted = 0;
    // A kind that fits no free task is passed over.
    let mut idle = 0;
    for defect in kinds.into_iter().cycle() {
        if planted >= count || idle >= ALL.len() {
            break;
        }
        idle += 1;
        let mut made = None;
        for (place, at) in free.iter().enumerate() {
            let task = &round.tasks[*at];
            let known = round.before.iter().any(|(id, _)| *id == task.id);
            if known {
                continue;
            }
            if let Some(task) = spoilt(world, task, defect, &plausible, &mut rng) {
                made = Some((place, *at, task));
                break;
            }
        }
        let Some((place, at, task)) = made else {
            continue;
        };
        free.remove(place);
        idle = 0;
        planted += 1;
        round.planted.insert(task.id.clone(), defect);
        if defect == Defect::OtherGold {
            round.involved.insert(round.tasks[at].id.clone());
            copies.push(task);
        } else {
            round.tasks[at] = task;
        }
    }
    round.tasks.extend(copies);
    Ok(planted)
}

/// Returns the task with a defect; `None` where the task cannot have it so that it could be told.
fn spoilt(
    world: &mut World,
    task: &Task,
    defect: Defect,
    plausible: &Plausible,
    rng: &mut Rng,
) -> Option<Task> {
    let templated = !task.template.is_empty();
    let gold = replay(world, task).ok()?;
    let acts = !gold.diff(&world.domain().clone()).is_empty();
    let mut new = task.clone();
    match defect {
        // Without an executable policy only a solution that loses all effect can be told.
        Defect::CallDropped
            if task.gold.len() == 1 && acts || templated && !task.gold.is_empty() =>
        {
            new.gold.remove(rng.below(task.gold.len()));
        }
        Defect::ArgumentChanged if templated => new.gold = changed(world, task, plausible, rng)?,
        Defect::CallRaises => new.gold = raising(world, task, rng)?,
        Defect::OutputUnreachable => {
            let unknown = (1_000_003 + rng.below(8_000_000)).to_string();
            match new.outputs.len() {
                0 => new.outputs.push(unknown),
                length => new.outputs[rng.below(length)] = unknown,
            }
            if !new.basis.is_empty() && !new.basis.contains(&Basis::Outputs) {
                new.basis.push(Basis::Outputs);
            }
        }
        Defect::OtherGold if acts => {
            new.id.push_str("-again");
            match changed(world, task, plausible, rng) {
                Some(gold) => new.gold = gold,
                None => new.gold.truncate(task.gold.len().saturating_sub(1)),
            }
        }
        Defect::RefusalFlipped if templated || acts => new.refusal = !task.refusal,
        Defect::ValueLost => lose(&mut new, rng)?,
        Defect::CheckerWeakened if acts => match rng.below(3) {
            0 => new.checker = Some("def check(calls, messages):\n    return True\n".into()),
            1 => {
                new.basis = vec![Basis::Judge];
                new.judge.clear();
            }
            _ if task.outputs.is_empty() => return None,
            _ => new.basis = vec![Basis::Outputs],
        },
        _ => return None,
    }
    Some(new)
}

/// Gold with one argument changed to another plausible value, so that it still works.
fn changed(
    world: &mut World,
    task: &Task,
    plausible: &Plausible,
    rng: &mut Rng,
) -> Option<Vec<ToolCall>> {
    let plausible = plausible.with_task(task);
    let domain = world.domain().clone();
    let mut options = Vec::new();
    for (at, call) in task.gold.iter().enumerate() {
        let tool = domain.tool(&call.name)?;
        for (name, value) in &call.arguments {
            for other in plausible.others(&tool.parameters["properties"][name], name, value) {
                options.push((at, name.clone(), other));
            }
        }
    }
    rng.shuffle(&mut options);
    for (at, name, value) in options.into_iter().take(24) {
        let mut new = task.clone();
        new.gold[at].arguments.insert(name, value);
        if replay(world, &new).is_ok() {
            return Some(new.gold);
        }
    }
    None
}

/// Gold with an id that no record has, so that a call raises an error.
fn raising(world: &mut World, task: &Task, rng: &mut Rng) -> Option<Vec<ToolCall>> {
    let domain = world.domain().clone();
    let known = |id: &str| {
        let mut collections = domain.state.collections();
        collections.any(|collection| domain.state.get(collection, id).is_some())
    };
    let mut places: Vec<(usize, String, String)> = Vec::new();
    for (at, call) in task.gold.iter().enumerate() {
        for (name, value) in &call.arguments {
            if let Some(id) = value.as_str().filter(|id| known(id)) {
                places.push((at, name.clone(), id.to_owned()));
            }
        }
    }
    rng.shuffle(&mut places);
    for (at, name, id) in places {
        let shape = |c: char| match c.is_ascii_digit() {
            true => char::from(b'0' + u8::try_from(rng.below(10)).unwrap_or_default()),
            false => c,
        };
        let other: String = id.chars().map(shape).collect();
        let mut new = task.clone();
        new.gold[at].arguments.insert(name, other.clone().into());
        let fails = replay(world, &new).is_err();
        if fails && !known(&other) {
            return Some(new.gold);
        }
    }
    None
}

/// Takes a value of gold out of all that the user says and knows.
fn lose(task: &mut Task, rng: &mut Rng) -> Option<()> {
    let said =
        |text: &str| task.user.instruction.contains(text) || task.user.opening.contains(text);
    let arguments = task.gold.iter().flat_map(|call| call.arguments.values());
    let mut values: Vec<String> = arguments
        .filter_map(Value::as_str)
        .filter(|text| text.chars().filter(char::is_ascii_digit).count() >= 2 && said(text))
        .map(str::to_owned)
        .collect();
    rng.shuffle(&mut values);
    let lost = values.first()?.clone();
    let user = &mut task.user;
    let without = |text: &mut String| *text = text.replace(&lost, "");
    without(&mut user.instruction);
    without(&mut user.opening);
    for fact in &mut user.facts {
        without(&mut fact.value);
        without(&mut fact.answer);
    }
    Some(())
}

/// Compares what was found with what was planted.
fn tally(round: &Round, findings: &[Finding], tallies: &mut BTreeMap<Defect, Tally>) {
    let mut by_task: BTreeMap<&str, BTreeSet<Kind>> = BTreeMap::new();
    for one in findings {
        by_task.entry(&one.task).or_default().insert(one.kind);
    }
    for (defect, tally) in tallies {
        for (id, planted) in &round.planted {
            let kinds = by_task.get(id.as_str());
            let hit =
                kinds.is_some_and(|kinds| defect.kinds().iter().any(|kind| kinds.contains(kind)));
            match (planted == defect, hit) {
                (true, true) => {
                    tally.planted += 1;
                    tally.found += 1;
                }
                (true, false) => {
                    tally.planted += 1;
                    tally.missed.push(format!("{} {id}", round.name));
                }
                (false, true) => tally.consequences += 1,
                (false, false) => {}
            }
        }
        for (id, kinds) in &by_task {
            if round.planted.contains_key(*id) || round.involved.contains(*id) {
                continue;
            }
            let wrong = defect.kinds().iter().filter(|kind| kinds.contains(kind));
            let new = wrong.filter(|kind| !round.before.contains(&((*id).to_owned(), **kind)));
            if new.count() > 0 {
                tally.false_positives.push(format!("{} {id}", round.name));
            }
        }
    }
}

fn told(source: &str, one: &Finding) -> Value {
    json!({"source": source, "task": one.task, "kind": one.kind, "evidence": one.evidence})
}

fn write(
    out: &Path,
    tallies: &BTreeMap<Defect, Tally>,
    planted: usize,
    clean: &[Value],
    mock: bool,
) -> Result<(), Failure> {
    let share = |some: usize, all: usize| match all {
        0 => 1.0,
        all => some as f64 / all as f64,
    };
    let mut rows = Vec::new();
    let (mut found, mut wrong) = (0, 0);
    println!("{:<28} planted  found  precision  recall", "defect");
    for (defect, one) in tallies {
        let precision = share(one.found, one.found + one.false_positives.len());
        let recall = share(one.found, one.planted);
        found += one.found;
        wrong += one.false_positives.len();
        println!(
            "{:<28} {:>7} {:>6} {precision:>10.3} {recall:>7.3}",
            defect.name(),
            one.planted,
            one.found
        );
        rows.push(json!({
            "defect": defect.name(), "kinds": defect.kinds(), "planted": one.planted, "found": one.found,
            "precision": precision, "recall": recall, "falsePositives": one.false_positives, "missed": one.missed,
            "consequences": one.consequences,
        }));
    }
    let (precision, recall) = (share(found, found + wrong), share(found, planted));
    println!(
        "{:<28} {planted:>7} {found:>6} {precision:>10.3} {recall:>7.3}",
        "all"
    );
    let result = json!({
        "seed": SEED, "planted": planted, "found": found, "precision": precision, "recall": recall, "mock": mock,
        "defects": rows, "cleanCopy": clean,
    });
    std::fs::create_dir_all(out)?;
    std::fs::write(out.join("result.json"), format!("{result:#}\n"))?;
    println!("{}", out.join("result.json").display());
    Ok(())
}
