//! `make crash`: the operator is cut off at every one of its writes, on a real API server with the real Job controller and
//! garbage collector; each life must end in the objects and the status of the life that nothing happened to.
//!
//! Cut points: each write of each life (kind x normal, suspend, retry, failure, delete), in four ways ([`proxy::How`]). One
//! that came too late for an object that was gone is none.
//! A test double plays the kubelet: it lets pods run and end, with the last words of a worker. Events are told at most once,
//! by design: how many a cut lost is counted, and is no divergence. Writes of the lease are left out; `make test-lease` cuts
//! those. `CRASH_ONLY=grporun/retry` runs a part, `CRASH_LANES` says how many lives go on at once.

mod life;
mod objects;
mod operator;
mod proxy;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use futures::{StreamExt, stream};
use serde_json::{Value, json};

use life::{Ended, Life, World};
use proxy::{Cut, How};

/// Lives that are tried for one cut.
const TRIES: u32 = 3;

#[tokio::main]
async fn main() -> ExitCode {
    match series().await {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn series() -> anyhow::Result<u64> {
    let began = Instant::now();
    let only = std::env::var("CRASH_ONLY").unwrap_or_default();
    let lanes = std::env::var("CRASH_LANES")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(10);
    let world = Arc::new(World::new(Path::new("out/crash/work")).await?);
    let lives: Vec<Life> = Life::all()
        .into_iter()
        .filter(|life| life.name().contains(&only))
        .collect();
    println!("crash: {} lives, {lanes} at once", lives.len());
    let uncut: Vec<(Life, Ended)> = stream::iter(lives)
        .map(|life| {
            let world = world.clone();
            async move { anyhow::Ok((life, life.live(&world, None).await?)) }
        })
        .buffered(lanes)
        .collect::<Vec<_>>()
        .await
        .into_iter()
        .collect::<anyhow::Result<_>>()?;
    let mut cuts = vec![];
    for (life, ended) in &uncut {
        println!(
            "{}: {} writes, {:.1} s",
            life.name(),
            sound(ended).len(),
            ended.seconds
        );
        for (at, _) in ended.writes.iter().enumerate().filter(|(_, w)| !w.late) {
            cuts.extend(How::ALL.map(|how| (*life, ended, Cut { at, how })));
        }
    }
    let total = cuts.len();
    println!("{total} cut points");
    let mut tally = Tally::default();
    let mut running = stream::iter(cuts)
        .map(|(life, clean, cut)| {
            let world = world.clone();
            async move { (life, clean, cut, cut_off(life, &world, cut).await) }
        })
        .buffer_unordered(lanes);
    while let Some((life, clean, cut, ended)) = running.next().await {
        let wrong = match &ended {
            Ok(ended) => objects::differences(&clean.objects, &ended.objects),
            Err(error) => vec![format!("{error:#}")],
        };
        let write = clean.writes.get(cut.at).map_or("", |write| &write.what);
        tally.take(life, cut, write, clean, ended.as_ref().ok(), wrong);
        if tally.points % 50 == 0 {
            println!(
                "{} of {total} ({} diverged), {:.0} s",
                tally.points,
                tally.diverged,
                began.elapsed().as_secs_f64()
            );
        }
    }
    drop(running);
    let result = tally.result(&uncut, began.elapsed().as_secs_f64());
    std::fs::write("out/crash/result.json", format!("{result:#}\n"))?;
    println!(
        "{} cut points, {} diverged: out/crash/result.json",
        tally.points, tally.diverged
    );
    Ok(tally.diverged)
}

/// Lives a life with this cut. Two changes that the operator sees at once are one write less, and the life may be over before
/// the write of this number: then it is lived again.
async fn cut_off(life: Life, world: &World, cut: Cut) -> anyhow::Result<Ended> {
    let mut ended = life.live(world, Some(cut)).await?;
    for _ in 1..TRIES {
        if ended.cut {
            break;
        }
        ended = life.live(world, Some(cut)).await?;
    }
    Ok(ended)
}

/// The writes of a life that were not late.
fn sound(ended: &Ended) -> Vec<&str> {
    let writes = ended.writes.iter().filter(|write| !write.late);
    writes.map(|write| write.what.as_str()).collect()
}

/// The outcome of all cut points.
#[derive(Default)]
struct Tally {
    points: u64,
    diverged: u64,
    not_reached: u64,
    events_lost: u64,
    events_more: u64,
    classes: BTreeMap<String, (u64, u64)>,
    each: Vec<Value>,
}

impl Tally {
    fn take(
        &mut self,
        life: Life,
        cut: Cut,
        write: &str,
        clean: &Ended,
        ended: Option<&Ended>,
        wrong: Vec<String>,
    ) {
        let (lost, more) = ended.map_or((0, 0), |ended| {
            objects::events(&clean.events, &ended.events)
        });
        // A life that is over before the write of this number: what was cut off is not what was meant.
        let reached = ended.is_none_or(|ended| ended.cut);
        self.points += 1;
        self.events_lost += lost;
        self.events_more += more;
        self.not_reached += u64::from(!reached);
        let bad = u64::from(!wrong.is_empty() || !reached);
        self.diverged += bad;
        for class in [
            life.kind.to_owned(),
            format!("{:?}", life.story).to_lowercase(),
            cut.how.name().to_owned(),
        ] {
            let entry = self.classes.entry(class).or_default();
            *entry = (entry.0 + 1, entry.1 + bad);
        }
        if bad > 0 {
            println!(
                "DIVERGED {} at write {} ({write}), {}: {}",
                life.name(),
                cut.at,
                cut.how.name(),
                wrong.join("; ")
            );
            self.each.push(json!({
                "life": life.name(), "at": cut.at, "write": write, "how": cut.how.name(), "reached": reached, "differences": wrong,
            }));
        }
    }

    fn result(&self, uncut: &[(Life, Ended)], seconds: f64) -> Value {
        let classes: BTreeMap<&String, Value> = self
            .classes
            .iter()
            .map(|(name, (points, bad))| (name, json!({ "cutPoints": points, "diverged": bad })))
            .collect();
        let lives: BTreeMap<String, Value> = uncut
            .iter()
            .map(|(life, ended)| {
                (
                    life.name(),
                    json!({ "writes": sound(ended), "seconds": ended.seconds }),
                )
            })
            .collect();
        json!({
            "cutPoints": self.points, "diverged": self.diverged, "notReached": self.not_reached,
            "byClass": classes, "eventsLost": self.events_lost, "eventsMore": self.events_more,
            "lives": lives, "divergences": self.each, "seconds": seconds,
        })
    }
}
