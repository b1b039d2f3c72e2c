//! `kubectl agoge logs`: the logs of an object's pods together, each line with its child and its index.

use std::collections::{BTreeMap, BTreeSet};

use agoge_controller::names::{ATTEMPT, COMPONENT, CONTAINER, KEY};
use agoge_crds::Manifest;
use clap::Args;
use futures::{AsyncBufReadExt, StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::api::LogParams;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, ResourceExt};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::cluster::{Cluster, Where, id, refused};
use super::status::selector;
use crate::failure::Failure;

/// Prints the logs of an object's pods together, each line with its child and its index.
#[derive(Debug, Args)]
pub struct Logs {
    /// KIND/NAME, or NAME where only one kind has it.
    #[arg(value_name = "KIND/NAME")]
    pub object: String,
    /// Only pods of this role or child: synthesize, qualify, score, train, rollout, or such as grpo or synthesize-sea.
    #[arg(long, value_name = "ROLE")]
    pub role: Option<String>,
    /// Go on with what comes, and with pods that come; ends with Ctrl-C, or when the object is deleted.
    #[arg(short, long)]
    pub follow: bool,
    /// Lines from the end of each log.
    #[arg(long, value_name = "N")]
    pub tail: Option<i64>,
    /// Earlier attempts too; otherwise only the newest of each child.
    #[arg(long)]
    pub previous_attempts: bool,
}

/// A pod whose log is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its name.
    pub pod: String,
    /// The beginning of its lines.
    pub prefix: String,
}

/// Runs it.
///
/// # Errors
/// No such object, or a refusal of the API server.
pub async fn logs(logs: &Logs, at: &Where) -> Result<(), Failure> {
    let cluster = Cluster::connect(at).await?;
    let object = cluster.find(&logs.object).await?;
    let (sender, mut lines) = mpsc::channel::<String>(1024);
    let mut printer = tokio::spawn(async move {
        while let Some(line) = lines.recv().await {
            println!("{line}");
        }
    });
    let mut reading = std::pin::pin!(async {
        if logs.follow {
            follow(&cluster, &object, logs, sender).await
        } else {
            all(&cluster, &object, logs, sender).await
        }
    });
    // When all is read, every sender is gone and the printer ends. It ends before only when its reader has gone.
    let (done, printed) = tokio::select! {
        done = &mut reading => (Some(done), (&mut printer).await),
        printed = &mut printer => (None, printed),
    };
    if let Err(ended) = printed
        && let Ok(left) = ended.try_into_panic()
    {
        std::panic::resume_unwind(left);
    }
    match done {
        Some(done) => done,
        None => reading.await,
    }
}

/// The pods whose logs are wanted, in order of child, attempt and index.
#[must_use]
pub fn chosen(pods: &[Pod], role: Option<&str>, previous: bool) -> Vec<Source> {
    let label = |pod: &Pod, name: &str| pod.labels().get(name).cloned().unwrap_or_default();
    let attempt = |pod: &Pod| label(pod, ATTEMPT).parse::<u32>().unwrap_or(0);
    let mut newest: BTreeMap<String, u32> = BTreeMap::new();
    for pod in pods {
        let last = newest.entry(label(pod, KEY)).or_default();
        *last = (*last).max(attempt(pod));
    }
    let mut found: Vec<(String, u32, u32, Source)> = pods
        .iter()
        .filter_map(|pod| {
            let (key, component, attempt) = (label(pod, KEY), label(pod, COMPONENT), attempt(pod));
            let wanted = role.is_none_or(|role| role == component || role == key);
            if !wanted || (!previous && newest.get(&key) != Some(&attempt)) {
                return None;
            }
            let index = label(pod, "batch.kubernetes.io/job-completion-index")
                .parse::<u32>()
                .unwrap_or(0);
            let child = if key.starts_with(&component) {
                key.clone()
            } else {
                format!("{component}-{key}")
            };
            let again = if previous && attempt > 0 {
                format!("#{}", attempt + 1)
            } else {
                String::new()
            };
            let source = Source {
                pod: pod.name_any(),
                prefix: format!("{child}{again}/{index}"),
            };
            Some((key, attempt, index, source))
        })
        .collect();
    found.sort_by(|a, b| (&a.0, a.1, a.2).cmp(&(&b.0, b.1, b.2)));
    found.into_iter().map(|(_, _, _, source)| source).collect()
}

/// Returns true when a pod's container has begun, so that there is a log.
fn begun(pod: &Pod) -> bool {
    let statuses = pod
        .status
        .as_ref()
        .and_then(|status| status.container_statuses.as_ref());
    let state = statuses
        .and_then(|all| all.iter().find(|c| c.name == CONTAINER))
        .and_then(|c| c.state.as_ref());
    state.is_some_and(|state| state.running.is_some() || state.terminated.is_some())
}

async fn all(
    cluster: &Cluster,
    object: &Manifest,
    logs: &Logs,
    sender: mpsc::Sender<String>,
) -> Result<(), Failure> {
    let pods: Api<Pod> = cluster.api();
    let list = pods
        .list(&selector(object))
        .await
        .map_err(|error| refused("list", "pods", &error))?;
    let sources = chosen(&list.items, logs.role.as_deref(), logs.previous_attempts);
    if sources.is_empty() {
        return Err(Failure::Input(format!(
            "{} has no such pods; `kubectl agoge status {}` says why",
            id(object),
            id(object)
        )));
    }
    let width = sources
        .iter()
        .map(|source| source.prefix.len())
        .max()
        .unwrap_or(0);
    let mut tasks = JoinSet::new();
    for source in sources {
        tasks.spawn(read(
            pods.clone(),
            source,
            width,
            logs.tail,
            false,
            sender.clone(),
        ));
    }
    drop(sender);
    tasks.join_all().await;
    Ok(())
}

async fn follow(
    cluster: &Cluster,
    object: &Manifest,
    logs: &Logs,
    sender: mpsc::Sender<String>,
) -> Result<(), Failure> {
    let pods: Api<Pod> = cluster.api();
    let labels = selector(object).label_selector.unwrap_or_default();
    let mut events = std::pin::pin!(
        watcher(pods.clone(), watcher::Config::default().labels(&labels))
            .default_backoff()
            .applied_objects()
    );
    let mut tasks = JoinSet::new();
    let mut streamed = BTreeSet::new();
    let mut known: BTreeMap<String, Pod> = BTreeMap::new();
    while let Some(event) = events.next().await {
        let pod = match event {
            Ok(pod) => pod,
            Err(watcher::Error::InitialListFailed(error))
                if matches!(&error, kube::Error::Api(_)) =>
            {
                return Err(refused("watch", "pods", &error));
            }
            // The watch goes on when the API server is back.
            Err(_) => continue,
        };
        known.insert(pod.name_any(), pod);
        let all: Vec<Pod> = known.values().cloned().collect();
        for source in chosen(&all, logs.role.as_deref(), logs.previous_attempts) {
            if known.get(&source.pod).is_some_and(begun) && streamed.insert(source.pod.clone()) {
                tasks.spawn(read(
                    pods.clone(),
                    source,
                    0,
                    logs.tail,
                    true,
                    sender.clone(),
                ));
            }
        }
    }
    drop(sender);
    tasks.join_all().await;
    Ok(())
}

/// Reads one pod's log to its end.
async fn read(
    pods: Api<Pod>,
    source: Source,
    width: usize,
    tail: Option<i64>,
    follow: bool,
    sender: mpsc::Sender<String>,
) {
    let params = LogParams {
        container: Some(CONTAINER.to_owned()),
        follow,
        tail_lines: tail,
        ..LogParams::default()
    };
    let prefix = format!("{:width$} |", source.prefix);
    let lines = match pods.log_stream(&source.pod, &params).await {
        Ok(stream) => stream.lines(),
        Err(error) => {
            let _ = sender.send(format!("{prefix} (no log: {error})")).await;
            return;
        }
    };
    let mut lines = std::pin::pin!(lines);
    loop {
        match lines.try_next().await {
            Ok(Some(line)) => {
                if sender.send(format!("{prefix} {line}")).await.is_err() {
                    return;
                }
            }
            Ok(None) => return,
            Err(error) => {
                let _ = sender
                    .send(format!("{prefix} (the log broke off: {error})"))
                    .await;
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(component: &str, key: &str, attempt: u32, index: u32) -> Pod {
        serde_json::from_value(serde_json::json!({ "metadata": { "name": format!("{key}-{attempt}-{index}"), "labels": {
            COMPONENT: component, KEY: key, ATTEMPT: attempt.to_string(), "batch.kubernetes.io/job-completion-index": index.to_string(),
        } } }))
        .unwrap()
    }

    #[test]
    fn the_newest_attempt_of_each_child_is_read_in_order() {
        let pods = [
            pod("train", "grpo", 1, 1),
            pod("train", "grpo", 1, 0),
            pod("train", "grpo", 0, 0),
            pod("synthesize", "synthesize-sea", 0, 0),
        ];
        let prefixes = |role, previous| -> Vec<String> {
            chosen(&pods, role, previous)
                .into_iter()
                .map(|s| s.prefix)
                .collect()
        };
        assert_eq!(
            prefixes(None, false),
            ["train-grpo/0", "train-grpo/1", "synthesize-sea/0"]
        );
        assert_eq!(
            prefixes(Some("train"), true),
            ["train-grpo/0", "train-grpo#2/0", "train-grpo#2/1"]
        );
        assert_eq!(
            prefixes(Some("synthesize-sea"), false),
            ["synthesize-sea/0"]
        );
    }
}
