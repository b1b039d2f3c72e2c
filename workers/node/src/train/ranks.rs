//! The ranks of a stage: how this process finds the others. Kubernetes and the local driver tell it by the same variables as
//! torch's own launchers.

use std::rc::Rc;
use std::time::Duration;

use agoge_c10d::{Meeting, Ranks};
use agoge_contract::TrainWork;

use crate::failure::Failure;
use crate::job::Job;

/// Seconds that ranks wait for each other in an operation, and what they are called.
const TIMEOUT: (&str, f64) = ("AGOGE_RANK_TIMEOUT", 60.0);
/// Seconds that they wait for each other to begin.
const JOIN: (&str, f64) = ("AGOGE_RANK_JOIN_TIMEOUT", 300.0);

/// Meets the others where the stage has several shards. A deterministic run has one rank.
pub fn meet(job: &Job, arguments: &TrainWork) -> Result<Rc<Ranks>, Failure> {
    let (rank, world) = (job.assignment.shard, job.assignment.shards);
    if world <= 1 || arguments.deterministic {
        return Ok(Rc::new(Ranks::alone()));
    }
    let named = |name: &str| {
        let value = std::env::var(name).ok().filter(|value| !value.is_empty());
        value.ok_or_else(|| {
            Failure::Input(format!(
                "{name} is not set; whoever starts {world} ranks sets MASTER_ADDR and MASTER_PORT to where rank 0 listens"
            ))
        })
    };
    let port = named("MASTER_PORT")?;
    let meeting = Meeting {
        host: named("MASTER_ADDR")?,
        port: port
            .parse()
            .map_err(|_| Failure::Input(format!("MASTER_PORT={port} is no port")))?,
        join: seconds(JOIN)?,
        timeout: seconds(TIMEOUT)?,
        interface: std::env::var("GLOO_SOCKET_IFNAME").ok(),
    };
    tracing::info!(rank, world, host = %meeting.host, port = meeting.port, "meeting the other ranks");
    let ranks = Ranks::join(rank as usize, world as usize, &meeting)?;
    tracing::info!(rank, world, "all ranks are here");
    Ok(Rc::new(ranks))
}

/// Whether any rank was asked to stop: then all do, together.
pub fn asked_to_stop(job: &Job, ranks: &Ranks) -> Result<bool, Failure> {
    let mut asked = [f64::from(u8::from(job.stop.asked()))];
    ranks.max_figures("asking who is to stop", &mut asked)?;
    Ok(asked[0] > 0.0)
}

fn seconds((name, default): (&str, f64)) -> Result<Duration, Failure> {
    let Ok(text) = std::env::var(name) else {
        return Ok(Duration::from_secs_f64(default));
    };
    let parsed = text.parse().ok().filter(|seconds: &f64| *seconds > 0.0);
    let span = parsed.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    span.ok_or_else(|| Failure::Input(format!("{name}={text} is no number of seconds")))
}
