//! `kubectl agoge wait`: watches an object until it is over, and says so by its exit code.
//!
//! 0: it is Complete (or the condition that was asked for is True). 1: it Failed. 2: time was up. 3: it could not be
//! watched, or it was deleted.

use std::process::ExitCode;

use agoge_crds::{Manifest, Phase, RunStatus, Span, conditions as c};
use clap::Args;
use futures::{Stream, StreamExt};
use kube::runtime::{WatchStreamExt, watcher};

use super::cluster::{Cluster, Listed, Where, id, refused, target};
use super::page;
use crate::failure::Failure;
use crate::with_kind;

/// Waits until an object is Complete, and prints what happens to it.
///
/// Exit codes: 0 Complete; 1 Failed; 2 time was up; 3 it could not be watched, or was deleted.
#[derive(Debug, Args)]
pub struct Wait {
    /// KIND/NAME, or NAME where only one kind has it.
    #[arg(value_name = "KIND/NAME")]
    pub object: String,
    /// The condition to wait for: complete, accepted, progressing, suspended or failed.
    #[arg(long = "for", value_name = "CONDITION", default_value = "complete", value_parser = condition)]
    pub condition: &'static str,
    /// The longest wait, such as 90s, 15m or 1h30m.
    #[arg(long, default_value = "1h")]
    pub timeout: Span,
    /// Print nothing.
    #[arg(short, long)]
    pub quiet: bool,
}

/// The condition of this name, in any case.
fn condition(word: &str) -> Result<&'static str, String> {
    let known = [
        c::COMPLETE,
        c::ACCEPTED,
        c::PROGRESSING,
        c::SUSPENDED,
        c::FAILED,
    ];
    let found = known
        .into_iter()
        .find(|known| known.eq_ignore_ascii_case(word));
    found.ok_or_else(|| format!("known are: {}", known.join(", ").to_lowercase()))
}

/// An object at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Moment {
    /// The life cycle's part of its status.
    pub run: RunStatus,
    /// The generation of its spec.
    pub generation: Option<i64>,
    /// Its progress.
    pub progress: String,
}

/// The end of a wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The condition is True.
    Reached,
    /// It failed, or ended without the condition.
    Failed,
    /// Time was up.
    TimedOut,
    /// It was deleted, or nobody let us watch.
    Lost(String),
}

impl End {
    /// The exit code.
    #[must_use]
    pub const fn code(&self) -> u8 {
        match self {
            Self::Reached => 0,
            Self::Failed => 1,
            Self::TimedOut => 2,
            Self::Lost(_) => 3,
        }
    }
}

/// Runs it.
///
/// # Errors
/// None: what goes wrong has exit code 3.
pub async fn wait(wait: &Wait, at: &Where) -> Result<ExitCode, Failure> {
    let limit = wait.timeout.duration();
    let all = async {
        let cluster = Cluster::connect(at).await?;
        let object = cluster.find(&wait.object).await?;
        let (name, id) = (object.name(), id(&object));
        let say = |line: String| {
            if !wait.quiet {
                println!("{id} {line}");
            }
        };
        let end = with_kind!(target(&object).kind, K => {
            let moments = watch::<K>(&cluster, &name);
            Box::pin(follow(moments, wait.condition, say)).await
        });
        Ok::<_, Failure>(end)
    };
    let end = match tokio::time::timeout(limit, Box::pin(all)).await {
        Ok(Ok(end)) => end,
        Ok(Err(failure)) => End::Lost(failure.to_string()),
        Err(_) => End::TimedOut,
    };
    match &end {
        End::TimedOut => eprintln!(
            "error: {} is not {} after {}",
            wait.object,
            wait.condition.to_lowercase(),
            wait.timeout
        ),
        End::Lost(why) => eprintln!("error: {why}"),
        End::Reached | End::Failed => {}
    }
    Ok(ExitCode::from(end.code()))
}

/// The moments of an object; `None` when it does not exist. Ends with an error that will not pass by itself.
fn watch<K: Listed>(
    cluster: &Cluster,
    name: &str,
) -> impl Stream<Item = Result<Option<Moment>, String>> + use<K> {
    watcher::watch_object(cluster.api::<K>(), name)
        .default_backoff()
        .filter_map(|event| async move {
            match event {
                Ok(object) => Some(Ok(object.map(moment))),
                Err(watcher::Error::InitialListFailed(error) | watcher::Error::WatchStartFailed(error))
                    if matches!(&error, kube::Error::Api(status) if matches!(status.code, 401 | 403 | 404)) =>
                {
                    Some(Err(refused("watch", K::KIND.as_str(), &error).to_string()))
                }
                // The API server is away for a while: the watch goes on when it is back.
                Err(_) => None,
            }
        })
}

/// A moment of an object.
fn moment<K: Listed>(object: K) -> Moment {
    let run = object.status().map(|status| K::run(status).clone());
    let generation = object.meta().generation;
    let manifest: Manifest = object.manifest();
    Moment {
        run: run.unwrap_or_default(),
        generation,
        progress: page::progress(&manifest),
    }
}

/// Follows an object until the condition is True or it is over, and says each transition.
pub async fn follow<S>(moments: S, condition: &str, mut say: impl FnMut(String)) -> End
where
    S: Stream<Item = Result<Option<Moment>, String>>,
{
    let mut moments = std::pin::pin!(moments);
    let mut last: Option<(Phase, String)> = None;
    while let Some(moment) = moments.next().await {
        let moment = match moment {
            Ok(Some(moment)) => moment,
            Ok(None) => return End::Lost("it was deleted".to_owned()),
            Err(why) => return End::Lost(why),
        };
        let run = &moment.run;
        let now = (run.phase, reason(run).0.to_owned());
        if last.as_ref() != Some(&now) {
            say(line(&moment));
            last = Some(now);
        }
        // A status of an older spec says nothing about this one, unless it is over.
        let fresh = run.phase.is_terminal()
            || moment.generation.is_none()
            || run.observed_generation == moment.generation;
        if fresh && c::is_true(&run.conditions, condition) {
            return End::Reached;
        }
        if run.phase.is_terminal() {
            return End::Failed;
        }
    }
    End::Lost("the watch ended".to_owned())
}

fn line(moment: &Moment) -> String {
    let (reason, message) = reason(&moment.run);
    let mut line = format!("{:?}", moment.run.phase);
    for part in [reason, message, &moment.progress] {
        if !part.is_empty() {
            line.push_str("   ");
            line.push_str(part);
        }
    }
    line
}

/// Why it is in its phase.
fn reason(run: &RunStatus) -> (&str, &str) {
    let type_ = match run.phase {
        Phase::Failed => c::FAILED,
        Phase::Complete => c::COMPLETE,
        Phase::Suspended => c::SUSPENDED,
        Phase::Waiting => c::ACCEPTED,
        _ => c::PROGRESSING,
    };
    c::get(&run.conditions, type_).map_or(("", ""), |condition| {
        (&condition.reason, &condition.message)
    })
}
