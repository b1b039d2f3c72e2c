//! The update_status step: writes the status if it differs, and publishes the events of the change.
//!
//! Few statuses are written. A new object is reported as starting only after a while, since most run by then. A few are
//! written at a time; one that had to wait is computed again, so that under load several transitions are one write.

use std::time::Duration;

use agoge_crds::{Phase, conditions};
use agoge_plan::{Plan, events};

use super::context::{Context, Shared};
use super::{ReconcileError, age};
use crate::kinds::{AgogeResource, WorkDone};
use crate::metrics::Milestone;
use crate::names::Target;

/// The time after which a new object is reported as starting. Most run earlier, and say so at once.
const STARTING: Duration = Duration::from_secs(10);

/// The decision about a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StatusWrite {
    /// It is the one that the object has.
    Unchanged,
    /// It says only that children start, and may wait this long.
    Postponed(Duration),
    /// It is to be written.
    Now,
}

/// Decides if the status of a plan is to be written now.
pub(super) fn decide<K: AgogeResource>(
    object: &K,
    target: &Target,
    plan: &Plan<K::Status>,
    context: &Context<K>,
) -> StatusWrite {
    if object.status() == Some(&plan.status) {
        return StatusWrite::Unchanged;
    }
    if !only_starts(object, plan) {
        return StatusWrite::Now;
    }
    let uid = object.meta().uid.as_deref().unwrap_or_default();
    let waited = context.memory.starting_for(target, uid);
    match STARTING.checked_sub(waited) {
        Some(left) if !left.is_zero() => StatusWrite::Postponed(left),
        _ => StatusWrite::Now,
    }
}

/// Returns true if a status is the first of an object and says no more than that its children start.
fn only_starts<K: AgogeResource>(object: &K, plan: &Plan<K::Status>) -> bool {
    let first = object
        .status()
        .is_none_or(|status| K::run(status).is_unseen());
    let run = K::run(&plan.status);
    let starting = run.phase == Phase::Pending
        && conditions::reason(&run.conditions, conditions::PROGRESSING)
            == Some(conditions::reason::STARTING);
    first && starting && !plan.status_first
}

/// Writes a status, and publishes the events of the change.
///
/// # Errors
/// [`crate::write::WriteError`]; a conflict if the object has changed since.
pub(super) async fn update_status<K: AgogeResource>(
    object: &K,
    target: &Target,
    status: &K::Status,
    context: &Context<K>,
) -> Result<(), ReconcileError> {
    let shared = &context.shared;
    let before = object.status().cloned().unwrap_or_default();
    let written = shared.writer.write_status(object, status).await?;
    record_milestones::<K>(&written, &before, status, shared);
    context.memory.wrote(target, written);
    let events = events(K::run(&before), K::run(status))
        .into_iter()
        .filter(|event| !event.routine)
        .chain(K::kind_events(&before, status));
    for event in events {
        shared.writer.publish_event(object, &event).await;
    }
    Ok(())
}

/// Measures the time until an object first ran and first reported work, and counts the work.
fn record_milestones<K: AgogeResource>(
    object: &K,
    before: &K::Status,
    after: &K::Status,
    shared: &Shared,
) {
    let reached = |milestone| {
        if let Some(age) = age(object) {
            shared.metrics.reached(K::KIND, milestone, age);
        }
    };
    if K::run(before).start_time.is_none() && K::run(after).start_time.is_some() {
        reached(Milestone::Ready);
    }
    let (old, new) = (K::work_done(before), K::work_done(after));
    if old == WorkDone::default() && new != old {
        reached(Milestone::Step);
    }
    shared.metrics.work_done(old, new);
}
