use std::time::Duration;

use futures::channel::mpsc::UnboundedReceiver;
use serde_json::json;

use super::*;

fn job(name: &str, uid: &str, version: u64) -> Job {
    serde_json::from_value(json!({
        "metadata": {
            "name": name, "namespace": "ns", "uid": uid, "resourceVersion": version.to_string(),
            "labels": { "agoge.dev/key": "qualify", "agoge.dev/attempt": "0" },
            "ownerReferences": [{ "apiVersion": "agoge.dev/v1alpha1", "kind": "CheckerSuite", "name": name, "uid": "owner", "controller": true }],
        },
        "spec": { "template": {} },
    }))
    .unwrap()
}

fn pod(name: &str, job: &str, phase: &str) -> Pod {
    serde_json::from_value(json!({
        "metadata": {
            "name": name, "namespace": "ns", "uid": format!("uid-{name}"),
            "ownerReferences": [{ "apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": job, "controller": true }],
        },
        "status": { "phase": phase },
    }))
    .unwrap()
}

fn target(name: &str) -> Target {
    Target {
        kind: Kind::CheckerSuite,
        namespace: "ns".into(),
        name: name.into(),
    }
}

fn requested(receiver: &mut UnboundedReceiver<Target>) -> Vec<String> {
    std::iter::from_fn(|| receiver.try_recv().ok())
        .map(|target| target.name)
        .collect()
}

fn index() -> (Index, UnboundedReceiver<Target>) {
    let (requests, receivers) = ReconcileRequests::channels();
    (Index::new(requests), receivers.checker_suites)
}

fn refusal(job: &str) -> CoreEvent {
    serde_json::from_value(json!({
        "metadata": { "name": job, "namespace": "ns" },
        "involvedObject": { "kind": "Job", "uid": job },
        "reason": "FailedCreate", "message": "exceeded quota",
    }))
    .unwrap()
}

/// Shared reflector streams stall after this sequence, and never show the deletion.
#[test]
fn a_deletion_requests_a_reconcile_and_so_does_the_next_event() {
    let (index, mut receiver) = index();
    for event in [
        Event::Apply(job("a", "1", 1)),
        Event::Delete(job("a", "1", 2)),
        Event::Apply(job("b", "2", 3)),
    ] {
        index.update_jobs(&event);
    }
    assert_eq!(requested(&mut receiver), ["a", "a", "b"]);
    assert!(index.children(&target("a"), "owner").is_empty());
}

#[test]
fn a_job_that_this_process_wrote_counts_as_seen_and_survives_an_older_list() {
    let (index, mut receiver) = index();
    index.update_jobs(&Event::Init);
    index.wrote(&job("a", "1", 5));
    index.update_jobs(&Event::InitDone);
    assert_eq!(index.children(&target("a"), "owner").len(), 1);
    // An older state of it changes nothing and requests nothing.
    index.update_jobs(&Event::Apply(job("a", "1", 4)));
    assert_eq!(index.children(&target("a"), "owner")[0].job.version, 5);
    assert!(requested(&mut receiver).is_empty());
    // Once confirmed, it is gone when a list does not contain it.
    index.update_jobs(&Event::Apply(job("a", "1", 6)));
    index.update_jobs(&Event::Init);
    index.update_jobs(&Event::InitDone);
    assert!(index.children(&target("a"), "owner").is_empty());
    assert_eq!(requested(&mut receiver), ["a"]);
}

#[test]
fn a_change_of_a_pod_requests_its_owner_and_no_change_requests_nothing() {
    let (index, mut receiver) = index();
    index.update_jobs(&Event::Apply(job("a", "1", 1)));
    index.update_pods(&Event::Apply(pod("a-0", "1", "Pending")));
    index.update_pods(&Event::Apply(pod("a-0", "1", "Pending")));
    index.update_pods(&Event::Apply(pod("a-0", "1", "Failed")));
    index.update_pods(&Event::Delete(pod("a-0", "1", "Failed")));
    assert_eq!(requested(&mut receiver), ["a"; 4]);
}

#[test]
fn a_recreated_owner_has_no_children_of_its_namesake() {
    let (index, _receiver) = index();
    index.update_jobs(&Event::Apply(job("a", "1", 1)));
    assert!(index.children(&target("a"), "another").is_empty());
}

#[test]
fn a_thousand_children_that_come_and_go_leave_all_maps_empty() {
    let (index, _receiver) = index();
    index.update_jobs(&Event::Init);
    index.update_jobs(&Event::InitDone);
    for n in 0..1000 {
        let (name, uid) = (format!("suite-{n}"), format!("job-{n}"));
        index.update_refusals(&Event::Apply(refusal(&uid)));
        index.wrote(&job(&name, &uid, 1));
        index.update_jobs(&Event::Apply(job(&name, &uid, 1)));
        index.update_pods(&Event::Apply(pod(&format!("{name}-0"), &uid, "Pending")));
        index.update_refusals(&Event::Apply(refusal(&uid)));
    }
    assert!(index.entries() > 4000);
    for n in 0..1000 {
        let (name, uid) = (format!("suite-{n}"), format!("job-{n}"));
        let gone = index.update_jobs(&Event::Delete(job(&name, &uid, 2)));
        assert_eq!(gone[0].name, name, "its reports can be dropped");
        index.update_pods(&Event::Delete(pod(&format!("{name}-0"), &uid, "Failed")));
    }
    assert_eq!(index.entries(), 0);
}

#[test]
fn a_pod_whose_name_another_job_took_over_is_dropped_from_the_first() {
    let (index, _receiver) = index();
    index.update_pods(&Event::Apply(pod("a-0", "1", "Running")));
    // The watch missed the deletion of the first pod and of its Job.
    index.update_pods(&Event::Init);
    index.update_pods(&Event::InitApply(pod("a-0", "2", "Pending")));
    index.update_pods(&Event::InitDone);
    index.update_pods(&Event::Delete(pod("a-0", "2", "Pending")));
    assert_eq!(index.entries(), 0);
}

#[test]
fn early_refusals_wait_for_their_job_and_those_of_foreign_jobs_are_dropped() {
    let mut children = Children::default();
    let start = Instant::now();
    let later = start + Duration::from_secs(60);
    children.update_jobs(&Event::InitDone, start);
    assert_eq!(children.refuse("foreign", "exceeded quota", start), None);
    assert_eq!(children.refuse("1", "exceeded quota", start), None);
    let (owners, _) = children.update_jobs(&Event::Apply(job("a", "1", 1)), start);
    let refused = children.newest_attempts(&owners[0], "owner");
    assert_eq!(refused[0].refused.as_deref(), Some("exceeded quota"));
    children.update_jobs(&Event::Delete(job("a", "1", 2)), later);
    assert_eq!(children.entries(), 0);
}
