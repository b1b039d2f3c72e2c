//! Every write to the API server. Each looks at the lease right before it is sent.
//!
//! What becomes of a write that still arrives after another replica has taken over:
//! - **status**: carries the resourceVersion it was made from; the API server refuses it (409) when anything changed.
//! - **Job**: created, never applied; its name says owner, key and attempt, so a second one is refused (409, exists).
//! - **Service, PodGroup** of a child: applied with the content that the other replica applies too; nothing changes.
//! - **deletion**: names the uid; what was made anew under the name is refused (409).
//! - **event**: tells what did happen; it changes nothing.
//! - **leader label**: of this replica's own pod; see `leader`.

use std::sync::Arc;

use agoge_crds::conditions;
use agoge_plan::Event as Note;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Service;
use kube::api::{
    ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams, Preconditions,
    PropagationPolicy, TypeMeta, ValidationDirective,
};
use kube::core::{DeserializeGuard, GroupVersionKind};
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Api, Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::kinds::Ours;
use crate::metrics::Metrics;
use crate::names::MANAGER;
use crate::observe::JobFacts;
use crate::render::Rendered;

/// A write that did not happen.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// This replica does not lead (any more).
    #[error("this replica does not lead")]
    NotLeading,
    /// The API server refused, or did not answer.
    #[error("cannot {doing}: {source}")]
    Api {
        /// The operation.
        doing: &'static str,
        /// What came back.
        source: Box<kube::Error>,
    },
}

impl WriteError {
    /// The HTTP status, where there is one.
    #[must_use]
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Api { source, .. } => match source.as_ref() {
                kube::Error::Api(status) => Some(status.code),
                _ => None,
            },
            Self::NotLeading => None,
        }
    }

    /// One word for metrics.
    #[must_use]
    pub fn class(&self) -> &'static str {
        match (self, self.code()) {
            (Self::NotLeading, _) => "NotLeading",
            (_, Some(409)) => "Conflict",
            (_, Some(403)) => "Forbidden",
            (_, Some(404)) => "NotFound",
            (_, Some(422 | 400)) => "Invalid",
            (_, Some(429)) => "Throttled",
            (_, Some(_)) => "Server",
            (_, None) => "Unreachable",
        }
    }
}

/// Whether this replica leads, right now.
pub type Leads = Arc<dyn Fn() -> bool + Send + Sync>;

/// The writer.
#[derive(Clone)]
pub struct Writer {
    client: Client,
    leads: Leads,
    recorder: Recorder,
    metrics: Metrics,
}

impl Writer {
    /// A writer that writes only while `leads` says so.
    #[must_use]
    pub fn new(client: Client, leads: Leads, identity: &str, metrics: Metrics) -> Self {
        let reporter = Reporter {
            controller: MANAGER.to_owned(),
            instance: Some(identity.to_owned()),
        };
        Self {
            recorder: Recorder::new(client.clone(), reporter),
            client,
            leads,
            metrics,
        }
    }

    /// Whether this replica may write.
    #[must_use]
    pub fn leads(&self) -> bool {
        (self.leads)()
    }

    async fn send<T>(
        &self,
        (doing, verb, resource): (&'static str, &str, &str),
        request: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, WriteError> {
        if !self.leads() {
            return Err(WriteError::NotLeading);
        }
        let answer = request.await.map_err(|source| WriteError::Api {
            doing,
            source: Box::new(source),
        });
        let outcome = answer.as_ref().map_or_else(WriteError::class, |_| "ok");
        self.metrics.api_request(verb, resource, outcome);
        answer
    }

    /// Makes a child: what its Job needs first, the Job last. `None` when its Job is there already.
    ///
    /// # Errors
    /// [`WriteError`]
    pub async fn create(&self, rendered: &Rendered) -> Result<Option<Job>, WriteError> {
        let namespace = rendered.job.namespace().unwrap_or_default();
        let apply = PatchParams::apply(MANAGER).force();
        if let Some(service) = &rendered.service {
            let services: Api<Service> = Api::namespaced(self.client.clone(), &namespace);
            let patch = Patch::Apply(service);
            self.send(
                ("apply a Service", "patch", "services"),
                services.patch(&service.name_any(), &apply, &patch),
            )
            .await?;
        }
        if let Some(group) = &rendered.group {
            let types = group.types.clone().unwrap_or_default();
            let groups: Api<DynamicObject> =
                Api::namespaced_with(self.client.clone(), &namespace, &resource(&types));
            let patch = Patch::Apply(group);
            self.send(
                ("apply a PodGroup", "patch", "podgroups"),
                groups.patch(&group.name_any(), &apply, &patch),
            )
            .await?;
        }
        let jobs: Api<Job> = Api::namespaced(self.client.clone(), &namespace);
        let post = PostParams {
            field_manager: Some(MANAGER.to_owned()),
            ..PostParams::default()
        };
        let made = self
            .send(
                ("create a Job", "create", "jobs"),
                jobs.create(&post, &rendered.job),
            )
            .await;
        match made {
            Ok(job) => Ok(Some(job)),
            Err(error) if exists(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes a status, if the object is still the one it was made from.
    ///
    /// # Errors
    /// [`WriteError`]; a conflict when it is not.
    pub async fn status<K: Ours>(&self, object: &K, status: &K::Status) -> Result<K, WriteError> {
        // Not compared with the schema field by field, for which the API server would parse it once more: both are made from
        // the same types.
        let params = PatchParams::apply(MANAGER)
            .force()
            .validation(ValidationDirective::Ignore);
        let body = addressed(object, status);
        let written = self
            .patch_status(object, &params, &Patch::Apply(&body))
            .await?;
        if !left_over::<K>(&written, status) {
            return Ok(written);
        }
        let conditions = json!({ "conditions": K::run(status).conditions });
        let body = addressed(&written, &conditions);
        self.patch_status(object, &merge(), &Patch::Merge(&body))
            .await
    }

    async fn patch_status<K: Ours>(
        &self,
        object: &K,
        params: &PatchParams,
        patch: &Patch<&Value>,
    ) -> Result<K, WriteError> {
        let api: Api<K> =
            Api::namespaced(self.client.clone(), &object.namespace().unwrap_or_default());
        let name = object.name_any();
        self.send(
            ("write the status", "patch", "status"),
            api.patch_status(&name, params, patch),
        )
        .await
    }

    /// Says of an object that cannot be read what is wrong with it, in an event and in its conditions.
    ///
    /// # Errors
    /// [`WriteError`]
    pub async fn refuse<K: Ours>(
        &self,
        guard: &DeserializeGuard<K>,
        error: &str,
        generation: i64,
    ) -> Result<(), WriteError> {
        let message = conditions::shorten(error, conditions::MAX_MESSAGE);
        let note = Note {
            warning: true,
            routine: false,
            reason: conditions::reason::INVALID_SPEC.to_owned(),
            message: message.clone(),
        };
        self.tell(guard, &note).await;
        let condition = |type_: &str, status: &str| {
            json!({
                "type": type_, "status": status, "reason": note.reason, "message": message,
                "observedGeneration": generation, "lastTransitionTime": agoge_crds::Time(agoge_crds::Timestamp::now()),
            })
        };
        let status = json!({
            "phase": "Waiting",
            "observedGeneration": generation,
            "conditions": [condition("Accepted", "False"), condition("Stalled", "True")],
        });
        let body = addressed(guard, &status);
        let api: Api<DynamicObject> = Api::namespaced_with(
            self.client.clone(),
            &guard.namespace().unwrap_or_default(),
            &ApiResource::erase::<K>(&()),
        );
        // Not applied: the API server applies nothing to an object whose fields are not of their types. What was done stays.
        let (params, patch) = (merge(), Patch::Merge(&body));
        let name = guard.name_any();
        self.send(
            ("write the status", "patch", "status"),
            api.patch_status(&name, &params, &patch),
        )
        .await
        .map(drop)
    }

    /// Asks for a Job's end: its pods are asked to stop, and it goes after them.
    ///
    /// # Errors
    /// [`WriteError`]; none when it is gone already.
    pub async fn stop(&self, job: &JobFacts) -> Result<(), WriteError> {
        let jobs: Api<Job> = Api::namespaced(self.client.clone(), &job.owner.namespace);
        let params = deletion(&job.uid, PropagationPolicy::Foreground);
        let gone = self
            .send(
                ("delete a Job", "delete", "jobs"),
                jobs.delete(&job.name, &params),
            )
            .await;
        forgive(gone.map(drop))
    }

    /// Deletes an object that has outlived its time, with all that is its.
    ///
    /// # Errors
    /// [`WriteError`]; none when it is gone already.
    pub async fn delete<K>(&self, object: &K) -> Result<(), WriteError>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + DeserializeOwned
            + std::fmt::Debug,
    {
        let api: Api<K> =
            Api::namespaced(self.client.clone(), &object.namespace().unwrap_or_default());
        let params = deletion(
            &object.uid().unwrap_or_default(),
            PropagationPolicy::Background,
        );
        let name = object.name_any();
        let gone = self
            .send(
                ("delete an object", "delete", "objects"),
                api.delete(&name, &params),
            )
            .await;
        forgive(gone.map(drop))
    }

    /// Tells an event. One that is lost is lost: the condition says the same.
    pub async fn tell<K: Resource<DynamicType = ()>>(&self, object: &K, note: &Note) {
        let event = Event {
            type_: if note.warning {
                EventType::Warning
            } else {
                EventType::Normal
            },
            reason: note.reason.clone(),
            note: Some(conditions::shorten(&note.message, 1000)),
            action: "Reconcile".into(),
            secondary: None,
        };
        let reference = object.object_ref(&());
        let sent = self
            .send(
                ("tell an event", "create", "events"),
                self.recorder.publish(&event, &reference),
            )
            .await;
        if let Err(error) = sent {
            tracing::debug!(%error, reason = note.reason, "an event was not told");
        }
    }
}

/// A status to write to the object that it was made from, and to no other state of it.
fn addressed<K: Resource<DynamicType = ()>>(object: &K, status: &impl Serialize) -> Value {
    json!({
        "apiVersion": K::api_version(&()),
        "kind": K::kind(&()),
        "metadata": { "name": object.name_any(), "resourceVersion": object.resource_version() },
        "status": status,
    })
}

/// A merge is ours too.
fn merge() -> PatchParams {
    PatchParams {
        field_manager: Some(MANAGER.to_owned()),
        ..PatchParams::default()
    }
}

/// Whether an object has a condition that its status does not say: a refusal is merged, and what was merged does not go by
/// applying.
fn left_over<K: Ours>(object: &K, status: &K::Status) -> bool {
    let says = &K::run(status).conditions;
    object.status().is_some_and(|has| {
        let has = &K::run(has).conditions;
        has.iter()
            .any(|c| conditions::get(says, &c.type_).is_none())
    })
}

fn resource(types: &TypeMeta) -> ApiResource {
    let (group, version) = types
        .api_version
        .split_once('/')
        .unwrap_or(("", &types.api_version));
    let gvk = GroupVersionKind::gvk(group, version, &types.kind);
    ApiResource::from_gvk_with_plural(&gvk, "podgroups")
}

fn deletion(uid: &str, policy: PropagationPolicy) -> DeleteParams {
    DeleteParams {
        propagation_policy: Some(policy),
        preconditions: Some(Preconditions {
            uid: Some(uid.to_owned()),
            resource_version: None,
        }),
        ..DeleteParams::default()
    }
}

/// It is gone, or what has its name is another one: what was asked for holds.
fn forgive(gone: Result<(), WriteError>) -> Result<(), WriteError> {
    match gone {
        Err(error) if matches!(error.code(), Some(404 | 409)) => Ok(()),
        other => other,
    }
}

fn exists(error: &WriteError) -> bool {
    match error {
        WriteError::Api { source, .. } => {
            matches!(source.as_ref(), kube::Error::Api(status) if status.reason == "AlreadyExists")
        }
        WriteError::NotLeading => false,
    }
}
