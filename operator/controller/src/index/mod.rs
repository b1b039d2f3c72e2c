//! The children of all objects as the API server has them: one Job watch and one pod watch serve the three controllers.
//!
//! Every change requests a reconcile of the owner. A Job that this process has just written counts as seen
//! ([`Index::wrote`]), so that a watch that lags behind makes nobody create or delete a child twice.
//!
//! Invariant: the maps hold entries of existing Jobs and pods only.

mod children;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use futures::{Stream, StreamExt};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Event as CoreEvent, Pod};
use kube::ResourceExt;
use kube::runtime::watcher::{self, Event};
use parking_lot::RwLock;

use crate::names::{Kind, Target};
use crate::observe::{JobFacts, PodFacts};
use crate::requests::ReconcileRequests;
use children::Children;

/// All children. Clones share them.
#[derive(Clone, Debug)]
pub struct Index {
    children: Arc<RwLock<Children>>,
    requests: ReconcileRequests,
}

/// A child: its Job and pods.
#[derive(Clone, Debug)]
pub struct ChildFacts {
    /// The Job.
    pub job: JobFacts,
    /// Its pods, by name.
    pub pods: Vec<PodFacts>,
    /// The reason for which the API server refused its pods.
    pub refused: Option<String>,
}

/// A pod that may report progress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reporter {
    /// Its uid.
    pub uid: String,
    /// The child's name.
    pub child: String,
    /// Its index.
    pub index: u32,
    /// The child's owner.
    pub owner: Target,
}

impl Index {
    /// Creates an empty index.
    #[must_use]
    pub fn new(requests: ReconcileRequests) -> Self {
        Self {
            children: Arc::default(),
            requests,
        }
    }

    /// Returns true once both watches have listed everything: before that, an absent child may merely be unknown.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.children.read().ready()
    }

    /// Returns the newest attempt of each child of an owner with this uid.
    #[must_use]
    pub fn children(&self, owner: &Target, uid: &str) -> Vec<ChildFacts> {
        self.children.read().newest_attempts(owner, uid)
    }

    /// Returns the pod of this name if it may report progress: it belongs to a child and has not ended.
    #[must_use]
    pub fn reporter(&self, namespace: &str, pod: &str) -> Option<Reporter> {
        self.children.read().reporter(namespace, pod)
    }

    /// Counts children by kind, component and state, for metrics.
    #[must_use]
    pub fn tally(&self) -> BTreeMap<(Kind, String, &'static str), usize> {
        self.children.read().tally()
    }

    /// Records a Job that this process has just written, as the API server answered it.
    pub fn wrote(&self, job: &Job) {
        if let Some(facts) = JobFacts::of(job) {
            self.children.write().put_unconfirmed(facts);
        }
    }

    /// Records that this process has just requested the deletion of a Job.
    pub fn deleting(&self, uid: &str) {
        self.children.write().mark_deleting(uid);
    }

    /// Updates the index from one event of the Job watch. Returns the Jobs that are gone.
    pub fn update_jobs(&self, event: &Event<Job>) -> Vec<JobFacts> {
        let (owners, gone) = self.children.write().update_jobs(event, Instant::now());
        self.requests.request_all(&owners);
        gone
    }

    /// Updates the index from one event of the pod watch.
    pub fn update_pods(&self, event: &Event<Pod>) {
        let owners = self.children.write().update_pods(event);
        self.requests.request_all(&owners);
    }

    /// Updates the index from an Event in which the Job controller says why it could not create a pod.
    pub fn update_refusals(&self, event: &Event<CoreEvent>) {
        let (Event::Apply(refusal) | Event::InitApply(refusal)) = event else {
            return;
        };
        let (Some(uid), Some(message)) = (&refusal.involved_object.uid, &refusal.message) else {
            return;
        };
        let owner = self.children.write().refuse(uid, message, Instant::now());
        self.requests.request_all(&owner);
    }

    /// Returns the number of entries in all maps.
    #[cfg(test)]
    pub(crate) fn entries(&self) -> usize {
        self.children.read().entries()
    }
}

/// The objects that a list under way has shown so far.
#[derive(Debug)]
struct Listing<K>(Option<HashSet<K>>);

impl<K> Default for Listing<K> {
    fn default() -> Self {
        Self(None)
    }
}

impl<K: std::hash::Hash + Eq> Listing<K> {
    fn begin(&mut self) {
        self.0 = Some(HashSet::new());
    }

    fn add(&mut self, key: K) {
        if let Some(listed) = &mut self.0 {
            listed.insert(key);
        }
    }

    fn end(&mut self) -> HashSet<K> {
        self.0.take().unwrap_or_default()
    }
}

/// Returns namespace and name of a pod.
fn pod_key(pod: &Pod) -> (String, String) {
    (pod.namespace().unwrap_or_default(), pod.name_any())
}

/// Passes the events of a watch on until the watch ends. Errors are logged; the watch recovers from them by itself.
pub async fn follow<K>(
    resource: &'static str,
    events: impl Stream<Item = Result<Event<K>, watcher::Error>>,
    mut update: impl FnMut(&Event<K>),
) {
    let mut events = std::pin::pin!(events);
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => update(&event),
            Err(error) => {
                tracing::warn!(%error, resource, "a watch was interrupted; it is resumed");
            }
        }
    }
}

#[cfg(test)]
mod tests;
