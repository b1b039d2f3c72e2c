//! The apply step: starts children, stops those that are not wanted, and deletes an object that has outlived its time.
//!
//! A child that exists is never changed. A child that the API server refuses is recorded as an obstacle, which the next plan
//! observes.

use agoge_plan::ChildState;
use kube::ResourceExt;

use super::ReconcileError;
use super::build::Desired;
use super::context::Context;
use crate::kinds::AgogeResource;
use crate::metrics::Milestone;
use crate::names::{ATTEMPT, KEY, Target};
use crate::observe::pending;
use crate::render::Rendered;
use crate::write::WriteError;

/// The result of starting children.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Started {
    /// True if a child was created.
    pub(super) created: bool,
    /// True if a child was refused that was not refused before: the status does not say so yet.
    pub(super) newly_refused: bool,
}

/// Starts the children that are to be started.
///
/// # Errors
/// [`WriteError`], unless it concerns one child alone.
pub(super) async fn start_children<K: AgogeResource>(
    object: &K,
    target: &Target,
    desired: &Desired<K::Status>,
    context: &Context<K>,
) -> Result<Started, ReconcileError> {
    let shared = &context.shared;
    let uid = object.meta().uid.as_deref().unwrap_or_default();
    let mut started = Started::default();
    for rendered in &desired.to_start {
        match shared.writer.create_child(rendered).await {
            Ok(Some(job)) => {
                started.created = true;
                shared.index.wrote(&job);
                context.memory.clear_obstacles(target, uid);
                if let Some(age) = super::age(object) {
                    shared.metrics.reached(K::KIND, Milestone::Pods, age);
                }
            }
            Ok(None) => {}
            Err(error) => {
                let state = refusal(&error).ok_or(error)?;
                let new = context
                    .memory
                    .add_obstacle(target, uid, attempt(rendered), state);
                started.newly_refused |= new;
            }
        }
    }
    Ok(started)
}

/// Stops the running children that are not wanted; returns true if there were any.
///
/// # Errors
/// [`WriteError`]
pub(super) async fn stop_children<K: AgogeResource>(
    desired: &Desired<K::Status>,
    context: &Context<K>,
) -> Result<bool, ReconcileError> {
    let shared = &context.shared;
    let mut stopped = false;
    for child in desired.to_stop() {
        shared.writer.delete_job(&child.job).await?;
        shared.index.deleting(&child.job.uid);
        stopped = true;
    }
    Ok(stopped)
}

fn attempt(rendered: &Rendered) -> (String, u32) {
    let label = |name| rendered.job.labels().get(name).map_or("", String::as_str);
    (label(KEY).to_owned(), label(ATTEMPT).parse().unwrap_or(0))
}

/// Returns the state of a child that the API server refuses; `None` if the error concerns the API server or this replica
/// and not this child alone.
fn refusal(error: &WriteError) -> Option<ChildState> {
    let message = error.to_string();
    match error.code()? {
        403 if message.contains("exceeded quota") => Some(pending("QuotaExceeded", &message)),
        403 => Some(pending("Forbidden", &message)),
        400 | 422 => Some(ChildState::Failed {
            exit_code: None,
            reason: "InvalidTemplate".into(),
            message,
            retryable: false,
            disrupted: false,
        }),
        404 => Some(pending("NotServed", &message)),
        _ => None,
    }
}
