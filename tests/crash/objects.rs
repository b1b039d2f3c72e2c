//! The objects of a namespace, without the parts that may differ from life to life.

use std::collections::BTreeMap;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Pod, Secret, Service};
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::{Api, Client, Resource, ResourceExt};
use serde_json::Value;

/// Fields of metadata that are every object's own.
const OWN: [&str; 6] = [
    "uid",
    "resourceVersion",
    "managedFields",
    "creationTimestamp",
    "generateName",
    "selfLink",
];
/// Durations and rates, times by another name; and the authority, which is made anew in every life.
const TIMES: [&str; 5] = ["activeSeconds", "rate", "eta", "timeLeft", "agoge.dev/ca"];

/// Every object of a namespace, by kind and name.
pub async fn of(client: &Client, namespace: &str) -> anyhow::Result<BTreeMap<String, Value>> {
    let mut all = vec![];
    for kind in [
        ApiResource::erase::<agoge_crds::SynthesisJob>(&()),
        ApiResource::erase::<agoge_crds::CheckerSuite>(&()),
        ApiResource::erase::<agoge_crds::GRPORun>(&()),
        ApiResource::erase::<Job>(&()),
        ApiResource::erase::<Pod>(&()),
        ApiResource::erase::<ConfigMap>(&()),
        ApiResource::erase::<Service>(&()),
        ApiResource::erase::<Secret>(&()),
    ] {
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &kind);
        for object in api.list(&ListParams::default()).await?.items {
            all.push((kind.kind.clone(), object));
        }
    }
    let mut names = vec![];
    for (kind, object) in &all {
        let known = known_as(object);
        // A pod's name ends in letters drawn by chance, and messages tell it.
        if kind == "Pod" {
            names.push((object.name_any(), known.clone()));
        }
        names.extend(
            object
                .uid()
                .map(|uid| (uid, format!("<uid of {kind} {known}>"))),
        );
    }
    let mut found = BTreeMap::new();
    for (kind, object) in &all {
        let mut value = serde_json::to_value(object)?;
        normalize(&mut value);
        let mut text = value.to_string().replace(namespace, "<namespace>");
        for (uid, name) in &names {
            text = text.replace(uid, name);
        }
        found.insert(
            format!("{kind} {}", known_as(object)),
            serde_json::from_str(&text)?,
        );
    }
    Ok(found)
}

/// A name that is the same in every life: a pod's ends in letters drawn by chance.
fn known_as(object: &DynamicObject) -> String {
    let job = object.labels().get("batch.kubernetes.io/job-name");
    let index = object
        .labels()
        .get("batch.kubernetes.io/job-completion-index");
    match (job, index) {
        (Some(job), Some(index)) => format!("{job}-{index}"),
        _ => object.name_any(),
    }
}

fn normalize(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for own in OWN.iter().chain(&TIMES) {
                map.shift_remove(*own);
            }
            // An authority is made anew in every life.
            if map
                .get("type")
                .is_some_and(|kind| kind == "Opaque" || kind == "kubernetes.io/tls")
            {
                map.shift_remove("data");
            }
            map.values_mut().for_each(normalize);
        }
        Value::Array(items) => items.iter_mut().for_each(normalize),
        Value::String(text) => {
            if let Ok(mut inner @ Value::Object(_)) = serde_json::from_str::<Value>(text) {
                normalize(&mut inner);
                *text = inner.to_string();
            } else if text.parse::<agoge_crds::Timestamp>().is_ok() {
                "<time>".clone_into(text);
            }
        }
        _ => {}
    }
}

/// The events about our objects: how often each was told.
pub async fn events_of(client: &Client, namespace: &str) -> anyhow::Result<BTreeMap<String, i32>> {
    let api: Api<Event> = Api::namespaced(client.clone(), namespace);
    let mut told = BTreeMap::new();
    for event in api.list(&ListParams::default()).await?.items {
        if event.involved_object.api_version.as_deref()
            == Some(agoge_crds::SynthesisJob::api_version(&()).as_ref())
        {
            let what = format!(
                "{} {}",
                event.involved_object.kind.unwrap_or_default(),
                event.reason.unwrap_or_default()
            );
            let times = event
                .series
                .and_then(|series| series.count)
                .or(event.count)
                .unwrap_or(1);
            *told.entry(what).or_default() += times;
        }
    }
    Ok(told)
}

/// Returns the number of missing events and the number of repeated ones.
pub fn events(clean: &BTreeMap<String, i32>, cut: &BTreeMap<String, i32>) -> (u64, u64) {
    let mut all: Vec<&String> = clean.keys().chain(cut.keys()).collect();
    all.sort();
    all.dedup();
    let difference = |what: &String| cut.get(what).unwrap_or(&0) - clean.get(what).unwrap_or(&0);
    let count = |wanted: fn(i32) -> i32| {
        all.iter()
            .map(|what| u64::try_from(wanted(difference(what))).unwrap_or(0))
            .sum()
    };
    (count(|d| (-d).max(0)), count(|d| d.max(0)))
}

/// Where two sets of objects differ, in words.
pub fn differences(clean: &BTreeMap<String, Value>, cut: &BTreeMap<String, Value>) -> Vec<String> {
    let mut found = vec![];
    for (name, value) in clean {
        match cut.get(name) {
            None => found.push(format!("{name} is missing")),
            Some(other) => differ(name, value, other, &mut found),
        }
    }
    found.extend(
        cut.keys()
            .filter(|name| !clean.contains_key(*name))
            .map(|name| format!("{name} is there too many")),
    );
    found
}

fn differ(at: &str, a: &Value, b: &Value, found: &mut Vec<String>) {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            for key in a.keys().chain(b.keys().filter(|key| !a.contains_key(*key))) {
                let null = Value::Null;
                differ(
                    &format!("{at}.{key}"),
                    a.get(key).unwrap_or(&null),
                    b.get(key).unwrap_or(&null),
                    found,
                );
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (n, (a, b)) in a.iter().zip(b).enumerate() {
                differ(&format!("{at}[{n}]"), a, b, found);
            }
        }
        _ if a == b => {}
        _ => found.push(format!("{at}: {a} became {b}")),
    }
}
