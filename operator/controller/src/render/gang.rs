//! Gang scheduling: the object that makes the pods of a child start together or not at all, by the scheduler that is asked for.

use agoge_crds::shared::Gang;
use agoge_plan::Child;
use k8s_openapi::api::scheduling::v1beta1::{
    GangSchedulingPolicy, PodGroup, PodGroupSchedulingPolicy, PodGroupSpec,
};
use kube::api::{ApiResource, NotUsed, Object};
use kube::core::GroupVersionKind;
use serde::{Deserialize, Serialize};

use super::{count, is_rollout, metadata};

/// A pod group of Kubernetes or of Volcano. It serialises as the object itself.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum GangGroup {
    /// `scheduling.k8s.io`.
    Kubernetes(Box<PodGroup>),
    /// `scheduling.volcano.sh`.
    Volcano(Box<VolcanoPodGroup>),
}

/// The PodGroup of Volcano.
pub type VolcanoPodGroup = Object<VolcanoPodGroupSpec, NotUsed>;

/// The fields of a Volcano PodGroup that are set here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VolcanoPodGroupSpec {
    /// The number of pods that start together.
    pub min_member: u32,
    /// Its priority class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority_class_name: Option<String>,
}

/// Returns the API resource of Volcano's PodGroup.
#[must_use]
pub fn volcano_resource() -> ApiResource {
    let kind = GroupVersionKind::gvk("scheduling.volcano.sh", "v1beta1", "PodGroup");
    ApiResource::from_gvk_with_plural(&kind, "podgroups")
}

/// Returns the gang scheduling of a child. Single pods and rollout servers start by themselves.
pub(super) fn gang(child: &Child) -> Gang {
    match child.needs.template.gang {
        Some(gang) if child.shards > 1 && !is_rollout(child) => gang,
        _ => Gang::None,
    }
}

/// Returns the pod group of a child, if its pods start together.
pub(super) fn group(child: &Child) -> Option<GangGroup> {
    match gang(child) {
        Gang::None => None,
        Gang::PodGroup => Some(GangGroup::Kubernetes(Box::new(PodGroup {
            metadata: metadata(child),
            spec: PodGroupSpec {
                scheduling_policy: PodGroupSchedulingPolicy {
                    gang: Some(GangSchedulingPolicy {
                        min_count: count(child.shards),
                    }),
                    ..PodGroupSchedulingPolicy::default()
                },
                ..PodGroupSpec::default()
            },
            status: None,
        }))),
        Gang::Volcano => {
            let spec = VolcanoPodGroupSpec {
                min_member: child.shards,
                priority_class_name: child.needs.template.priority_class_name.clone(),
            };
            let mut group = Object::new(&child.name, &volcano_resource(), spec);
            group.metadata = metadata(child);
            Some(GangGroup::Volcano(Box::new(group)))
        }
    }
}
