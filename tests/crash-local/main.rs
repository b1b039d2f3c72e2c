//! `make crash-local`: runs that lose one of their processes to `kill -9` at a random moment, and are resumed by the same
//! command.
//!
//! In deterministic mode each must end in the dataset digest, the loss trace and the weights of the run that nothing
//! happened to. In ordinary mode nothing may be lost and nothing doubled. `CRASH_RUNS` says how many runs; one in five is
//! an ordinary one. `CRASH_SEED` repeats a series. The figures are in `out/crash-local/result.json`.

mod run;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use run::{Mode, Outcome, Victim};

fn main() -> ExitCode {
    let number = |name: &str, default: u64| {
        std::env::var(name)
            .ok()
            .and_then(|n| n.parse().ok())
            .unwrap_or(default)
    };
    let (runs, seed) = (number("CRASH_RUNS", 50), number("CRASH_SEED", 1));
    let mut random = StdRng::seed_from_u64(seed);
    println!("crash-local: {runs} runs, seed {seed}");
    let uncut = run::uncut(Mode::Deterministic);
    let ordinary = run::uncut(Mode::Ordinary);
    println!(
        "uncut: {:.1} s deterministic, {:.1} s ordinary",
        uncut.seconds, ordinary.seconds
    );
    let mut rows = vec![];
    let mut victims: BTreeMap<&str, u64> = BTreeMap::new();
    let mut failures = 0;
    for number in 0..runs {
        let mode = if number % 5 == 4 {
            Mode::Ordinary
        } else {
            Mode::Deterministic
        };
        let clean = if mode == Mode::Ordinary {
            &ordinary
        } else {
            &uncut
        };
        let victim = *[
            Victim::Driver,
            Victim::Worker,
            Victim::Worker,
            Victim::Sandbox,
        ]
        .get(random.random_range(0..4))
        .unwrap_or(&Victim::Worker);
        let began = Instant::now();
        // A run may be faster than the uncut one was: then it ended before it could be cut, and does not count.
        let (killed, after, outcome) = loop {
            let after = random.random_range(0.02..0.95) * clean.seconds;
            if let Some((killed, outcome)) = run::cut(mode, victim, after) {
                break (killed, after, outcome);
            }
        };
        let wrong = run::judge(mode, clean, &outcome);
        let verdict = if wrong.is_empty() { "same" } else { "WRONG" };
        println!(
            "{:>3} {:?}: killed {killed} after {after:.1} s, ended {verdict} after {:.1} s {}",
            number + 1,
            mode,
            began.elapsed().as_secs_f64(),
            wrong.join("; ")
        );
        failures += u64::from(!wrong.is_empty());
        *victims.entry(victim.name()).or_default() += 1;
        rows.push(json!({
            "mode": mode.name(), "victim": victim.name(), "killed": killed, "afterSeconds": after,
            "seconds": began.elapsed().as_secs_f64(), "wrong": wrong,
        }));
    }
    let written = write(&json!({
        "runs": runs, "failures": failures, "seed": seed, "victims": victims,
        "uncut": { "deterministic": figures(&uncut), "ordinary": figures(&ordinary) }, "each": rows,
    }));
    if let Err(error) = written {
        eprintln!("error: out/crash-local/result.json was not written: {error}");
        return ExitCode::FAILURE;
    }
    println!(
        "{} of {runs} ended as they must: out/crash-local/result.json",
        runs - failures
    );
    if failures == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn figures(outcome: &Outcome) -> Value {
    json!({ "seconds": outcome.seconds, "dataset": outcome.dataset, "suite": outcome.suite, "trace": outcome.trace.len() })
}

fn write(result: &Value) -> std::io::Result<()> {
    let folder = Path::new("out/crash-local");
    std::fs::create_dir_all(folder)?;
    std::fs::write(folder.join("result.json"), format!("{result:#}\n"))
}
