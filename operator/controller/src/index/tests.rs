use super::*;
use serde_json::json;

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

fn heard(receiver: &mut mpsc::UnboundedReceiver<Target>) -> Vec<String> {
    std::iter::from_fn(|| receiver.try_recv().ok())
        .map(|target| target.name)
        .collect()
}

fn index() -> (Index, mpsc::UnboundedReceiver<Target>) {
    let (pokes, mut receivers) = Pokes::new();
    let receiver = receivers.remove(&Kind::CheckerSuite).unwrap();
    (Index::new(pokes), receiver)
}

/// Shared reflector streams go deaf after this sequence, and never tell of the deletion.
#[test]
fn a_deletion_is_told_and_what_follows_it_too() {
    let (index, mut receiver) = index();
    for event in [
        Event::Apply(job("a", "1", 1)),
        Event::Delete(job("a", "1", 2)),
        Event::Apply(job("b", "2", 3)),
    ] {
        index.job(&event);
    }
    assert_eq!(heard(&mut receiver), ["a", "a", "b"]);
    assert!(index.children(&target("a"), "owner").is_empty());
}

#[test]
fn what_this_process_wrote_counts_as_seen_and_survives_a_list_that_is_older() {
    let (index, mut receiver) = index();
    index.job(&Event::Init);
    index.wrote(&job("a", "1", 5));
    index.job(&Event::InitDone);
    assert_eq!(index.children(&target("a"), "owner").len(), 1);
    // An older state of it changes nothing, and is nobody's news.
    index.job(&Event::Apply(job("a", "1", 4)));
    assert_eq!(index.children(&target("a"), "owner")[0].job.version, 5);
    assert!(heard(&mut receiver).is_empty());
    // Confirmed and then gone from a list: gone.
    index.job(&Event::Apply(job("a", "1", 6)));
    index.job(&Event::Init);
    index.job(&Event::InitDone);
    assert!(index.children(&target("a"), "owner").is_empty());
    assert_eq!(heard(&mut receiver), ["a"]);
}

#[test]
fn a_pods_change_is_its_owners_news_and_no_change_is_nobodys() {
    let (index, mut receiver) = index();
    index.job(&Event::Apply(job("a", "1", 1)));
    index.pod(&Event::Apply(pod("a-0", "1", "Pending")));
    index.pod(&Event::Apply(pod("a-0", "1", "Pending")));
    index.pod(&Event::Apply(pod("a-0", "1", "Failed")));
    index.pod(&Event::Delete(pod("a-0", "1", "Failed")));
    assert_eq!(heard(&mut receiver), ["a"; 4]);
}

#[test]
fn an_owner_made_anew_has_none_of_its_namesakes_children() {
    let (index, _receiver) = index();
    index.job(&Event::Apply(job("a", "1", 1)));
    assert!(index.children(&target("a"), "another").is_empty());
}
