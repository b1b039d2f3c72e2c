//! The maps behind the index. Every method keeps them consistent with each other; none requests or waits for anything.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::runtime::watcher::Event;

use super::{ChildFacts, Listing, Reporter, pod_key};
use crate::names::{Kind, Target};
use crate::observe::{JobFacts, PodFacts};

/// The time for which a Job counts as existing, or a refusal as concerning one, though no watch has shown the Job yet.
const UNCONFIRMED: Duration = Duration::from_secs(30);

/// Refusals of unknown Jobs that are kept at most: the watch shows those of every Job in the cluster.
const MAX_EARLY_REFUSALS: usize = 10_000;

/// Namespace and name.
type PodKey = (String, String);

/// All children.
#[derive(Debug, Default)]
pub(super) struct Children {
    /// Jobs by uid.
    jobs: HashMap<String, JobFacts>,
    /// Uids of an owner's Jobs.
    by_owner: HashMap<Target, HashSet<String>>,
    /// Pods by their Job's uid, then by name.
    pods: HashMap<String, BTreeMap<String, PodFacts>>,
    /// The uid of a pod's Job.
    job_of_pod: HashMap<PodKey, String>,
    /// The reason for which a Job's pods were refused, by the Job's uid.
    refusals: HashMap<String, String>,
    /// The same for Jobs that no watch has shown yet, and the time of the refusal.
    early_refusals: HashMap<String, (Instant, String)>,
    /// The time at which early refusals were last checked for their age.
    swept: Option<Instant>,
    /// Jobs that this process wrote and no watch has confirmed yet.
    unconfirmed: HashMap<String, Instant>,
    listed_jobs: Listing<String>,
    listed_pods: Listing<PodKey>,
    jobs_ready: bool,
    pods_ready: bool,
}

impl Children {
    pub(super) fn ready(&self) -> bool {
        self.jobs_ready && self.pods_ready
    }

    pub(super) fn newest_attempts(&self, owner: &Target, uid: &str) -> Vec<ChildFacts> {
        let mut newest: BTreeMap<&str, &JobFacts> = BTreeMap::new();
        for job in self
            .by_owner
            .get(owner)
            .into_iter()
            .flatten()
            .filter_map(|uid| self.jobs.get(uid))
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
                pods: self
                    .pods
                    .get(&job.uid)
                    .map(|pods| pods.values().cloned().collect())
                    .unwrap_or_default(),
                refused: self.refusals.get(&job.uid).cloned(),
            })
            .collect()
    }

    pub(super) fn reporter(&self, namespace: &str, pod: &str) -> Option<Reporter> {
        let job_uid = self
            .job_of_pod
            .get(&(namespace.to_owned(), pod.to_owned()))?;
        let facts = self.pods.get(job_uid)?.get(pod)?;
        let job = self.jobs.get(job_uid)?;
        (!facts.deleting && facts.ended.is_none()).then(|| Reporter {
            uid: facts.uid.clone(),
            child: job.name.clone(),
            index: facts.index,
            owner: job.owner.clone(),
        })
    }

    pub(super) fn tally(&self) -> BTreeMap<(Kind, String, &'static str), usize> {
        let mut tally = BTreeMap::new();
        for job in self.jobs.values() {
            let running = || {
                let pods = self.pods.get(&job.uid);
                pods.is_some_and(|pods| pods.values().any(|pod| pod.running))
            };
            let state = match job {
                JobFacts { complete: true, .. } => "succeeded",
                JobFacts {
                    failed: Some(_), ..
                } => "failed",
                _ if running() => "running",
                _ => "pending",
            };
            *tally
                .entry((job.owner.kind, job.component.clone(), state))
                .or_default() += 1;
        }
        tally
    }

    pub(super) fn put_unconfirmed(&mut self, facts: JobFacts) {
        self.unconfirmed.insert(facts.uid.clone(), Instant::now());
        self.put_job(facts);
    }

    pub(super) fn mark_deleting(&mut self, uid: &str) {
        if let Some(job) = self.jobs.get_mut(uid) {
            job.deleting = true;
        }
    }

    /// Returns the owners whose children changed, and the Jobs that are gone.
    pub(super) fn update_jobs(
        &mut self,
        event: &Event<Job>,
        now: Instant,
    ) -> (Vec<Target>, Vec<JobFacts>) {
        self.sweep_early_refusals(now);
        let gone: Vec<JobFacts> = match event {
            Event::Init => {
                self.listed_jobs.begin();
                vec![]
            }
            Event::InitApply(job) => {
                if let Some(uid) = job.uid() {
                    self.listed_jobs.add(uid);
                }
                return (self.apply_job(job).into_iter().collect(), vec![]);
            }
            Event::InitDone => self.end_job_list(),
            Event::Apply(job) => return (self.apply_job(job).into_iter().collect(), vec![]),
            Event::Delete(job) => job
                .uid()
                .and_then(|uid| self.remove_job(&uid))
                .into_iter()
                .collect(),
        };
        let owners = gone.iter().map(|job| job.owner.clone()).collect();
        (owners, gone)
    }

    /// Removes the Jobs that the list does not contain.
    fn end_job_list(&mut self) -> Vec<JobFacts> {
        self.jobs_ready = true;
        let listed = self.listed_jobs.end();
        self.unconfirmed
            .retain(|_, written| written.elapsed() < UNCONFIRMED);
        let gone: Vec<String> = self
            .jobs
            .keys()
            .filter(|uid| !listed.contains(*uid) && !self.unconfirmed.contains_key(*uid))
            .cloned()
            .collect();
        gone.iter().filter_map(|uid| self.remove_job(uid)).collect()
    }

    fn put_job(&mut self, facts: JobFacts) {
        if let Some((_, message)) = self.early_refusals.remove(&facts.uid) {
            self.refusals.insert(facts.uid.clone(), message);
        }
        self.by_owner
            .entry(facts.owner.clone())
            .or_default()
            .insert(facts.uid.clone());
        self.jobs.insert(facts.uid.clone(), facts);
    }

    fn remove_job(&mut self, uid: &str) -> Option<JobFacts> {
        let job = self.jobs.remove(uid)?;
        self.unconfirmed.remove(uid);
        self.refusals.remove(uid);
        if let Some(uids) = self.by_owner.get_mut(&job.owner) {
            uids.remove(uid);
            if uids.is_empty() {
                self.by_owner.remove(&job.owner);
            }
        }
        Some(job)
    }

    /// Stores a Job; returns its owner if that changed anything.
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
        self.put_job(facts);
        (!same).then_some(owner)
    }

    fn owner_of_job(&self, job: &str) -> Option<Target> {
        self.jobs.get(job).map(|job| job.owner.clone())
    }

    /// Returns the owners whose children changed.
    pub(super) fn update_pods(&mut self, event: &Event<Pod>) -> Vec<Target> {
        let owner = match event {
            Event::Init => {
                self.listed_pods.begin();
                None
            }
            Event::InitApply(pod) => {
                self.listed_pods.add(pod_key(pod));
                self.apply_pod(pod)
            }
            Event::InitDone => return self.end_pod_list(),
            Event::Apply(pod) => self.apply_pod(pod),
            Event::Delete(pod) => self.remove_pod(&pod_key(pod)),
        };
        owner.into_iter().collect()
    }

    /// Removes the pods that the list does not contain.
    fn end_pod_list(&mut self) -> Vec<Target> {
        self.pods_ready = true;
        let listed = self.listed_pods.end();
        let gone: Vec<PodKey> = self
            .job_of_pod
            .keys()
            .filter(|key| !listed.contains(*key))
            .cloned()
            .collect();
        gone.iter().filter_map(|key| self.remove_pod(key)).collect()
    }

    fn apply_pod(&mut self, pod: &Pod) -> Option<Target> {
        let facts = PodFacts::of(pod)?;
        let (namespace, name) = pod_key(pod);
        let job = facts.job.clone();
        let before = self
            .job_of_pod
            .insert((namespace, name.clone()), job.clone());
        // A pod of this name was replaced by one of another Job, and the watch missed its deletion.
        if let Some(before) = before.filter(|before| *before != job) {
            self.remove_from_job(&before, &name);
        }
        let pods = self.pods.entry(job.clone()).or_default();
        let same = pods.get(&name) == Some(&facts);
        pods.insert(name, facts);
        // Its Job could create pods after all.
        self.refusals.remove(&job);
        self.early_refusals.remove(&job);
        if same { None } else { self.owner_of_job(&job) }
    }

    fn remove_pod(&mut self, key: &PodKey) -> Option<Target> {
        let job = self.job_of_pod.remove(key)?;
        self.remove_from_job(&job, &key.1);
        self.owner_of_job(&job)
    }

    fn remove_from_job(&mut self, job: &str, pod: &str) {
        if let Some(pods) = self.pods.get_mut(job) {
            pods.remove(pod);
            if pods.is_empty() {
                self.pods.remove(job);
            }
        }
    }

    /// Stores the reason for which a Job's pods were refused; returns the Job's owner. A refusal of an unknown Job waits for
    /// the Job for a while: the two come by different watches. Most belong to Jobs that are gone.
    pub(super) fn refuse(&mut self, job: &str, message: &str, now: Instant) -> Option<Target> {
        self.sweep_early_refusals(now);
        let owner = self.owner_of_job(job);
        if owner.is_some() {
            self.refusals.insert(job.to_owned(), message.to_owned());
        } else if self.early_refusals.len() < MAX_EARLY_REFUSALS {
            let refusal = (now, message.to_owned());
            self.early_refusals.insert(job.to_owned(), refusal);
        }
        owner
    }

    fn sweep_early_refusals(&mut self, now: Instant) {
        let due = self
            .swept
            .is_none_or(|swept| now.duration_since(swept) >= UNCONFIRMED);
        if self.jobs_ready && due && !self.early_refusals.is_empty() {
            self.swept = Some(now);
            self.early_refusals
                .retain(|_, (since, _)| now.duration_since(*since) < UNCONFIRMED);
        }
    }

    #[cfg(test)]
    pub(super) fn entries(&self) -> usize {
        self.jobs.len()
            + self.by_owner.len()
            + self.pods.len()
            + self.job_of_pod.len()
            + self.refusals.len()
            + self.early_refusals.len()
            + self.unconfirmed.len()
    }
}
