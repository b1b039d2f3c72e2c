//! Writes of children, and of objects that have outlived their time: created once, never changed, deleted by uid.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::scheduling::v1beta1::PodGroup;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions, PropagationPolicy};
use kube::{Api, ResourceExt};

use super::{Operation, WriteError, Writer};
use crate::kinds::AgogeResource;
use crate::names::MANAGER;
use crate::observe::JobFacts;
use crate::render::gang::{VolcanoPodGroup, volcano_resource};
use crate::render::{GangGroup, Rendered};

const APPLY_GROUP: Operation = Operation {
    name: "apply a PodGroup",
    verb: "patch",
    resource: "podgroups",
};

impl Writer {
    /// Creates the objects of a child, the Job last: a Job that exists has everything it needs. Returns `None` if the Job
    /// exists already.
    ///
    /// # Errors
    /// [`WriteError`]
    pub async fn create_child(&self, rendered: &Rendered) -> Result<Option<Job>, WriteError> {
        let namespace = rendered.job.namespace().unwrap_or_default();
        if let Some(service) = &rendered.service {
            self.apply_service(&namespace, service).await?;
        }
        if let Some(group) = &rendered.group {
            self.apply_group(&namespace, group).await?;
        }
        let jobs: Api<Job> = Api::namespaced(self.client.clone(), &namespace);
        let params = PostParams {
            field_manager: Some(MANAGER.to_owned()),
            ..PostParams::default()
        };
        let create = Operation {
            name: "create a Job",
            verb: "create",
            resource: "jobs",
        };
        match self.send(create, jobs.create(&params, &rendered.job)).await {
            Ok(job) => Ok(Some(job)),
            Err(error) if error.already_exists() => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn apply_service(&self, namespace: &str, service: &Service) -> Result<(), WriteError> {
        let services: Api<Service> = Api::namespaced(self.client.clone(), namespace);
        let apply = Operation {
            name: "apply a Service",
            verb: "patch",
            resource: "services",
        };
        let (name, patch) = (service.name_any(), Patch::Apply(service));
        self.send(apply, services.patch(&name, &apply_params(), &patch))
            .await
            .map(drop)
    }

    async fn apply_group(&self, namespace: &str, group: &GangGroup) -> Result<(), WriteError> {
        let client = self.client.clone();
        let params = apply_params();
        match group {
            GangGroup::Kubernetes(group) => {
                let groups: Api<PodGroup> = Api::namespaced(client, namespace);
                let (name, patch) = (group.name_any(), Patch::Apply(group));
                self.send(APPLY_GROUP, groups.patch(&name, &params, &patch))
                    .await
                    .map(drop)
            }
            GangGroup::Volcano(group) => {
                let groups: Api<VolcanoPodGroup> =
                    Api::namespaced_with(client, namespace, &volcano_resource());
                let (name, patch) = (group.name_any(), Patch::Apply(group));
                self.send(APPLY_GROUP, groups.patch(&name, &params, &patch))
                    .await
                    .map(drop)
            }
        }
    }

    /// Deletes a Job: its pods are asked to stop, and the Job goes after them.
    ///
    /// # Errors
    /// [`WriteError`]; none if the Job is gone already.
    pub async fn delete_job(&self, job: &JobFacts) -> Result<(), WriteError> {
        let jobs: Api<Job> = Api::namespaced(self.client.clone(), &job.owner.namespace);
        let params = delete_params(&job.uid, PropagationPolicy::Foreground);
        let delete = Operation {
            name: "delete a Job",
            verb: "delete",
            resource: "jobs",
        };
        let deleted = self.send(delete, jobs.delete(&job.name, &params)).await;
        accept_absence(deleted.map(drop))
    }

    /// Deletes an object that has outlived its `ttlSecondsAfterFinished`, with everything it owns.
    ///
    /// # Errors
    /// [`WriteError`]; none if the object is gone already.
    pub async fn delete_object<K: AgogeResource>(&self, object: &K) -> Result<(), WriteError> {
        let api: Api<K> =
            Api::namespaced(self.client.clone(), &object.namespace().unwrap_or_default());
        let uid = object.meta().uid.as_deref().unwrap_or_default();
        let params = delete_params(uid, PropagationPolicy::Background);
        let delete = Operation {
            name: "delete an object",
            verb: "delete",
            resource: "objects",
        };
        let deleted = self
            .send(delete, api.delete(&object.name_any(), &params))
            .await;
        accept_absence(deleted.map(drop))
    }
}

fn apply_params() -> PatchParams {
    PatchParams::apply(MANAGER).force()
}

fn delete_params(uid: &str, policy: PropagationPolicy) -> DeleteParams {
    DeleteParams {
        propagation_policy: Some(policy),
        preconditions: Some(Preconditions {
            uid: Some(uid.to_owned()),
            resource_version: None,
        }),
        ..DeleteParams::default()
    }
}

/// Accepts that an object is gone, or that its name belongs to another one: what was asked for holds.
fn accept_absence(deleted: Result<(), WriteError>) -> Result<(), WriteError> {
    match deleted {
        Err(error) if matches!(error.code(), Some(404 | 409)) => Ok(()),
        other => other,
    }
}
