//! Our side of the check row of `make bench`: courier tasks whose right calls are played and then judged, one measured
//! repetition a line of standard input (`checks`). `tests/bench/checks.py` runs the same tools in CPython.

use std::io::{BufRead, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use agoge_checker::check;
use agoge_dialogue::Message;
use agoge_sandbox::Limits;
use agoge_world::{Domain, Episode, Mix, Split, Task, World, tasks};
use serde_json::json;

type Failure = Box<dyn std::error::Error>;

const TASKS: usize = 200;

fn main() -> Result<(), Failure> {
    let usage = "usage: bench DOMAIN DIR";
    let domain = std::env::args().nth(1).ok_or(usage)?;
    let dir = std::env::args().nth(2).ok_or(usage)?;
    let domain = Arc::new(Domain::load(Path::new(&domain))?);
    let mut world = World::open(domain.clone(), Limits::default())?;
    let all = tasks(&mut world, Split::TrainRl, Mix::EvenBranches, 3, TASKS)?;
    std::fs::create_dir_all(&dir)?;
    let written = json!({"now": domain.now, "tasks": all.iter().map(|t| json!({"gold": t.gold, "outputs": t.outputs})).collect::<Vec<_>>()});
    std::fs::write(Path::new(&dir).join("checks.json"), written.to_string())?;
    println!("{}", json!({"ready": true, "tasks": TASKS}));
    for line in std::io::stdin().lock().lines() {
        line?;
        let started = Instant::now();
        let passed = all.iter().filter(|task| passes(&mut world, task)).count();
        println!(
            "{}",
            json!({"seconds": started.elapsed().as_secs_f64(), "tokens": TASKS, "passed": passed})
        );
        std::io::stdout().flush()?;
    }
    Ok(())
}

/// Plays the right calls, says the outputs, and judges: gold is replayed anew in each check.
fn passes(world: &mut World, task: &Task) -> bool {
    let mut episode = Episode::default();
    for call in &task.gold {
        world.call(&mut episode, call);
    }
    check(
        world,
        task,
        &episode,
        &[Message::assistant(&task.outputs.join(" ; "))],
    )
    .pass
}
