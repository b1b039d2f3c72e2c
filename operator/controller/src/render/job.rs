//! The Job of a child: one pod per shard, and the rules for pods that fail.

use agoge_plan::Child;
use k8s_openapi::api::batch::v1::{
    Job, JobSpec, PodFailurePolicy, PodFailurePolicyOnExitCodesRequirement,
    PodFailurePolicyOnPodConditionsPattern, PodFailurePolicyRule,
};

use super::site::Site;
use super::{RenderError, count, is_rollout, metadata, overlay, pod};
use crate::names;

/// Failures allowed to one rollout server before it is given up: many, since the Job replaces it.
const ROLLOUT_FAILURES: i32 = 1000;
/// Exit codes after which another attempt cannot help: bad input, and a user model that is not certified.
const FATAL_EXIT_CODES: [i32; 2] = [2, 4];
/// Exit codes of a worker that was asked to stop.
const STOPPED_EXIT_CODES: [i32; 2] = [130, 143];

/// Returns the Job of a child.
///
/// # Errors
/// [`RenderError`] if the manifest's overlay is refused.
pub(super) fn job(child: &Child, site: &Site) -> Result<Job, RenderError> {
    let mut metadata = metadata(child);
    let queue = child.needs.template.queue.as_ref();
    if let Some(queue) = queue {
        let labels = metadata.labels.get_or_insert_default();
        labels.insert(names::QUEUE.to_owned(), queue.clone());
    }
    let template = overlay::merge(
        pod::template(child, site)?,
        child.needs.template.overlay.as_ref(),
    )?;
    // The plan counts attempts: a failed pod fails its Job, and the next attempt is another Job. The exception is a rollout
    // server: its Job replaces it while the others go on, and counts the failures of each server separately.
    let (backoff_limit, backoff_limit_per_index) = match is_rollout(child) {
        true => (None, Some(ROLLOUT_FAILURES)),
        false => (Some(0), None),
    };
    Ok(Job {
        metadata,
        spec: Some(JobSpec {
            completion_mode: Some("Indexed".to_owned()),
            completions: Some(count(child.shards)),
            parallelism: Some(count(child.shards)),
            backoff_limit,
            backoff_limit_per_index,
            pod_replacement_policy: Some("Failed".to_owned()),
            pod_failure_policy: Some(failure_policy()),
            // A queue lets it start.
            suspend: Some(queue.is_some()),
            template,
            ..JobSpec::default()
        }),
        status: None,
    })
}

/// The rules for failed pods. A pod that was disrupted or stopped is replaced and continues from the saved work.
fn failure_policy() -> PodFailurePolicy {
    let disrupted = PodFailurePolicyRule {
        action: "Ignore".to_owned(),
        on_pod_conditions: Some(vec![PodFailurePolicyOnPodConditionsPattern {
            type_: "DisruptionTarget".to_owned(),
            status: Some("True".to_owned()),
        }]),
        on_exit_codes: None,
    };
    PodFailurePolicy {
        rules: vec![
            disrupted,
            exit_code_rule("FailJob", FATAL_EXIT_CODES),
            exit_code_rule("Ignore", STOPPED_EXIT_CODES),
        ],
    }
}

fn exit_code_rule(action: &str, exit_codes: [i32; 2]) -> PodFailurePolicyRule {
    PodFailurePolicyRule {
        action: action.to_owned(),
        on_exit_codes: Some(PodFailurePolicyOnExitCodesRequirement {
            container_name: Some(names::CONTAINER.to_owned()),
            operator: "In".to_owned(),
            values: exit_codes.into(),
        }),
        on_pod_conditions: None,
    }
}
