//! Reconciles against an API server in memory: the order of writes, and what is not written.

use std::sync::atomic::{AtomicBool, Ordering};

use agoge_crds::{CheckerSuite, SynthesisJob};
use kube::runtime::reflector::store::Writer as StoreWriter;
use kube::runtime::watcher::Event;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::*;
use crate::controllers::{self, StoreWriters};
use crate::fake_api::FakeApi;
use crate::index::Index;
use crate::metrics::Metrics;
use crate::references::References;
use crate::render::StoreFrom;
use crate::requests::ReconcileRequests;
use crate::resolve::{Defaults, Resolver};
use crate::write::Writer;

const SUITE: &str = "/apis/agoge.dev/v1alpha1/namespaces/team/checkersuites/desk";
const JOB: &str = "/apis/agoge.dev/v1alpha1/namespaces/team/synthesisjobs/desk";
const DOMAIN: &str = "/api/v1/namespaces/team/configmaps/desk";

/// Returns the shared parts of an operator that leads while `leads` is true, on an API server in memory.
pub(crate) fn shared(
    api: &FakeApi,
    leads: &Arc<AtomicBool>,
    requests: &ReconcileRequests,
) -> (Arc<Shared>, StoreWriters) {
    let metrics = Metrics::new().unwrap();
    let (stores, writers) = controllers::stores();
    let leading = leads.clone();
    let leads: crate::write::Leads = Arc::new(move || leading.load(Ordering::Relaxed));
    let defaults = Defaults {
        store: Some(StoreFrom {
            url: "s3://runs".into(),
            ..StoreFrom::default()
        }),
        image: "worker:dev".into(),
        pull_policy: "IfNotPresent".into(),
        service_account: "default".into(),
        progress_url: "https://progress".into(),
    };
    let shared = Shared {
        index: Index::new(requests.clone()),
        stores,
        references: References::default(),
        resolver: Resolver::new(api.client(), defaults),
        writer: Writer::new(api.client(), leads, "replica", metrics.clone()),
        metrics,
        reports: Arc::new(|_, _| Default::default()),
        authority: Arc::new(|| Some("PEM".into())),
        status_writes: Semaphore::new(CONCURRENT_STATUS_WRITES),
        warm: AtomicBool::new(true),
    };
    (Arc::new(shared), writers)
}

pub(crate) fn domain(api: &FakeApi) {
    let map = json!({ "metadata": { "name": "desk", "namespace": "team" }, "data": {} });
    api.put(DOMAIN, map);
}

pub(crate) fn suite(name: &str, source: &Value) -> Value {
    json!({
        "apiVersion": "agoge.dev/v1alpha1", "kind": "CheckerSuite",
        "metadata": {
            "name": name, "namespace": "team", "uid": format!("uid-of-{name}"), "generation": 1,
            "creationTimestamp": "2026-11-01T00:00:00Z",
        },
        "spec": { "domain": "desk", "source": source },
    })
}

fn job() -> Value {
    json!({
        "apiVersion": "agoge.dev/v1alpha1", "kind": "SynthesisJob",
        "metadata": { "name": "desk", "namespace": "team", "uid": "u-1", "generation": 1 },
        "spec": {
            "domain": "desk",
            "strategies": [{ "name": "template", "target": { "accepted": 10 } }],
        },
    })
}

struct Harness<K: AgogeResource> {
    api: FakeApi,
    leads: Arc<AtomicBool>,
    path: &'static str,
    context: Arc<Context<K>>,
    writer: StoreWriter<Guarded<K>>,
}

impl<K: AgogeResource> Harness<K> {
    /// Reconciles the object as the API server has it.
    async fn reconcile(&mut self) -> Result<Action, ReconcileError> {
        let current = self.api.get(self.path).unwrap();
        self.reconcile_watched(current).await
    }

    /// Reconciles the object as the watch shows it.
    async fn reconcile_watched(&mut self, watched: Value) -> Result<Action, ReconcileError> {
        let guard: Guarded<K> = serde_json::from_value(watched).unwrap();
        let event = Event::Apply(guard.clone());
        self.writer.apply_watcher_event(&event);
        let result = reconcile(Arc::new(guard.clone()), self.context.clone()).await;
        match result {
            Err(error) => {
                // As the controller does.
                error_policy(Arc::new(guard), &error, self.context.clone());
                Err(error)
            }
            ok => ok,
        }
    }

    fn condition(&self, type_: &str) -> Value {
        let object = self.api.get(self.path).unwrap();
        let conditions = object["status"]["conditions"].as_array().cloned();
        let found = conditions
            .into_iter()
            .flatten()
            .find(|condition| condition["type"] == type_);
        found.unwrap_or(Value::Null)
    }
}

fn suites(source: &Value) -> Harness<CheckerSuite> {
    let (api, leads) = (FakeApi::default(), Arc::new(AtomicBool::new(true)));
    let (requests, _receivers) = ReconcileRequests::channels();
    let (shared, writers) = shared(&api, &leads, &requests);
    api.put(SUITE, suite("desk", source));
    let store = shared.stores.checker_suites.clone();
    Harness {
        api,
        leads,
        path: SUITE,
        context: Arc::new(Context::new(shared, store)),
        writer: writers.checker_suites,
    }
}

fn jobs() -> Harness<SynthesisJob> {
    let (api, leads) = (FakeApi::default(), Arc::new(AtomicBool::new(true)));
    let (requests, _receivers) = ReconcileRequests::channels();
    let (shared, writers) = shared(&api, &leads, &requests);
    api.put(JOB, job());
    let store = shared.stores.synthesis_jobs.clone();
    Harness {
        api,
        leads,
        path: JOB,
        context: Arc::new(Context::new(shared, store)),
        writer: writers.synthesis_jobs,
    }
}

fn dataset() -> Value {
    json!({ "path": "sha256:d" })
}

#[tokio::test]
async fn a_child_that_is_made_from_the_status_starts_after_the_status_is_written() {
    let mut h = suites(&dataset());
    domain(&h.api);
    h.reconcile().await.unwrap();
    let writes = h.api.take_writes();
    assert_eq!(writes, ["PATCH checkersuites/desk/status", "POST jobs"]);
    // The watch shows the written status: there is nothing left to do.
    h.reconcile().await.unwrap();
    assert!(h.api.take_writes().is_empty());
    assert_eq!(h.context.memory.entries(), 0);
}

#[tokio::test]
async fn a_stale_watch_does_not_repeat_what_this_process_wrote() {
    let mut h = suites(&dataset());
    domain(&h.api);
    let stale = h.api.get(SUITE).unwrap();
    h.reconcile().await.unwrap();
    h.api.take_log();
    h.reconcile_watched(stale).await.unwrap();
    assert!(h.api.take_writes().is_empty());
}

#[tokio::test]
async fn a_child_that_needs_nothing_of_the_status_starts_first_and_the_first_status_waits() {
    let mut h = jobs();
    domain(&h.api);
    let action = Box::pin(h.reconcile()).await.unwrap();
    assert_eq!(h.api.take_writes(), ["POST jobs"]);
    assert_ne!(action, Action::await_change(), "the status is due later");
    Box::pin(h.reconcile()).await.unwrap();
    assert!(h.api.take_writes().is_empty());
}

#[tokio::test]
async fn a_conflict_is_retried_soon_and_starts_no_child() {
    let mut h = suites(&dataset());
    domain(&h.api);
    let stale = h.api.get(SUITE).unwrap();
    h.api.put(SUITE, suite("desk", &json!({ "path": "other" })));
    let error = h.reconcile_watched(stale.clone()).await.unwrap_err();
    assert_eq!(error.class(), "Conflict");
    assert_eq!(h.api.take_writes(), ["PATCH checkersuites/desk/status"]);
    let guard: Guarded<CheckerSuite> = serde_json::from_value(stale).unwrap();
    let action = error_policy(Arc::new(guard), &error, h.context.clone());
    assert_eq!(action, Action::requeue(AFTER_CONFLICT));
    h.reconcile().await.unwrap();
    assert_eq!(
        h.api.take_writes(),
        ["PATCH checkersuites/desk/status", "POST jobs"]
    );
}

#[tokio::test]
async fn failures_in_a_row_are_retried_with_growing_pauses() {
    let mut h = suites(&dataset());
    domain(&h.api);
    for _ in 0..2 {
        h.api
            .refuse("checkersuites/desk/status", 500, "InternalError");
        let error = h.reconcile().await.unwrap_err();
        assert_eq!(error.class(), "Server");
    }
    let target = Target {
        kind: crate::names::Kind::CheckerSuite,
        namespace: "team".into(),
        name: "desk".into(),
    };
    let memory = &h.context.memory;
    assert_eq!(memory.count_failure(&target, "uid-of-desk"), 3);
    h.reconcile().await.unwrap();
    let memory = &h.context.memory;
    assert_eq!(memory.count_failure(&target, "uid-of-desk"), 1);
}

#[tokio::test]
async fn a_replica_that_does_not_lead_writes_and_reads_nothing() {
    let mut h = suites(&dataset());
    domain(&h.api);
    h.leads.store(false, Ordering::Relaxed);
    let action = h.reconcile().await.unwrap();
    assert_eq!(action, Action::await_change());
    let mut unreadable = h.api.get(SUITE).unwrap();
    unreadable["spec"] = json!(7);
    h.reconcile_watched(unreadable).await.unwrap();
    assert!(h.api.take_log().is_empty());
}

#[tokio::test]
async fn a_name_that_cannot_be_resolved_is_reported_and_checked_again() {
    let mut h = suites(&dataset());
    let action = h.reconcile().await.unwrap();
    assert_eq!(action, Action::requeue(CHECK_AGAIN));
    let writes = h.api.take_writes();
    assert_eq!(writes[0], "PATCH checkersuites/desk/status");
    assert!(!writes.contains(&"POST jobs".to_owned()), "{writes:?}");
    let progressing = h.condition("Progressing");
    assert_eq!(progressing["reason"], "DomainNotFound", "{progressing}");
    // Nothing changed: nothing is written. Then the domain is there.
    h.reconcile().await.unwrap();
    assert!(h.api.take_writes().is_empty());
    domain(&h.api);
    h.reconcile().await.unwrap();
    assert!(h.api.take_writes().contains(&"POST jobs".to_owned()));
}

#[tokio::test]
async fn an_api_server_that_does_not_resolve_names_is_an_error_and_not_a_condition() {
    let mut h = suites(&dataset());
    h.api.refuse("configmaps/desk", 500, "InternalError");
    let error = h.reconcile().await.unwrap_err();
    assert_eq!(error.class(), "LookUp");
    assert!(h.api.take_writes().is_empty());
}

#[tokio::test]
async fn a_job_that_is_refused_is_reported_at_once() {
    let mut h = suites(&dataset());
    domain(&h.api);
    h.api.refuse("namespaces/team/jobs", 403, "exceeded quota");
    let action = h.reconcile().await.unwrap();
    assert_eq!(action, Action::requeue(Duration::ZERO));
    h.api.take_log();
    h.api.refuse("namespaces/team/jobs", 403, "exceeded quota");
    h.reconcile().await.unwrap();
    let progressing = h.condition("Progressing");
    assert_eq!(progressing["reason"], "QuotaExceeded", "{progressing}");
    // There is room: the Job starts, and the obstacle is forgotten.
    h.api.take_log();
    let action = h.reconcile().await.unwrap();
    assert!(h.api.take_writes().contains(&"POST jobs".to_owned()));
    assert_ne!(action, Action::requeue(CHECK_AGAIN));
}

#[tokio::test]
async fn a_template_that_is_not_allowed_fails_the_object() {
    let mut h = suites(&dataset());
    domain(&h.api);
    let mut object = suite("desk", &dataset());
    object["spec"]["worker"] = json!({ "overlay": { "spec": { "hostNetwork": true } } });
    h.api.put(SUITE, object);
    h.reconcile().await.unwrap();
    let failed = h.condition("Failed");
    assert_eq!(failed["status"], "True", "{failed}");
    let message = failed["message"].as_str().unwrap();
    assert!(message.contains("spec.hostNetwork"), "{message}");
    assert!(!h.api.take_writes().contains(&"POST jobs".to_owned()));
}

#[tokio::test]
async fn a_job_that_is_not_wanted_any_more_is_deleted_by_its_uid() {
    let mut h = suites(&dataset());
    domain(&h.api);
    h.reconcile().await.unwrap();
    let mut object = h.api.get(SUITE).unwrap();
    object["spec"]["runPolicy"] = json!({ "suspend": true });
    h.api.put(SUITE, object);
    h.api.take_log();
    h.reconcile().await.unwrap();
    let writes = h.api.take_writes();
    assert!(
        writes.iter().any(|write| write.starts_with("DELETE jobs/")),
        "{writes:?}"
    );
    h.reconcile().await.unwrap();
    let writes = h.api.take_writes();
    assert!(
        !writes.iter().any(|write| write.starts_with("DELETE jobs/")),
        "once: {writes:?}"
    );
}

#[tokio::test]
async fn a_suite_waits_for_its_synthesis_job() {
    let mut h = suites(&json!({ "synthesisJob": "desk" }));
    domain(&h.api);
    h.reconcile().await.unwrap();
    let accepted = h.condition("Accepted");
    assert_eq!(accepted["reason"], "SynthesisJobNotFound", "{accepted}");
    assert!(!h.api.take_writes().contains(&"POST jobs".to_owned()));
}

#[tokio::test]
async fn an_unreadable_object_is_reported_once_a_generation() {
    let mut h = suites(&dataset());
    let mut unreadable = suite("desk", &dataset());
    unreadable["spec"] = json!(7);
    let unreadable = h.api.put(SUITE, unreadable);
    h.reconcile_watched(unreadable.clone()).await.unwrap();
    assert_eq!(
        h.api.take_writes(),
        ["POST events", "PATCH checkersuites/desk/status"]
    );
    h.reconcile_watched(unreadable).await.unwrap();
    assert!(h.api.take_writes().is_empty());
}
