//! One run of the crash test: started, cut once, resumed, and what it left.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use agoge_store::{Digest, Store};
use agoge_tests::{Desk, said};
use serde_json::Value;

/// The promise that a run is checked against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Bit-identical.
    Deterministic,
    /// Nothing lost, nothing doubled.
    Ordinary,
}

/// Which process is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Victim {
    /// `agoge up`.
    Driver,
    /// `agoge-worker`.
    Worker,
    /// `agoge-sandbox`.
    Sandbox,
}

/// The results of a run.
pub struct Outcome {
    /// Wall time of the uncut run.
    pub seconds: f64,
    /// The dataset's digest.
    pub dataset: String,
    /// The suite's digest.
    pub suite: String,
    /// Losses, step by step, of every stage of training; times are left out.
    pub trace: Vec<String>,
    /// Digests of the trained weights.
    pub weights: Vec<String>,
    /// The results that are lost or doubled.
    pub faults: Vec<String>,
}

impl Mode {
    pub fn name(self) -> &'static str {
        match self {
            Self::Deterministic => "deterministic",
            Self::Ordinary => "ordinary",
        }
    }
}

impl Victim {
    pub fn name(self) -> &'static str {
        match self {
            Self::Driver => "driver",
            Self::Worker => "worker",
            Self::Sandbox => "sandbox",
        }
    }

    fn program(self) -> &'static str {
        match self {
            Self::Driver => "agoge",
            Self::Worker => "agoge-worker",
            Self::Sandbox => "agoge-sandbox",
        }
    }
}

/// A small run: the skeleton's domain, few tasks, few steps.
fn desk(mode: Mode) -> Desk {
    let mut desk = Desk::new();
    let deterministic = mode == Mode::Deterministic;
    let patch = format!(
        "kind: SynthesisJob\nmetadata: {{name: desk}}\nspec: {{deterministic: {deterministic}}}\n---\n\
         kind: GRPORun\nmetadata: {{name: desk}}\nspec:\n  deterministic: {deterministic}\n  stages:\n    \
         agentSFT: {{maxEpochs: 4}}\n    grpo: {{steps: 6, wallClock: null, groupSize: 4, groupsPerStep: 4, checkpointEvery: 2}}\n    \
         evaluation: {{tasks: 8, samples: 2, arms: [empty, sft, grpo]}}\n"
    );
    let file = desk.dir.path().join("patch.yaml");
    std::fs::write(&file, patch).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    desk.flags
        .extend(["--patch".to_owned(), file.display().to_string()]);
    desk
}

/// A run that nothing happens to.
pub fn uncut(mode: Mode) -> Outcome {
    let desk = desk(mode);
    let began = Instant::now();
    let output = desk.up();
    assert!(
        output.status.success(),
        "the uncut run fails: {}",
        said(&output)
    );
    Outcome {
        seconds: began.elapsed().as_secs_f64(),
        ..outcome(&desk)
    }
}

/// A run that loses a process, and is resumed by the same command. Says what was killed; `None` when it had ended before.
pub fn cut(mode: Mode, victim: Victim, after: f64) -> Option<(String, Outcome)> {
    let desk = desk(mode);
    let mut driver = desk.start();
    std::thread::sleep(Duration::from_secs_f64(after));
    if !matches!(driver.try_wait(), Ok(None)) {
        return None;
    }
    let killed = kill(&mut driver, victim);
    if killed != Victim::Driver.program() {
        // The driver sees it, tells it, and tries again.
        let _ = driver.wait();
    }
    let output = desk.up();
    let mut outcome = outcome(&desk);
    if !output.status.success() {
        outcome
            .faults
            .push(format!("it did not end well: {}", said(&output)));
    }
    Some((killed, outcome))
}

/// Returns the differences from the undisturbed run.
pub fn judge(mode: Mode, clean: &Outcome, cut: &Outcome) -> Vec<String> {
    let mut wrong = cut.faults.clone();
    if mode == Mode::Deterministic {
        if cut.dataset != clean.dataset {
            wrong.push(format!("dataset {} and not {}", cut.dataset, clean.dataset));
        }
        if cut.suite != clean.suite {
            wrong.push(format!("suite {} and not {}", cut.suite, clean.suite));
        }
        if let Some(at) = (0..clean.trace.len().max(cut.trace.len()))
            .find(|at| cut.trace.get(*at) != clean.trace.get(*at))
        {
            wrong.push(format!(
                "loss trace differs at {at}: {:?} and not {:?}",
                cut.trace.get(at),
                clean.trace.get(at)
            ));
        }
        if cut.weights != clean.weights {
            wrong.push("the trained weights differ".to_owned());
        }
    }
    wrong
}

/// Kills one process of the run with SIGKILL: the victim if there is one now, else the driver.
fn kill(driver: &mut Child, victim: Victim) -> String {
    // The kernel keeps the first fifteen letters of a name.
    let program = &victim.program()[..victim.program().len().min(15)];
    let family = descendants(driver.id());
    if let Some((pid, name)) = family.iter().find(|(_, name)| name == program) {
        let killed = std::process::Command::new("kill")
            .args(["-9", &pid.to_string()])
            .stderr(Stdio::null())
            .status();
        if killed.is_ok_and(|status| status.success()) {
            return name.clone();
        }
    }
    let _ = driver.kill();
    let _ = driver.wait();
    Victim::Driver.program().to_owned()
}

/// Processes below this one, with their names.
fn descendants(of: u32) -> Vec<(u32, String)> {
    let mut all = vec![];
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<u32>().ok())
        else {
            continue;
        };
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else {
            continue;
        };
        let (Some((_, name)), Some((_, rest))) = (stat.split_once('('), stat.rsplit_once(')'))
        else {
            continue;
        };
        let name = name
            .rsplit_once(')')
            .map_or(name, |(name, _)| name)
            .to_owned();
        let parent = rest
            .split_whitespace()
            .nth(1)
            .and_then(|parent| parent.parse::<u32>().ok())
            .unwrap_or(0);
        all.push((pid, parent, name));
    }
    let mut family = BTreeSet::from([of]);
    loop {
        let more: Vec<u32> = all
            .iter()
            .filter(|(pid, parent, _)| family.contains(parent) && !family.contains(pid))
            .map(|p| p.0)
            .collect();
        if more.is_empty() {
            break;
        }
        family.extend(more);
    }
    all.into_iter()
        .filter(|(pid, _, _)| *pid != of && family.contains(pid))
        .map(|(pid, _, name)| (pid, name))
        .collect()
}

fn outcome(desk: &Desk) -> Outcome {
    let mut found = Outcome {
        seconds: 0.0,
        dataset: String::new(),
        suite: String::new(),
        trace: vec![],
        weights: vec![],
        faults: vec![],
    };
    if let Err(fault) = read(desk, &mut found) {
        found.faults.push(fault);
    }
    found
}

fn read(desk: &Desk, found: &mut Outcome) -> Result<(), String> {
    for object in ["synthesisjob-desk", "checkersuite-desk", "grporun-desk"] {
        let file = desk.out().join("objects").join(format!("{object}.json"));
        if !file.is_file() {
            return Err(format!("{object} was lost"));
        }
        if desk.status(object)["phase"] != "Complete" {
            found
                .faults
                .push(format!("{object} is {}", desk.status(object)["phase"]));
        }
    }
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let job = desk.status("synthesisjob-desk");
    found.dataset = text(&job["digest"]);
    found.suite = text(&desk.status("checkersuite-desk")["digest"]);
    let store = Store::open(desk.out().join("store")).map_err(|error| error.to_string())?;
    let template = &job["strategies"]["template"];
    instances(&store, template, &mut found.faults)?;
    let run = desk.status("grporun-desk");
    for (stage, figures) in run["stages"].as_object().into_iter().flatten() {
        let digest = Digest::parse(&text(&figures["digest"]))
            .map_err(|error| format!("{stage}: {error}"))?;
        let record: Value = store
            .get_json(&digest)
            .map_err(|error| format!("{stage}: {error}"))?;
        let curve = record["curve"].as_array().cloned().unwrap_or_default();
        steps(stage, &curve, &mut found.faults);
        found.trace.extend(
            curve
                .iter()
                .map(|step| format!("{stage} {}", timeless(step))),
        );
        found.weights.push(format!("{stage} {}", record["model"]));
    }
    leftovers(&desk.out(), &mut found.faults);
    Ok(())
}

/// Every accepted instance is there, and none twice.
fn instances(store: &Store, template: &Value, faults: &mut Vec<String>) -> Result<(), String> {
    let digest = Digest::parse(template["digest"].as_str().unwrap_or_default())
        .map_err(|error| error.to_string())?;
    let bytes = store.get(&digest).map_err(|error| error.to_string())?;
    let lines = String::from_utf8_lossy(&bytes).into_owned();
    let attempts: Vec<Value> = lines
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let ids: BTreeSet<String> = attempts
        .iter()
        .map(|attempt| attempt["id"].to_string())
        .collect();
    if ids.len() != attempts.len() {
        faults.push(format!(
            "{} attempts, of which {} are different",
            attempts.len(),
            ids.len()
        ));
    }
    let accepted = attempts
        .iter()
        .filter(|attempt| attempt["gate"] == "accepted")
        .count() as u64;
    if Some(accepted) != template["accepted"].as_u64() || template["accepted"] != template["target"]
    {
        faults.push(format!(
            "{accepted} accepted in the store, status says {} of {}",
            template["accepted"], template["target"]
        ));
    }
    Ok(())
}

/// Steps count up by one: none is lost, none is there twice.
fn steps(stage: &str, curve: &[Value], faults: &mut Vec<String>) {
    let numbers: Vec<i64> = curve
        .iter()
        .filter_map(|step| step.get("step").or_else(|| step.get("epoch"))?.as_i64())
        .collect();
    if numbers.windows(2).any(|pair| pair[1] != pair[0] + 1) {
        faults.push(format!("steps of {stage} are {numbers:?}"));
    }
}

/// A step without what depends on time.
fn timeless(step: &Value) -> Value {
    let mut step = step.clone();
    if let Some(fields) = step.as_object_mut() {
        fields.retain(|name, _| !name.to_lowercase().contains("second"));
    }
    step
}

/// Half-written files that a kill left and the resumed run did not take away are of no harm; halves under final names are.
fn leftovers(out: &Path, faults: &mut Vec<String>) {
    for work in std::fs::read_dir(out.join("work"))
        .into_iter()
        .flatten()
        .flatten()
    {
        let result = work.path().join("result.json");
        if let Ok(text) = std::fs::read(&result)
            && serde_json::from_slice::<Value>(&text).is_err()
        {
            faults.push(format!("{} is no JSON", result.display()));
        }
    }
}
