//! Writes against an API server in memory: preconditions, refusals, and silence of a replica that does not lead.

use std::sync::atomic::{AtomicBool, Ordering};

use agoge_crds::{CheckerSuite, CheckerSuiteStatus, Phase, conditions};
use kube::core::DeserializeGuard;
use serde_json::{Value, json};

use super::*;
use crate::fake_api::FakeApi;
use crate::names::{Kind, Target};
use crate::observe::JobFacts;
use crate::render::Rendered;

const SUITE: &str = "/apis/agoge.dev/v1alpha1/namespaces/team/checkersuites/desk";
const JOB: &str = "/apis/batch/v1/namespaces/team/jobs/desk-qualify";

struct Setup {
    api: FakeApi,
    writer: Writer,
    leads: Arc<AtomicBool>,
}

fn setup() -> Setup {
    let api = FakeApi::default();
    let leads = Arc::new(AtomicBool::new(true));
    let leading = leads.clone();
    let writer = Writer::new(
        api.client(),
        Arc::new(move || leading.load(Ordering::Relaxed)),
        "replica",
        Metrics::new().unwrap(),
    );
    Setup { api, writer, leads }
}

fn suite(api: &FakeApi, spec: Value) -> Value {
    let suite = json!({
        "apiVersion": "agoge.dev/v1alpha1", "kind": "CheckerSuite",
        "metadata": { "name": "desk", "namespace": "team", "uid": "u-1", "generation": 3 },
        "spec": spec,
    });
    api.put(SUITE, suite)
}

fn readable(api: &FakeApi) -> CheckerSuite {
    let spec = json!({ "domain": "desk", "source": { "synthesisJob": "desk" } });
    serde_json::from_value(suite(api, spec)).unwrap()
}

fn waiting() -> CheckerSuiteStatus {
    let mut status = CheckerSuiteStatus::default();
    status.run.phase = Phase::Waiting;
    status
}

fn child() -> Rendered {
    let meta = json!({ "name": "desk-qualify", "namespace": "team" });
    let job = json!({ "metadata": meta, "spec": { "template": {} } });
    Rendered {
        service: Some(serde_json::from_value(json!({ "metadata": meta })).unwrap()),
        group: None,
        job: serde_json::from_value(job).unwrap(),
    }
}

fn job_facts(uid: &str) -> JobFacts {
    JobFacts {
        uid: uid.into(),
        name: "desk-qualify".into(),
        version: 1,
        owner: Target {
            kind: Kind::CheckerSuite,
            namespace: "team".into(),
            name: "desk".into(),
        },
        owner_uid: "u-1".into(),
        key: "qualify".into(),
        attempt: 0,
        component: "qualify".into(),
        shards: 1,
        suspended: false,
        queued: false,
        deleting: false,
        gang: false,
        complete: false,
        failed: None,
    }
}

#[tokio::test]
async fn a_status_is_refused_when_the_object_has_changed() {
    let s = setup();
    let stale = readable(&s.api);
    let written = s.writer.write_status(&stale, &waiting()).await.unwrap();
    assert_eq!(written.status, Some(waiting()));
    let refused = s.writer.write_status(&stale, &waiting()).await.unwrap_err();
    assert_eq!(refused.class(), "Conflict");
    s.writer.write_status(&written, &waiting()).await.unwrap();
}

#[tokio::test]
async fn nothing_is_sent_by_a_replica_that_does_not_lead() {
    let s = setup();
    let object = readable(&s.api);
    s.leads.store(false, Ordering::Relaxed);
    let refused = s
        .writer
        .write_status(&object, &waiting())
        .await
        .unwrap_err();
    assert_eq!(refused.class(), "NotLeading");
    assert!(s.writer.create_child(&child()).await.is_err());
    assert!(s.writer.delete_job(&job_facts("u")).await.is_err());
    assert!(s.writer.delete_object(&object).await.is_err());
    assert!(s.api.take_log().is_empty());
}

#[tokio::test]
async fn a_job_is_created_last_and_one_that_exists_is_left_alone() {
    let s = setup();
    let created = s.writer.create_child(&child()).await.unwrap();
    assert!(created.is_some());
    assert_eq!(
        s.api.take_log(),
        ["PATCH services/desk-qualify", "POST jobs"]
    );
    assert!(s.writer.create_child(&child()).await.unwrap().is_none());
    s.api.refuse("services/desk-qualify", 403, "Forbidden");
    let refused = s.writer.create_child(&child()).await.unwrap_err();
    assert_eq!(refused.code(), Some(403));
    assert!(refused.to_string().contains("apply a Service"));
}

#[tokio::test]
async fn a_deletion_spares_a_namesake_and_accepts_that_the_job_is_gone() {
    let s = setup();
    s.api.put(JOB, json!({ "metadata": { "uid": "new" } }));
    s.writer.delete_job(&job_facts("old")).await.unwrap();
    assert!(s.api.get(JOB).is_some());
    s.writer.delete_job(&job_facts("new")).await.unwrap();
    assert!(s.api.get(JOB).is_none());
    s.writer.delete_job(&job_facts("new")).await.unwrap();
    s.api.refuse("jobs/desk-qualify", 500, "InternalError");
    assert!(s.writer.delete_job(&job_facts("new")).await.is_err());
}

#[tokio::test]
async fn an_unreadable_object_is_reported_and_a_later_status_replaces_the_report() {
    let s = setup();
    let guard: DeserializeGuard<CheckerSuite> =
        serde_json::from_value(suite(&s.api, json!(7))).unwrap();
    let error = &guard.0.as_ref().unwrap_err().error.clone();
    s.writer.report_invalid(&guard, error, 3).await.unwrap();
    let status = s.api.get(SUITE).unwrap()["status"].clone();
    assert_eq!(status["phase"], "Waiting");
    assert_eq!(status["conditions"][0]["reason"], "InvalidSpec");
    assert_eq!(status["conditions"][1]["type"], "Stalled");
    let writes = s.api.take_writes();
    assert_eq!(writes, ["POST events", "PATCH checkersuites/desk/status"]);

    // It is corrected. The API server keeps merged conditions when another status is applied.
    let spec = json!({ "domain": "desk", "source": { "synthesisJob": "desk" } });
    let mut corrected = suite(&s.api, spec);
    corrected["status"] = status;
    let object: CheckerSuite = serde_json::from_value(s.api.put(SUITE, corrected)).unwrap();
    let written = s.writer.write_status(&object, &waiting()).await.unwrap();
    let conditions = written.status.unwrap().run.conditions;
    assert!(conditions::get(&conditions, conditions::STALLED).is_none());
}
