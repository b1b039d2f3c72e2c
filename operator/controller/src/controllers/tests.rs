//! A controller on an API server in memory: objects that come and go leave nothing behind.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use clap::Parser as _;
use futures::channel::mpsc;
use serde_json::json;

use super::*;
use crate::fake_api::FakeApi;
use crate::names::Kind;
use crate::reconcile::tests::{domain, shared, suite};

#[derive(clap::Parser)]
struct CommandLine {
    #[command(flatten)]
    options: Options,
}

const OBJECTS: usize = 1000;
const SUITES: &str = "/apis/agoge.dev/v1alpha1/namespaces/team/checkersuites";
const JOBS: &str = "/apis/batch/v1/namespaces/team/jobs";

/// Every second suite waits for a SynthesisJob that does not exist.
fn object(n: usize) -> serde_json::Value {
    let source = match n % 2 {
        0 => json!({ "path": "sha256:d" }),
        _ => json!({ "synthesisJob": "missing" }),
    };
    suite(&format!("suite-{n}"), &source)
}

async fn eventually(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..3000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what} does not hold after 30 s");
}

#[tokio::test]
async fn a_thousand_objects_that_come_and_go_leave_all_maps_empty() {
    let (api, leads) = (FakeApi::default(), Arc::new(AtomicBool::new(true)));
    let (requests, receivers) = ReconcileRequests::channels();
    let (shared, writers) = shared(&api, &leads, &requests);
    domain(&api);
    shared.index.update_jobs(&Event::Init);
    shared.index.update_jobs(&Event::InitDone);
    let controllers = Controllers {
        client: api.client(),
        options: CommandLine::parse_from(["agoge"]).options,
        shared: shared.clone(),
        requests: requests.clone(),
        stop: CancellationToken::new(),
    };
    let context = controllers.context(&shared.stores.checker_suites);
    let (watch, events) = mpsc::unbounded();
    let send = |event: Event<Guarded<CheckerSuite>>| watch.unbounded_send(Ok(event)).unwrap();
    let control = controllers.control(
        context.clone(),
        events,
        writers.checker_suites,
        receivers.checker_suites,
    );
    let scenario = async {
        send(Event::Init);
        send(Event::InitDone);
        let put = |n| api.put(&format!("{SUITES}/suite-{n}"), object(n));
        let objects: Vec<Guarded<CheckerSuite>> = (0..OBJECTS)
            .map(|n| serde_json::from_value(put(n)).unwrap())
            .collect();
        objects
            .iter()
            .for_each(|object| send(Event::Apply(object.clone())));
        let jobs = || {
            (0..OBJECTS).step_by(2).filter_map(|n| {
                let job = api.get(&format!("{JOBS}/suite-{n}-qualify"))?;
                serde_json::from_value::<Job>(job).ok()
            })
        };
        eventually("a Job for every second suite", || {
            jobs().count() == OBJECTS / 2 && context.memory.entries() == OBJECTS
        })
        .await;
        assert!(shared.references.entries() > OBJECTS / 2);
        for job in jobs() {
            shared.index.update_jobs(&Event::Apply(job.clone()));
            shared.index.update_jobs(&Event::Delete(job));
        }
        // The watch shows half of the deletions; the other objects are missing from its next list.
        let (seen, missed) = objects.split_at(OBJECTS / 2);
        seen.iter()
            .for_each(|object| send(Event::Delete(object.clone())));
        send(Event::Init);
        send(Event::InitDone);
        assert!(!missed.is_empty());
        // A child of an object that is gone requests a reconcile of it.
        requests.request(&Target {
            kind: Kind::CheckerSuite,
            namespace: "team".into(),
            name: "suite-0".into(),
        });
        eventually("the maps are empty", || {
            context.memory.entries() == 0
                && shared.references.entries() == 0
                && shared.index.entries() == 0
                && shared.metrics.waiting() == 0
        })
        .await;
        controllers.stop.cancel();
    };
    futures::future::join(control, scenario).await;
}
