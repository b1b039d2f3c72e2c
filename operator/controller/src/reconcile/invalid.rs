//! Objects that cannot be read: reported once for each generation, and otherwise left alone.

use std::time::Duration;

use kube::{Resource as _, ResourceExt};

use super::CHECK_AGAIN;
use super::context::{Context, Guarded};
use crate::kinds::AgogeResource;
use crate::names::Target;

/// Reports an object that cannot be read, unless this generation was reported before. Returns the pause after which to
/// retry a report that failed.
pub(super) async fn report_invalid<K: AgogeResource>(
    guard: &Guarded<K>,
    target: &Target,
    error: &str,
    context: &Context<K>,
) -> Option<Duration> {
    let writer = &context.shared.writer;
    if !writer.leads() {
        return None;
    }
    let generation = guard.meta().generation.unwrap_or(0);
    let uid = guard.uid().unwrap_or_default();
    if !context.memory.begin_report(target, &uid, generation) {
        return None;
    }
    tracing::warn!(kind = %K::KIND, name = target.name, error, "an object cannot be read");
    let reported = writer.report_invalid::<K>(guard, error, generation).await;
    reported.err().map(|error| {
        tracing::warn!(%error, "the status of the unreadable object was not written");
        context.memory.report_failed(target, &uid);
        CHECK_AGAIN
    })
}
