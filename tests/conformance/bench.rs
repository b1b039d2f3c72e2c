//! Our side of `make bench-tau2`: what tau2-bench's `evaluate_simulation` does - play the trajectory again, play the gold, and
//! compare - for every task of a domain. Loading is timed apart; the judge has no gold remembered.

use std::path::Path;
use std::time::Instant;

use agoge_checker::Judge;
use agoge_forms::tau2;
use agoge_world::Task;
use anyhow::{Context, Result, ensure};
use serde_json::{Map, json};

use crate::replay::{Replayer, told};
use crate::rows::{self, Row};

/// Repetitions of what takes microseconds, of which the mean is one measurement.
const REPEATED: u32 = 1_000;

/// Times each task `runs` times and writes medians in milliseconds.
pub fn run(result: &Path, folder: &Path, runs: &str) -> Result<()> {
    let runs: usize = runs.parse().context("RUNS is a number")?;
    ensure!(runs > 0, "RUNS is at least 1");
    let name = folder.file_name().and_then(|name| name.to_str());
    let name = name.context("a domain's folder has its name")?;
    let scratch = tempfile::tempdir()?;
    let started = Instant::now();
    let mut replayer = Replayer::open(folder, name, &scratch.path().join(name))?;
    let load = ms(started);

    let mut tasks = Map::new();
    let (mut resets, mut prints, mut hashes) = (Vec::new(), Vec::new(), Vec::new());
    for row in rows::read::<Row>(&folder.join("golden.jsonl"))? {
        let task = replayer.task(&row.task_id).cloned();
        let task = task.with_context(|| format!("there is no task {}", row.task_id))?;
        let mut times = Vec::new();
        for _ in 0..runs {
            times.push(evaluate(&mut replayer, &task, &row));
        }
        let mut episode = replayer.world().begin(&task)?;
        for action in &row.actions {
            replayer.world().call(&mut episode, &action.call());
        }
        let score = replayer.score(&task, &episode, &told(&task))?;
        tasks.insert(
            task.id.clone(),
            json!({"ms": median(times), "reward": score.reward, "breakdown": score.breakdown}),
        );

        let domain = replayer.world().domain().clone();
        resets.push(mean(|| {
            let begun = replayer.world().begin(&task);
            std::hint::black_box(&begun);
        }));
        prints.push(mean(|| {
            std::hint::black_box(episode.fingerprint(&domain));
        }));
        let started = Instant::now();
        std::hint::black_box(tau2::tau2_hash(&domain, &episode));
        hashes.push(ms(started));
    }
    let state = std::fs::metadata(scratch.path().join(name).join("state.json"))?.len();
    crate::write(
        result,
        &json!({
            "domain": name, "runs": runs, "state_bytes": state, "load_ms": load,
            "reset_ms": median(resets), "fingerprint_ms": median(prints), "tau2_hash_ms": median(hashes),
            "tasks": tasks,
        }),
    )
}

/// One evaluation, in milliseconds: the trajectory, the gold, the verdict.
fn evaluate(replayer: &mut Replayer, task: &Task, row: &Row) -> f64 {
    let messages = told(task);
    let started = Instant::now();
    if let Ok(mut episode) = replayer.world().begin(task) {
        for action in &row.actions {
            replayer.world().call(&mut episode, &action.call());
        }
        let verdict = Judge::new().check(replayer.world(), task, &episode, &messages);
        std::hint::black_box(verdict);
    }
    ms(started)
}

fn mean(mut work: impl FnMut()) -> f64 {
    let started = Instant::now();
    for _ in 0..REPEATED {
        work();
    }
    ms(started) / f64::from(REPEATED)
}

fn ms(started: Instant) -> f64 {
    started.elapsed().as_secs_f64() * 1e3
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
