//! The children of all objects as the API server has them: one Job watch and one pod watch for the three controllers.
//!
//! Every change is told to the owner's controller by [`Pokes`] (not by kube's shared streams, which can stall for ever and
//! hide deletions). What the driver itself has just written counts as seen ([`Index::wrote`]), so that a watch that lags
//! behind makes nobody create or delete a thing twice.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use futures::channel::mpsc;
use futures::{Stream, StreamExt};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Event as Told, Pod};
use kube::ResourceExt;
use kube::runtime::watcher::{self, Event};

use crate::names::{Kind, Target};
use crate::observe::{JobFacts, PodFacts};

/// How long a write that no watch has confirmed counts as seen.
const UNCONFIRMED: Duration = Duration::from_secs(30);

/// Tells controllers which of their objects to look at.
#[derive(Clone, Debug)]
pub struct Pokes(Arc<HashMap<Kind, mpsc::UnboundedSender<Target>>>);

impl Pokes {
    /// A sender for all kinds, and a receiver for each.
    #[must_use]
    pub fn new() -> (Self, HashMap<Kind, mpsc::UnboundedReceiver<Target>>) {
        let (mut senders, mut receivers) = (HashMap::new(), HashMap::new());
        for kind in Kind::ALL {
            let (sender, receiver) = mpsc::unbounded();
            senders.insert(kind, sender);
            receivers.insert(kind, receiver);
        }
        (Self(Arc::new(senders)), receivers)
    }

    /// Has this object looked at. Its controller takes each object once, however often it is told.
    pub fn poke(&self, target: &Target) {
        if let Some(sender) = self.0.get(&target.kind) {
            // A receiver that is gone belongs to an operator that is going.
            let _ = sender.unbounded_send(target.clone());
        }
    }
}

/// All children.
#[derive(Clone, Debug)]
pub struct Index {
    inner: Arc<RwLock<Inner>>,
    pokes: Pokes,
}

#[derive(Debug, Default)]
struct Inner {
    /// By uid.
    jobs: HashMap<String, JobFacts>,
    /// Uids of an owner's Jobs.
    of_owner: HashMap<Target, HashSet<String>>,
    /// By Job's uid, then by pod's name.
    pods: HashMap<String, BTreeMap<String, PodFacts>>,
    /// Job's uid of a pod: namespace and name.
    job_of: HashMap<(String, String), String>,
    /// Why a Job's pods were refused, by the Job's uid.
    refused: HashMap<String, String>,
    /// Written by us and not confirmed by a watch yet.
    unconfirmed: HashMap<String, Instant>,
    /// What the relist that is under way has seen.
    listed_jobs: Option<HashSet<String>>,
    listed_pods: Option<HashSet<(String, String)>>,
    jobs_ready: bool,
    pods_ready: bool,
}

/// A child: its Job and pods.
#[derive(Clone, Debug)]
pub struct ChildFacts {
    /// The Job.
    pub job: JobFacts,
    /// Its pods, by name.
    pub pods: Vec<PodFacts>,
    /// Why its pods were refused.
    pub refused: Option<String>,
}

/// A pod that reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reporter {
    /// Its uid.
    pub uid: String,
    /// The child.
    pub child: String,
    /// Its index.
    pub index: u32,
    /// Whose child.
    pub owner: Target,
}

impl Index {
    /// Nothing known yet.
    #[must_use]
    pub fn new(pokes: Pokes) -> Self {
        Self {
            inner: Arc::default(),
            pokes,
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether both watches have listed everything once: before that an absent child may only not be known.
    #[must_use]
    pub fn ready(&self) -> bool {
        let inner = self.read();
        inner.jobs_ready && inner.pods_ready
    }

    /// The children of an object of this uid, newest attempt of each key.
    #[must_use]
    pub fn children(&self, owner: &Target, uid: &str) -> Vec<ChildFacts> {
        let inner = self.read();
        let mut newest: BTreeMap<&str, &JobFacts> = BTreeMap::new();
        for job in inner
            .of_owner
            .get(owner)
            .into_iter()
            .flatten()
            .filter_map(|uid| inner.jobs.get(uid))
            .filter(|job| job.owner_uid == uid)
        {
            let entry = newest.entry(&job.key).or_insert(job);
            if job.attempt > entry.attempt {
                *entry = job;
            }
        }
        newest
            .into_values()
            .map(|job| ChildFacts {
                job: job.clone(),
                pods: inner
                    .pods
                    .get(&job.uid)
                    .map(|pods| pods.values().cloned().collect())
                    .unwrap_or_default(),
                refused: inner.refused.get(&job.uid).cloned(),
            })
            .collect()
    }

    /// Who a pod may report for.
    #[must_use]
    pub fn reporter(&self, namespace: &str, pod: &str) -> Option<Reporter> {
        let inner = self.read();
        let job_uid = inner.job_of.get(&(namespace.to_owned(), pod.to_owned()))?;
        let facts = inner.pods.get(job_uid)?.get(pod)?;
        let job = inner.jobs.get(job_uid)?;
        (!facts.deleting && facts.ended.is_none()).then(|| Reporter {
            uid: facts.uid.clone(),
            child: job.name.clone(),
            index: facts.index,
            owner: job.owner.clone(),
        })
    }

    /// How many children there are, by kind, component and state, for metrics.
    #[must_use]
    pub fn tally(&self) -> BTreeMap<(Kind, String, &'static str), usize> {
        let inner = self.read();
        let mut tally = BTreeMap::new();
        for job in inner.jobs.values() {
            let runs = || {
                let pods = inner.pods.get(&job.uid);
                pods.is_some_and(|pods| pods.values().any(|pod| pod.running))
            };
            let state = match job {
                JobFacts { complete: true, .. } => "succeeded",
                JobFacts {
                    failed: Some(_), ..
                } => "failed",
                _ if runs() => "running",
                _ => "pending",
            };
            *tally
                .entry((job.owner.kind, job.component.clone(), state))
                .or_default() += 1;
        }
        tally
    }

    /// Takes in a Job that this process has just written, as the API server answered it.
    pub fn wrote(&self, job: &Job) {
        if let Some(facts) = JobFacts::of(job) {
            let mut inner = self.write();
            inner.unconfirmed.insert(facts.uid.clone(), Instant::now());
            inner.put(facts);
        }
    }

    /// Takes in that this process has just asked for a Job's deletion.
    pub fn deleting(&self, uid: &str) {
        if let Some(job) = self.write().jobs.get_mut(uid) {
            job.deleting = true;
        }
    }

    /// Takes in one event of the Job watch.
    pub fn job(&self, event: &Event<Job>) {
        let told = self.write().job(event);
        told.iter().for_each(|target| self.pokes.poke(target));
    }

    /// Takes in one event of the pod watch.
    pub fn pod(&self, event: &Event<Pod>) {
        let told = self.write().pod(event);
        told.iter().for_each(|target| self.pokes.poke(target));
    }

    /// Takes in an event in which the Job controller says why it could make no pod.
    pub fn told(&self, event: &Event<Told>) {
        let (Event::Apply(told) | Event::InitApply(told)) = event else {
            return;
        };
        let (Some(uid), Some(message)) = (&told.involved_object.uid, &told.message) else {
            return;
        };
        let mut inner = self.write();
        let owner = inner.jobs.get(uid).map(|job| job.owner.clone());
        if owner.is_some() || inner.refused.len() < 10_000 {
            inner.refused.insert(uid.clone(), message.clone());
        }
        drop(inner);
        if let Some(owner) = owner {
            self.pokes.poke(&owner);
        }
    }
}

impl Inner {
    fn put(&mut self, facts: JobFacts) {
        self.of_owner
            .entry(facts.owner.clone())
            .or_default()
            .insert(facts.uid.clone());
        self.jobs.insert(facts.uid.clone(), facts);
    }

    fn remove_job(&mut self, uid: &str) -> Option<Target> {
        let job = self.jobs.remove(uid)?;
        self.unconfirmed.remove(uid);
        self.refused.remove(uid);
        if let Some(uids) = self.of_owner.get_mut(&job.owner) {
            uids.remove(uid);
            if uids.is_empty() {
                self.of_owner.remove(&job.owner);
            }
        }
        Some(job.owner)
    }

    /// Takes a Job in; its owner, if that changed anything.
    fn apply_job(&mut self, job: &Job) -> Option<Target> {
        let facts = JobFacts::of(job)?;
        self.unconfirmed.remove(&facts.uid);
        let known = self.jobs.get(&facts.uid);
        if known.is_some_and(|known| known.version > facts.version) {
            return None;
        }
        let same = known.is_some_and(|known| {
            JobFacts {
                version: facts.version,
                ..known.clone()
            } == facts
        });
        let owner = facts.owner.clone();
        self.put(facts);
        (!same).then_some(owner)
    }

    fn job(&mut self, event: &Event<Job>) -> Vec<Target> {
        match event {
            Event::Init => {
                self.listed_jobs = Some(HashSet::new());
                vec![]
            }
            Event::InitApply(job) => {
                if let (Some(listed), Some(uid)) = (&mut self.listed_jobs, job.uid()) {
                    listed.insert(uid);
                }
                self.apply_job(job).into_iter().collect()
            }
            Event::InitDone => {
                self.jobs_ready = true;
                let listed = self.listed_jobs.take().unwrap_or_default();
                self.unconfirmed.retain(|_, at| at.elapsed() < UNCONFIRMED);
                let gone: Vec<String> = self
                    .jobs
                    .keys()
                    .filter(|uid| !listed.contains(*uid) && !self.unconfirmed.contains_key(*uid))
                    .cloned()
                    .collect();
                gone.iter().filter_map(|uid| self.remove_job(uid)).collect()
            }
            Event::Apply(job) => self.apply_job(job).into_iter().collect(),
            Event::Delete(job) => job
                .uid()
                .and_then(|uid| self.remove_job(&uid))
                .into_iter()
                .collect(),
        }
    }

    fn owner_of_pod(&self, job: &str) -> Option<Target> {
        self.jobs.get(job).map(|job| job.owner.clone())
    }

    fn apply_pod(&mut self, pod: &Pod) -> Option<Target> {
        let facts = PodFacts::of(pod)?;
        let (namespace, job) = (pod.namespace().unwrap_or_default(), facts.job.clone());
        self.job_of
            .insert((namespace, facts.name.clone()), job.clone());
        let pods = self.pods.entry(job.clone()).or_default();
        let same = pods.get(&facts.name) == Some(&facts);
        pods.insert(facts.name.clone(), facts);
        // It got its pods after all.
        self.refused.remove(&job);
        if same { None } else { self.owner_of_pod(&job) }
    }

    fn remove_pod(&mut self, namespace: &str, name: &str) -> Option<Target> {
        let job = self
            .job_of
            .remove(&(namespace.to_owned(), name.to_owned()))?;
        if let Some(pods) = self.pods.get_mut(&job) {
            pods.remove(name);
            if pods.is_empty() {
                self.pods.remove(&job);
            }
        }
        self.owner_of_pod(&job)
    }

    fn pod(&mut self, event: &Event<Pod>) -> Vec<Target> {
        let key = |pod: &Pod| (pod.namespace().unwrap_or_default(), pod.name_any());
        match event {
            Event::Init => {
                self.listed_pods = Some(HashSet::new());
                vec![]
            }
            Event::InitApply(pod) => {
                if let Some(listed) = &mut self.listed_pods {
                    listed.insert(key(pod));
                }
                self.apply_pod(pod).into_iter().collect()
            }
            Event::InitDone => {
                self.pods_ready = true;
                let listed = self.listed_pods.take().unwrap_or_default();
                let gone: Vec<(String, String)> = self
                    .job_of
                    .keys()
                    .filter(|key| !listed.contains(*key))
                    .cloned()
                    .collect();
                gone.iter()
                    .filter_map(|(namespace, name)| self.remove_pod(namespace, name))
                    .collect()
            }
            Event::Apply(pod) => self.apply_pod(pod).into_iter().collect(),
            Event::Delete(pod) => {
                let (namespace, name) = key(pod);
                self.remove_pod(&namespace, &name).into_iter().collect()
            }
        }
    }
}

/// Feeds a watch into the index until it ends; errors are logged, and the watch goes on by itself.
pub async fn follow<K>(
    what: &'static str,
    events: impl Stream<Item = Result<Event<K>, watcher::Error>>,
    mut take: impl FnMut(&Event<K>),
) {
    let mut events = std::pin::pin!(events);
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => take(&event),
            Err(error) => tracing::warn!(%error, what, "a watch was interrupted; it goes on"),
        }
    }
}

#[cfg(test)]
mod tests;
