//! The reconcile of one object: `dereference -> validate -> build -> apply -> update_status`.
//!
//! Expected flow:
//! 1. Take the newest version of the object: the watch's, or what this process has written since.
//! 2. `dereference`: collect its children and references, and resolve names for the children to start.
//! 3. `validate`: a child with a name that cannot be resolved becomes an observation.
//! 4. `build`: render the children to start; compute the desired children and status.
//! 5. `update_status`: write the status if it differs. It says what children are made from (digests, attempts), and is
//!    written before they start. If children need nothing of it, they start first, and steps 2 to 4 are repeated.
//! 6. `apply`: start children, stop those that are not wanted, delete an object that has outlived its time.
//!
//! Guarantees: a replica that does not lead writes nothing. Children that exist are never changed. Nothing is written when
//! nothing changed. Any step may be the last one before a crash: the next reconcile continues from what exists.

mod apply;
mod build;
mod context;
mod dereference;
mod invalid;
mod memory;
mod update_status;
mod validate;

use std::sync::Arc;
use std::time::{Duration, Instant};

use agoge_crds::Timestamp;
use agoge_plan::sooner;
use kube::ResourceExt;
use kube::runtime::controller::Action;
use tracing::Instrument as _;

use crate::backoff;
use crate::kinds::AgogeResource;
use crate::names::Target;
use crate::references::target_of;
use crate::write::WriteError;
use apply::Started;
use build::Desired;
pub use context::{
    AuthorityBundle, CONCURRENT_STATUS_WRITES, Context, Guarded, Reports, Shared, Stores,
};
use update_status::StatusWrite;

/// The pause after which an obstacle to a child is checked again.
const CHECK_AGAIN: Duration = Duration::from_secs(5);
/// The pause after a conflict. The watch brings the change; this is for a watch that lags behind.
const AFTER_CONFLICT: Duration = Duration::from_millis(200);

/// A reconcile that failed.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// A write failed.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The API server did not answer while a name was resolved.
    #[error("cannot resolve a name: {0}")]
    Resolve(#[source] Box<kube::Error>),
}

impl ReconcileError {
    /// Returns the class of the error as metrics name it.
    #[must_use]
    pub fn class(&self) -> &'static str {
        match self {
            Self::Write(error) => error.class(),
            Self::Resolve(_) => "LookUp",
        }
    }
}

/// The result of a reconcile as metrics name it, and when to reconcile again.
struct Outcome {
    result: &'static str,
    action: Action,
}

impl Outcome {
    fn await_change(result: &'static str) -> Self {
        Self {
            result,
            action: Action::await_change(),
        }
    }

    fn requeue(result: &'static str, after: Option<Duration>) -> Self {
        Self {
            result,
            action: after.map_or_else(Action::await_change, Action::requeue),
        }
    }
}

/// Reconciles one object.
///
/// # Errors
/// [`ReconcileError`]; [`error_policy`] says when it is retried.
pub async fn reconcile<K: AgogeResource>(
    guard: Arc<Guarded<K>>,
    context: Arc<Context<K>>,
) -> Result<Action, ReconcileError> {
    let began = Instant::now();
    let target = target_of(&guard);
    let metrics = &context.shared.metrics;
    metrics.dequeued(&target);
    let span = tracing::info_span!("reconcile", kind = %target.kind, namespace = target.namespace, name = target.name);
    let result = async {
        match &guard.0 {
            Ok(object) => reconcile_object(object, &target, &context).await,
            Err(invalid) => {
                let error = &invalid.error;
                let again = invalid::report_invalid(&guard, &target, error, &context).await;
                Ok(Outcome::requeue("invalid", again))
            }
        }
    }
    .instrument(span)
    .await;
    let outcome = match &result {
        Ok(outcome) => Ok(outcome.result),
        Err(error) => Err(error.class()),
    };
    metrics.reconciled(K::KIND, began.elapsed(), outcome);
    if result.is_ok() {
        let uid = target_uid(&guard);
        context.memory.clear_failures(&target, &uid);
    }
    // It may have been deleted meanwhile.
    let exists = || context.exists(&target);
    context.memory.forget_unless(&target, exists);
    result.map(|outcome| outcome.action)
}

/// Returns when to reconcile an object again after a failure: soon after a conflict, with growing pauses otherwise.
pub fn error_policy<K: AgogeResource>(
    guard: Arc<Guarded<K>>,
    error: &ReconcileError,
    context: Arc<Context<K>>,
) -> Action {
    match error.class() {
        // The new leader reconciles it; this replica reconciles everything when it leads again.
        "NotLeading" => return Action::await_change(),
        "Conflict" => return Action::requeue(AFTER_CONFLICT),
        _ => {}
    }
    let target = target_of(&guard);
    let failures = context.memory.count_failure(&target, &target_uid(&guard));
    let exists = || context.exists(&target);
    context.memory.forget_unless(&target, exists);
    let pause = backoff::RECONCILE.pause(failures);
    tracing::warn!(kind = %target.kind, namespace = target.namespace, name = target.name, %error, ?pause, "a reconcile failed; it is retried");
    Action::requeue(pause)
}

fn target_uid<K: AgogeResource>(guard: &Guarded<K>) -> String {
    guard.uid().unwrap_or_default()
}

/// Runs the pipeline for one readable object.
async fn reconcile_object<K: AgogeResource>(
    watched: &K,
    target: &Target,
    context: &Context<K>,
) -> Result<Outcome, ReconcileError> {
    let shared = &context.shared;
    if !shared.may_act() {
        return Ok(Outcome::await_change("standby"));
    }
    let newest = context.memory.newest(target, watched);
    let object: &K = &newest;
    if object.meta().deletion_timestamp.is_some() {
        // Its children are deleted with it.
        return Ok(Outcome::await_change("deleting"));
    }
    let mut started_early = None;
    let mut turn = None;
    let (desired, status_write) = loop {
        let desired = desired_state(object, target, context).await?;
        if started_early.is_none() && desired.starts_before_status() {
            let started = apply::start_children(object, target, &desired, context).await?;
            started_early = Some(started);
            continue;
        }
        let status_write = update_status::decide(object, target, &desired.plan, context);
        if status_write == StatusWrite::Now && turn.is_none() {
            match shared.status_writes.try_acquire() {
                Ok(free) => turn = Some(free),
                Err(_) => {
                    // Others are being written. When its turn comes, the state of that moment is written.
                    turn = shared.status_writes.acquire().await.ok();
                    continue;
                }
            }
        }
        break (desired, status_write);
    };
    let plan = &desired.plan;
    if status_write == StatusWrite::Now {
        update_status::update_status(object, target, &plan.status, context).await?;
    }
    drop(turn);
    let started = match started_early {
        // The status has just reported a refusal.
        Some(started) => Started {
            newly_refused: false,
            ..started
        },
        None => apply::start_children(object, target, &desired, context).await?,
    };
    let stopped = apply::stop_children(&desired, context).await?;
    if plan.delete {
        shared.writer.delete_object(object).await?;
        return Ok(Outcome::await_change("deleted"));
    }
    let wrote = status_write == StatusWrite::Now || started.created || stopped;
    let result = if wrote { "written" } else { "unchanged" };
    let again = requeue_after(object, target, &desired, started, status_write, context);
    Ok(Outcome::requeue(result, again))
}

/// Runs the steps that only read, and remembers the children that cannot be started.
async fn desired_state<K: AgogeResource>(
    object: &K,
    target: &Target,
    context: &Context<K>,
) -> Result<Desired<K::Status>, ReconcileError> {
    let dereferenced = dereference::dereference(object, target, context).await?;
    let validated = validate::validate(dereferenced);
    let desired = build::build(object, validated);
    let uid = object.meta().uid.as_deref().unwrap_or_default();
    for (attempt, state) in &desired.obstacles {
        let (attempt, state) = (attempt.clone(), state.clone());
        context.memory.add_obstacle(target, uid, attempt, state);
    }
    Ok(desired)
}

/// Returns when to reconcile again though nothing observed changes.
fn requeue_after<K: AgogeResource>(
    object: &K,
    target: &Target,
    desired: &Desired<K::Status>,
    started: Started,
    status_write: StatusWrite,
    context: &Context<K>,
) -> Option<Duration> {
    let (plan, memory) = (&desired.plan, &context.memory);
    let uid = object.meta().uid.as_deref().unwrap_or_default();
    let mut again = match status_write {
        // A refusal is reported at once; after that it is checked from time to time.
        _ if started.newly_refused => Some(Duration::ZERO),
        StatusWrite::Postponed(left) => sooner(plan.requeue, Some(left)),
        StatusWrite::Unchanged | StatusWrite::Now => plan.requeue,
    };
    if K::run(&plan.status).phase.is_terminal() {
        memory.clear_obstacles(target, uid);
    }
    if memory.has_obstacles(target, uid) {
        again = sooner(again, Some(CHECK_AGAIN));
    }
    again
}

/// Returns the time since an object was created.
fn age<K: AgogeResource>(object: &K) -> Option<Duration> {
    let created = object.creation_timestamp()?;
    let age = Timestamp::now().as_millisecond() - created.0.as_millisecond();
    Some(Duration::from_millis(u64::try_from(age).unwrap_or(0)))
}

#[cfg(test)]
pub(crate) mod tests;
