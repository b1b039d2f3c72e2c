//! From the facts of a Job and its pods to the state of a child, as plans know it. Pure.
//!
//! A pod's last words are a JSON of the worker (`result`, or `reason` and `message`), or the end of its log where it could
//! not speak for itself.

pub mod facts;

use std::collections::BTreeMap;
use std::io::Read as _;

use agoge_crds::conditions::shorten;
use agoge_crds::shared::{FailureAction, FailureRule};
use agoge_plan::{ChildState, Role};
use base64::Engine as _;
use serde::Deserialize;
use serde_json::Value;

pub use facts::{Ended, JobFacts, PodFacts};

use crate::names;

/// A result is at most this large when it is unpacked.
const MAX_RESULT: u64 = 256 << 10;

/// What a worker writes at its end.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct LastWords {
    result: Option<Value>,
    gzip: Option<String>,
    reason: Option<String>,
    message: String,
    retryable: Option<bool>,
}

/// The state of a child. `reports` are the last reports of its shards, `refused` what kept the Job from making pods.
#[must_use]
pub fn state(
    job: &JobFacts,
    pods: &[&PodFacts],
    reports: &BTreeMap<u32, Value>,
    refused: Option<&str>,
    rules: &[FailureRule],
) -> ChildState {
    let alive = pods.iter().any(|pod| pod.ended.is_none());
    if job.deleting {
        return if alive {
            ChildState::Running {
                progress: Value::Null,
            }
        } else {
            // The Job is still there: nothing of its name can be made before it is gone.
            pending("Terminating", "its Job is being deleted")
        };
    }
    if let Some((reason, message)) = &job.failed {
        return failed(reason, message, pods, rules);
    }
    if job.complete {
        return succeeded(job, pods);
    }
    if pods.iter().any(|pod| pod.running) {
        let reports = reports.values().cloned().collect();
        return ChildState::Running {
            progress: together(&job.component, reports),
        };
    }
    if all_ended(job, pods) {
        // What became of them is the Job's to say, in a moment.
        return ChildState::Running {
            progress: Value::Null,
        };
    }
    if job.suspended {
        return pending("Queued", "its Job is suspended; a queue will let it start");
    }
    let blocked = pods
        .iter()
        .filter(|pod| pod.ended.is_none())
        .find_map(|pod| {
            let (reason, message) = pod.blocked.as_ref()?;
            Some((reason, format!("pod {}: {message}", pod.name)))
        });
    if let Some((reason, message)) = blocked {
        return pending(reason, &message);
    }
    if let Some(refused) = refused.filter(|_| pods.is_empty()) {
        let quota = refused.contains("exceeded quota");
        return pending(
            if quota {
                "QuotaExceeded"
            } else {
                "PodsRefused"
            },
            refused,
        );
    }
    if job.gang
        && pods
            .iter()
            .any(|pod| pod.ended.is_none() && !pod.considered)
    {
        return pending(
            "WaitingForGang",
            "its pods start together; the pod group is not whole or does not fit yet",
        );
    }
    ChildState::Pending {
        reason: None,
        message: String::new(),
    }
}

/// What stands in the way of a child.
#[must_use]
pub fn pending(reason: &str, message: &str) -> ChildState {
    ChildState::Pending {
        reason: Some(reason.to_owned()),
        message: shorten(message, 400),
    }
}

/// The report of all shards.
#[must_use]
pub fn together(component: &str, reports: Vec<Value>) -> Value {
    let role = match component {
        "synthesize" => Role::Synthesize {
            strategy: String::new(),
        },
        _ => Role::Qualify,
    };
    agoge_plan::together(&role, reports)
}

/// Whether every shard has a pod that ended, and none of them is to be replaced, as rollout servers are.
fn all_ended(job: &JobFacts, pods: &[&PodFacts]) -> bool {
    job.component != names::component(&Role::Rollout)
        && pods.len() == job.shards as usize
        && pods.iter().all(|pod| {
            let ended = pod.ended.as_ref();
            !pod.disrupted && ended.is_some_and(|ended| !stopped(ended.exit_code))
        })
}

fn succeeded(job: &JobFacts, pods: &[&PodFacts]) -> ChildState {
    let mut results = BTreeMap::new();
    for pod in pods {
        if let Some(ended) = pod.ended.as_ref().filter(|ended| ended.exit_code == 0)
            && let Some(result) = result(&ended.message)
        {
            results.insert(pod.index, result);
        }
    }
    if results.len() == job.shards as usize {
        let results = results.into_values().collect();
        return ChildState::Succeeded {
            result: together(&job.component, results),
        };
    }
    if pods.iter().any(|pod| pod.ended.is_none()) {
        // The Job's end was seen before its pods'.
        return ChildState::Running {
            progress: Value::Null,
        };
    }
    // What it made lies in the store: another attempt finds it and says so again.
    ChildState::Failed {
        exit_code: Some(0),
        reason: "NoResult".into(),
        message: format!(
            "{} of {} results are gone with their pods; another attempt finds what is in the store",
            job.shards as usize - results.len(),
            job.shards
        ),
        retryable: true,
        disrupted: false,
    }
}

fn result(message: &str) -> Option<Value> {
    let words: LastWords = serde_json::from_str(message.trim()).ok()?;
    if words.result.is_some() {
        return words.result;
    }
    let packed = base64::engine::general_purpose::STANDARD
        .decode(words.gzip?)
        .ok()?;
    let mut text = vec![];
    flate2::read::GzDecoder::new(packed.as_slice())
        .take(MAX_RESULT)
        .read_to_end(&mut text)
        .ok()?;
    serde_json::from_slice(&text).ok()
}

fn failed(reason: &str, message: &str, pods: &[&PodFacts], rules: &[FailureRule]) -> ChildState {
    // The first that ended badly by itself; those that the Job ended afterwards only followed. Where the Job says that an
    // exit code failed it, none before it did: they were replaced.
    let other = |ended: &Ended| reason == "PodFailurePolicy" && !matches!(ended.exit_code, 2 | 4);
    let first = pods
        .iter()
        .filter_map(|pod| Some((pod, pod.ended.as_ref().filter(|e| e.exit_code != 0)?)))
        .min_by_key(|(pod, ended)| {
            let followed = stopped(ended.exit_code);
            (pod.disrupted, followed, other(ended), ended.at)
        });
    let Some((pod, ended)) = first else {
        return judge(None, reason, message.to_owned(), true, false, rules);
    };
    let words: LastWords = serde_json::from_str(ended.message.trim()).unwrap_or_default();
    let told = match &words.reason {
        Some(_) => words.message.clone(),
        None => last_words(&ended.message),
    };
    let (reason, retryable) = match (ended.reason.as_str(), ended.exit_code, &words.reason) {
        (_, _, Some(reason)) => (
            reason.clone(),
            words.retryable.unwrap_or(!matches!(ended.exit_code, 2 | 4)),
        ),
        (word @ ("OOMKilled" | "StartError"), _, _) => (word.to_owned(), true),
        (_, 2, _) => ("BadInput".to_owned(), false),
        (_, 3, _) => ("Infrastructure".to_owned(), true),
        (_, 4, _) => ("UserModelNotCertified".to_owned(), false),
        (word, -1, _) if !word.is_empty() => (word.to_owned(), true),
        (_, code, _) if stopped(code) => ("Stopped".to_owned(), true),
        (_, 137, _) => ("Killed".to_owned(), true),
        _ => ("Crashed".to_owned(), true),
    };
    let code = (ended.exit_code >= 0).then_some(ended.exit_code);
    let message = format!("pod {}: {}", pod.name, shorten(&told, 380));
    judge(code, &reason, message, retryable, pod.disrupted, rules)
}

/// Exit codes of a worker that was asked to stop.
fn stopped(code: i32) -> bool {
    matches!(code, 130 | 143)
}

/// The manifest's rules, in their order, over what the driver makes of a failure by itself.
fn judge(
    exit_code: Option<i32>,
    reason: &str,
    message: String,
    retryable: bool,
    disrupted: bool,
    rules: &[FailureRule],
) -> ChildState {
    let rule = rules.iter().find(|rule| rule.matches(exit_code, reason));
    let (retryable, disrupted) = match rule.map(|rule| rule.action) {
        None => (retryable, disrupted),
        Some(FailureAction::Retry) => (true, false),
        Some(FailureAction::Fail) => (false, false),
        Some(FailureAction::Ignore) => (true, true),
    };
    ChildState::Failed {
        exit_code,
        reason: reason.to_owned(),
        message,
        retryable,
        disrupted,
    }
}

/// The last line that says something: the message of a panic, else the last line.
fn last_words(text: &str) -> String {
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let panic = lines.iter().rposition(|line| line.contains("panicked at"));
    let line = panic
        .and_then(|at| lines.get(at + 1))
        .or_else(|| lines.last());
    line.map_or_else(
        || "it said nothing".to_owned(),
        |line| line.trim_start_matches("error: ").to_owned(),
    )
}

#[cfg(test)]
mod tests;
