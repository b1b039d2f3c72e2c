//! The facts of Jobs and pods that decide. Only these are kept, so that ten thousand pods need little memory.

use agoge_contract::Role;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::ResourceExt;

use crate::names::{self, Kind, Target};

/// A Job that the operator created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobFacts {
    /// Its uid.
    pub uid: String,
    /// Its name, which is the child's.
    pub name: String,
    /// Its resourceVersion, as a number: later is greater.
    pub version: u64,
    /// Its owner.
    pub owner: Target,
    /// The owner's uid: a namesake that was created since has none of the old owner's children.
    pub owner_uid: String,
    /// The child's key.
    pub key: String,
    /// The number of the attempt.
    pub attempt: u32,
    /// Its component: the worker's subcommand.
    pub component: String,
    /// The number of pods that share it.
    pub shards: u32,
    /// True while it is suspended (by a queue).
    pub suspended: bool,
    /// True if a queue may suspend it.
    pub queued: bool,
    /// True while it is being deleted.
    pub deleting: bool,
    /// True if its pods start together or not at all.
    pub gang: bool,
    /// True once every pod has succeeded.
    pub complete: bool,
    /// Reason and message of its end, if it ended badly.
    pub failed: Option<(String, String)>,
}

/// A pod of such a Job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodFacts {
    /// Its uid.
    pub uid: String,
    /// Its name.
    pub name: String,
    /// Its Job's uid.
    pub job: String,
    /// Its index among the Job's pods.
    pub index: u32,
    /// True while it is being deleted.
    pub deleting: bool,
    /// True while its container runs.
    pub running: bool,
    /// The end of its container, if it has ended.
    pub ended: Option<Ended>,
    /// Reason and message of the obstacle that keeps it from running.
    pub blocked: Option<(String, String)>,
    /// True once a scheduler has placed it or reported why not.
    pub considered: bool,
    /// True if it was disrupted (evicted, preempted, its node lost).
    pub disrupted: bool,
}

/// The end of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// Its exit code.
    pub exit_code: i32,
    /// The kubelet's word for it, such as `OOMKilled`.
    pub reason: String,
    /// Its termination message, or the end of its log.
    pub message: String,
    /// Seconds since the epoch, to tell which of several ended first.
    pub at: i64,
}

/// Waiting reasons that pass by themselves and tell nobody anything.
const PASSING: [&str; 3] = ["ContainerCreating", "PodInitializing", ""];

impl JobFacts {
    /// Returns the role of its workers.
    #[must_use]
    pub fn role(&self) -> Option<Role> {
        Role::parse(&self.component)
    }

    /// The facts of a Job; `None` when it is none of ours.
    #[must_use]
    pub fn of(job: &Job) -> Option<Self> {
        let owner = controller(&job.metadata)?;
        let labels = job.labels();
        let spec = job.spec.as_ref()?;
        let condition = |type_: &str| {
            let conditions = job.status.as_ref()?.conditions.as_ref()?;
            conditions
                .iter()
                .find(|c| c.type_ == type_ && c.status == "True")
        };
        Some(Self {
            uid: job.uid()?,
            name: job.name_any(),
            version: version(&job.metadata),
            owner: Target {
                kind: Kind::parse(&owner.kind)?,
                namespace: job.namespace()?,
                name: owner.name.clone(),
            },
            owner_uid: owner.uid.clone(),
            key: labels.get(names::KEY)?.clone(),
            attempt: labels.get(names::ATTEMPT)?.parse().ok()?,
            component: labels.get(names::COMPONENT).cloned().unwrap_or_default(),
            shards: u32::try_from(spec.completions.unwrap_or(1)).unwrap_or(1),
            suspended: spec.suspend.unwrap_or(false),
            queued: labels.contains_key(names::QUEUE),
            deleting: job.metadata.deletion_timestamp.is_some(),
            gang: spec
                .template
                .spec
                .as_ref()
                .is_some_and(|spec| spec.scheduling_group.is_some()),
            complete: condition("Complete").is_some(),
            failed: condition("Failed").map(|c| {
                (
                    c.reason.clone().unwrap_or_default(),
                    c.message.clone().unwrap_or_default(),
                )
            }),
        })
    }
}

impl PodFacts {
    /// The facts of a pod; `None` when it belongs to no Job.
    #[must_use]
    pub fn of(pod: &Pod) -> Option<Self> {
        let job = controller(&pod.metadata).filter(|owner| owner.kind == "Job")?;
        let status = pod.status.as_ref();
        let condition = |type_: &str| {
            let conditions = status?.conditions.as_ref()?;
            conditions.iter().find(|c| c.type_ == type_)
        };
        let container = status
            .and_then(|status| status.container_statuses.as_ref())
            .and_then(|all| all.iter().find(|c| c.name == names::CONTAINER));
        let scheduled = condition("PodScheduled");
        let unscheduled = scheduled.filter(|c| c.status == "False").map(|c| {
            (
                c.reason.clone().unwrap_or_default(),
                c.message.clone().unwrap_or_default(),
            )
        });
        let phase = status
            .and_then(|status| status.phase.as_deref())
            .unwrap_or_default();
        Some(Self {
            uid: pod.uid()?,
            name: pod.name_any(),
            job: job.uid.clone(),
            index: pod
                .labels()
                .get("batch.kubernetes.io/job-completion-index")
                .and_then(|index| index.parse().ok())
                .unwrap_or(0),
            deleting: pod.metadata.deletion_timestamp.is_some(),
            running: container
                .and_then(|c| c.state.as_ref())
                .is_some_and(|state| state.running.is_some()),
            ended: ended(pod, container, phase),
            blocked: unscheduled.or_else(|| container.and_then(waits)),
            considered: scheduled.is_some(),
            disrupted: condition("DisruptionTarget").is_some_and(|c| c.status == "True"),
        })
    }
}

fn waits(container: &ContainerStatus) -> Option<(String, String)> {
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    let reason = waiting.reason.clone().unwrap_or_default();
    (!PASSING.contains(&reason.as_str()))
        .then(|| (reason, waiting.message.clone().unwrap_or_default()))
}

fn ended(pod: &Pod, container: Option<&ContainerStatus>, phase: &str) -> Option<Ended> {
    let terminated = container
        .and_then(|c| c.state.as_ref())
        .and_then(|s| s.terminated.as_ref());
    if let Some(terminated) = terminated {
        return Some(Ended {
            exit_code: terminated.exit_code,
            reason: terminated.reason.clone().unwrap_or_default(),
            message: terminated.message.clone().unwrap_or_default(),
            at: terminated
                .finished_at
                .as_ref()
                .map_or(0, |at| at.0.as_second()),
        });
    }
    // The kubelet refused or evicted it before its container had a status.
    let status = pod.status.as_ref().filter(|_| phase == "Failed")?;
    Some(Ended {
        exit_code: -1,
        reason: status.reason.clone().unwrap_or_else(|| "Failed".into()),
        message: status.message.clone().unwrap_or_default(),
        at: 0,
    })
}

/// Returns the controller of an object.
fn controller(meta: &ObjectMeta) -> Option<&OwnerReference> {
    meta.owner_references
        .as_ref()?
        .iter()
        .find(|owner| owner.controller == Some(true))
}

/// A resourceVersion as a number; 0 where there is none.
#[must_use]
pub fn version(meta: &ObjectMeta) -> u64 {
    meta.resource_version
        .as_deref()
        .and_then(|version| version.parse().ok())
        .unwrap_or(0)
}
