//! From the facts of a Job and its pods to the state of a child, as plans know it. Pure.
//!
//! A pod's termination message is the worker's own, or the end of its log where it wrote none.

pub mod facts;

use std::collections::BTreeMap;

use agoge_contract::{ChildState, Exit, Role, apply_rules, classify, result_of, stopped};
use agoge_crds::conditions::shorten;
use agoge_crds::shared::FailureRule;
use serde_json::Value;

pub use facts::{Ended, JobFacts, PodFacts};

/// Returns the state of a child. `reports` are the last reports of its shards, `refused` what kept the Job from making pods.
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
            ChildState::Running { progress: None }
        } else {
            // The Job still exists: another of its name cannot be created before it is gone.
            pending("Terminating", "its Job is being deleted")
        };
    }
    if let Some((reason, message)) = &job.failed {
        return failed(job, (reason, message), pods, rules);
    }
    if job.complete {
        return succeeded(job, pods);
    }
    if pods.iter().any(|pod| pod.running) {
        let role = job.role();
        let reports = reports.values().filter_map(|report| role?.progress(report));
        return ChildState::running(reports.collect());
    }
    if all_ended(job, pods) {
        // The Job reports their outcome in a moment.
        return ChildState::Running { progress: None };
    }
    if job.suspended {
        return pending("Queued", "its Job is suspended until a queue admits it");
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

/// Returns the state of a child that waits, with reason and message of the obstacle.
#[must_use]
pub fn pending(reason: &str, message: &str) -> ChildState {
    ChildState::Pending {
        reason: Some(reason.to_owned()),
        message: shorten(message, 400),
    }
}

/// Returns true if every shard has a pod that ended and is not to be replaced, as rollout servers are.
fn all_ended(job: &JobFacts, pods: &[&PodFacts]) -> bool {
    job.role() != Some(Role::Rollout)
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
            && let Some(result) = result_of(job.role(), &ended.message)
        {
            results.insert(pod.index, result);
        }
    }
    if results.len() == job.shards as usize {
        return ChildState::succeeded(results.into_values().collect());
    }
    if pods.iter().any(|pod| pod.ended.is_none()) {
        // The Job's end was seen before its pods'.
        return ChildState::Running { progress: None };
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

/// Returns the state of a Job that failed with a reason and a message.
fn failed(
    job: &JobFacts,
    (reason, message): (&str, &str),
    pods: &[&PodFacts],
    rules: &[FailureRule],
) -> ChildState {
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
        return apply_rules(None, reason, message.to_owned(), true, false, rules);
    };
    let exit = Exit {
        code: (ended.exit_code >= 0).then_some(ended.exit_code),
        word: Some(ended.reason.clone()),
        disrupted: pod.disrupted,
        place: format!("pod {}", pod.name),
    };
    classify(job.role(), &exit, &ended.message, rules)
}

#[cfg(test)]
mod tests;
