//! A child: one piece of work with all that a driver needs to make a process or a Job of it.

use std::path::PathBuf;
use std::time::Duration;

use agoge_contract::{Assignment, Owner, Resolved, Role, Work};
use agoge_crds::API_VERSION;
use agoge_crds::shared::{Resources, WorkerTemplate};
use kube::{Resource, ResourceExt};
use serde::{Deserialize, Serialize};

use crate::names;

/// One piece of work that should exist.
#[derive(Clone, Debug, PartialEq)]
pub struct Child {
    /// Its name, of this attempt alone.
    pub name: String,
    /// Its name over all attempts: where its checkpoints lie, and how it is observed.
    pub key: String,
    /// Number of the attempt, from 0.
    pub attempt: u32,
    /// The object that it belongs to, and goes with.
    pub owner: Owner,
    /// The work: the same for every attempt, with names that the driver resolves.
    pub work: Work,
    /// Resources and endpoints.
    pub needs: Needs,
    /// Workers that share it, each with an index from 0.
    pub shards: u32,
    /// Active time that it has left; the driver asks it to stop by then. It shrinks, so it is no part of the work.
    pub time_left: Option<Duration>,
}

impl Child {
    /// Returns a digest of the work and its shards: two children with the same digest are the same work.
    #[must_use]
    pub fn digest(&self) -> String {
        self.work.digest(self.shards)
    }

    /// Returns the role of its workers.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.work.role()
    }

    /// Returns the name under which its shards are found, whatever the attempt.
    #[must_use]
    pub fn service(&self) -> String {
        names::service(&self.owner.name, &self.key, 0)
    }

    /// Returns the name under which the shards of this attempt find each other.
    #[must_use]
    pub fn own_service(&self) -> String {
        names::service(&self.owner.name, &self.key, self.attempt)
    }

    /// Returns the assignment of one shard, without a kept work folder. A worker ends by itself a little before its time is
    /// up: asked to stop, it might lose what it has in hand.
    #[must_use]
    pub fn assignment(
        &self,
        shard: u32,
        resolved: &Resolved,
        work: PathBuf,
        threads: u32,
    ) -> Assignment {
        let time_left = self.time_left.map(|left| left.as_secs_f64());
        Assignment {
            name: self.name.clone(),
            key: self.key.clone(),
            attempt: self.attempt,
            owner: self.owner.clone(),
            spec: self.work.clone(),
            shard,
            shards: self.shards,
            time_left: time_left.map(|left| (left - (left / 10.0).min(10.0)).max(1.0)),
            domain: resolved.domain.clone(),
            store: resolved.store.clone(),
            keep: None,
            work,
            endpoints: resolved.endpoints.clone(),
            recordings: resolved.recordings.clone(),
            progress: None,
            threads,
        }
    }
}

/// Returns the owner that an object is to its children.
pub(crate) fn owner_of<T: Resource<DynamicType = ()>>(object: &T) -> Owner {
    Owner {
        api_version: API_VERSION.to_owned(),
        kind: T::kind(&()).into_owned(),
        name: object.name_any(),
        namespace: object.namespace(),
        uid: object.uid().unwrap_or_default(),
    }
}

/// The resources and endpoints of a child.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Needs {
    /// Cores, memory, GPUs of each worker, where the manifest says.
    pub resources: Resources,
    /// Endpoints it talks to, by name.
    pub endpoints: Vec<String>,
    /// The rest of the manifest's worker template: on a cluster its pod.
    pub template: WorkerTemplate,
}
