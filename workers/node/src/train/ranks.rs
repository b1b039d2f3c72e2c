//! The ranks of a stage: this process joins the others, stops with them and waits for rank 0. Kubernetes and the local driver
//! set the same variables as torch's own launchers.

use std::rc::Rc;
use std::time::Duration;

use agoge_c10d::{Meeting, Ranks};
use agoge_contract::TrainWork;

use crate::failure::Failure;
use crate::job::Job;

/// Variable and default of the seconds that ranks wait for each other in an operation.
const TIMEOUT: (&str, f64) = ("AGOGE_RANK_TIMEOUT", 60.0);
/// Variable and default of the seconds that ranks wait for each other to begin.
const JOIN: (&str, f64) = ("AGOGE_RANK_JOIN_TIMEOUT", 300.0);

/// Joins the other ranks where the stage has several shards. A deterministic run has one rank.
pub fn meet(job: &Job, arguments: &TrainWork) -> Result<Rc<Ranks>, Failure> {
    let (rank, world) = (job.assignment.shard, job.assignment.shards);
    if world <= 1 || arguments.deterministic {
        return Ok(Rc::new(Ranks::alone()));
    }
    let named = |name: &str| {
        let value = std::env::var(name).ok().filter(|value| !value.is_empty());
        value.ok_or_else(|| {
            Failure::Input(format!(
                "{name} is not set; set MASTER_ADDR and MASTER_PORT to the address of rank 0 where {world} ranks are started"
            ))
        })
    };
    let port = named("MASTER_PORT")?;
    let meeting = Meeting {
        host: named("MASTER_ADDR")?,
        port: port
            .parse()
            .map_err(|_| Failure::Input(format!("MASTER_PORT={port} is not a port")))?,
        join: seconds(JOIN)?,
        timeout: seconds(TIMEOUT)?,
        interface: std::env::var("GLOO_SOCKET_IFNAME").ok(),
    };
    tracing::info!(rank, world, host = %meeting.host, port = meeting.port, "meeting the other ranks");
    let ranks = Ranks::join(rank as usize, world as usize, &meeting)?;
    tracing::info!(rank, world, "all ranks are here");
    Ok(Rc::new(ranks))
}

/// Has rank 0 do its part of the work, such as writing a checkpoint, while the others wait for it: longer than for any other
/// operation, because nobody knows how large a model is and how slow its disk.
pub fn by_rank_0<T>(
    ranks: &Ranks,
    operation: &str,
    work: impl FnOnce() -> Result<T, Failure>,
) -> Result<Option<T>, Failure> {
    let done = match ranks.leads() {
        true => Some(work()?),
        false => None,
    };
    ranks.barrier(operation)?;
    Ok(done)
}

/// Returns true on every rank if any of them was asked to stop, so that all stop together.
pub fn asked_to_stop(job: &Job, ranks: &Ranks) -> Result<bool, Failure> {
    let mut asked = [f64::from(u8::from(job.stop.asked()))];
    ranks.max_figures("agreeing whether to stop", &mut asked)?;
    Ok(asked[0] > 0.0)
}

fn seconds((name, default): (&str, f64)) -> Result<Duration, Failure> {
    let Ok(text) = std::env::var(name) else {
        return Ok(Duration::from_secs_f64(default));
    };
    let parsed = text.parse().ok().filter(|seconds: &f64| *seconds > 0.0);
    let span = parsed.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    span.ok_or_else(|| Failure::Input(format!("{name}={text} is not a number of seconds")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn join(rank: usize, port: u16) -> Ranks {
        let meeting = Meeting {
            host: "127.0.0.1".into(),
            port,
            join: Duration::from_secs(60),
            timeout: Duration::from_secs(1),
            interface: None,
        };
        Ranks::join(rank, 2, &meeting).unwrap()
    }

    #[test]
    fn ranks_outlast_a_save_that_takes_longer_than_any_other_operation_may() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let rank = move |rank| {
            let ranks = join(rank, port);
            let saved = by_rank_0(&ranks, "saving a checkpoint", || {
                std::thread::sleep(Duration::from_secs(3));
                Ok(7)
            });
            let agreed = ranks.agreed("counting", 1.0);
            (saved.unwrap(), agreed.unwrap())
        };
        let other = std::thread::spawn(move || rank(1));
        assert_eq!(rank(0), (Some(7), 1.0));
        assert_eq!(other.join().unwrap(), (None, 1.0));
    }
}
