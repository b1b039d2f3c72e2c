//! Writes of statuses. Each carries the resourceVersion of the object it was computed from, so that a stale one is refused.

use agoge_crds::{Condition, Phase, RunStatus, Time, Timestamp, conditions};
use agoge_plan::Event;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams, ValidationDirective};
use kube::core::DeserializeGuard;
use kube::{Api, Resource, ResourceExt};
use serde::Serialize;

use super::{Operation, WriteError, Writer};
use crate::kinds::AgogeResource;
use crate::names::MANAGER;

const WRITE_STATUS: Operation = Operation {
    name: "write the status",
    verb: "patch",
    resource: "status",
};

/// A status with the object and the version that it belongs to.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct StatusPatch<'a, S> {
    api_version: String,
    kind: String,
    metadata: VersionedName,
    status: &'a S,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct VersionedName {
    name: String,
    resource_version: Option<String>,
}

#[derive(Debug, Serialize)]
struct ConditionsOnly<'a> {
    conditions: &'a [Condition],
}

/// The status of an object that cannot be read.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct InvalidStatus {
    phase: Phase,
    observed_generation: i64,
    conditions: [Condition; 2],
}

impl Writer {
    /// Writes a status, unless the object has changed since it was computed.
    ///
    /// # Errors
    /// [`WriteError`]; a conflict if the object has changed.
    pub async fn write_status<K: AgogeResource>(
        &self,
        object: &K,
        status: &K::Status,
    ) -> Result<K, WriteError> {
        // The API server need not compare it with the schema, for which it would parse it once more: both are generated from
        // the same types.
        let params = PatchParams::apply(MANAGER)
            .force()
            .validation(ValidationDirective::Ignore);
        let body = status_patch::<K, _>(object, status);
        let written = self
            .patch_status(object, &params, &Patch::Apply(&body))
            .await?;
        if !has_other_conditions(&written, K::run(status)) {
            return Ok(written);
        }
        let conditions = ConditionsOnly {
            conditions: &K::run(status).conditions,
        };
        let body = status_patch::<K, _>(&written, &conditions);
        self.patch_status(object, &merge_params(), &Patch::Merge(&body))
            .await
    }

    async fn patch_status<K: AgogeResource, P: Serialize + std::fmt::Debug>(
        &self,
        object: &K,
        params: &PatchParams,
        patch: &Patch<P>,
    ) -> Result<K, WriteError> {
        let api: Api<K> =
            Api::namespaced(self.client.clone(), &object.namespace().unwrap_or_default());
        let name = object.name_any();
        self.send(WRITE_STATUS, api.patch_status(&name, params, patch))
            .await
    }

    /// Reports an object that cannot be read, by an event and in its conditions.
    ///
    /// # Errors
    /// [`WriteError`]
    pub async fn report_invalid<K: AgogeResource>(
        &self,
        guard: &DeserializeGuard<K>,
        error: &str,
        generation: i64,
    ) -> Result<(), WriteError> {
        let event = Event {
            warning: true,
            routine: false,
            reason: conditions::reason::INVALID_SPEC.to_owned(),
            message: conditions::shorten(error, conditions::MAX_MESSAGE),
        };
        self.publish_event(guard, &event).await;
        let condition = |type_: &str, status: &str| Condition {
            type_: type_.to_owned(),
            status: status.to_owned(),
            reason: event.reason.clone(),
            message: event.message.clone(),
            observed_generation: Some(generation),
            last_transition_time: Time(Timestamp::now()),
        };
        let status = InvalidStatus {
            phase: Phase::Waiting,
            observed_generation: generation,
            conditions: [
                condition(conditions::ACCEPTED, "False"),
                condition(conditions::STALLED, "True"),
            ],
        };
        let body = status_patch::<K, _>(guard, &status);
        let api: Api<DynamicObject> = Api::namespaced_with(
            self.client.clone(),
            &guard.namespace().unwrap_or_default(),
            &ApiResource::erase::<K>(&()),
        );
        // Merged, since the API server applies nothing to an object whose fields have the wrong types. Other fields stay.
        let (name, params, patch) = (guard.name_any(), merge_params(), Patch::Merge(&body));
        self.send(WRITE_STATUS, api.patch_status(&name, &params, &patch))
            .await
            .map(drop)
    }
}

fn status_patch<'a, K: AgogeResource, S>(
    object: &impl Resource<DynamicType = ()>,
    status: &'a S,
) -> StatusPatch<'a, S> {
    StatusPatch {
        api_version: K::api_version(&()).into_owned(),
        kind: K::kind(&()).into_owned(),
        metadata: VersionedName {
            name: object.name_any(),
            resource_version: object.resource_version(),
        },
        status,
    }
}

fn merge_params() -> PatchParams {
    PatchParams {
        field_manager: Some(MANAGER.to_owned()),
        ..PatchParams::default()
    }
}

/// Returns true if an object has conditions that its new status lacks: those of an invalid object are merged, and applying
/// another status does not remove them.
fn has_other_conditions<K: AgogeResource>(object: &K, new: &RunStatus) -> bool {
    object.status().is_some_and(|status| {
        let old = &K::run(status).conditions;
        old.iter()
            .any(|c| conditions::get(&new.conditions, &c.type_).is_none())
    })
}
