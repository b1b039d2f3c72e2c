//! The dereference step: collects everything that an object refers to.
//!
//! That are its children and their reports, the objects that it names or that name it, and for each child that should be
//! started the domain, store and endpoints in this cluster. After this step nothing more is read.

use std::collections::BTreeMap;

use agoge_crds::Timestamp;
use agoge_plan::{Child, ChildState, Decision, Observed, Plan, Seen, SuiteSeen, SynthesisSeen};
use kube::ResourceExt as _;

use super::ReconcileError;
use super::context::{Context, Shared, get};
use crate::index::ChildFacts;
use crate::kinds::AgogeResource;
use crate::names::{Kind, Target};
use crate::observe::{self, pending};
use crate::render::Site;
use crate::resolve::Unresolved;

/// An object's children and references.
pub(super) struct Dereferenced<S> {
    /// The time of the observation.
    pub(super) now: Timestamp,
    /// The children as the API server has them.
    pub(super) children: Vec<ChildFacts>,
    /// The same as the plan reads it, with the objects that are referred to.
    pub(super) observed: Observed,
    /// The plan for these observations.
    pub(super) plan: Plan<S>,
    /// The children of the plan that do not exist, with their resolved names, or the state that says why they cannot start.
    pub(super) missing: Vec<(Child, Result<Site, ChildState>)>,
}

/// Collects everything that an object refers to.
///
/// # Errors
/// [`ReconcileError::Resolve`] if the API server does not answer.
pub(super) async fn dereference<K: AgogeResource>(
    object: &K,
    target: &Target,
    context: &Context<K>,
) -> Result<Dereferenced<K::Status>, ReconcileError> {
    let shared = &context.shared;
    let uid = object.meta().uid.as_deref().unwrap_or_default();
    let children = shared.index.children(target, uid);
    let mut observed = observe_references(object, target, shared);
    observed.children = observe_children(object, target, &children, context);
    let now = Timestamp::now();
    let plan = object.plan(&observed, now);
    let mut missing = vec![];
    for child in plan.children.iter().filter(|c| !exists(&children, c)) {
        let site = resolve_names(object, child, shared).await?;
        missing.push((child.clone(), site));
    }
    Ok(Dereferenced {
        now,
        children,
        observed,
        plan,
        missing,
    })
}

/// Returns true if this attempt of a child, or a later one, exists.
fn exists(children: &[ChildFacts], child: &Child) -> bool {
    children
        .iter()
        .any(|known| known.job.key == child.key && known.job.attempt >= child.attempt)
}

/// Returns the states of an object's children. One that could not be started last time is in the state that says why.
fn observe_children<K: AgogeResource>(
    object: &K,
    target: &Target,
    children: &[ChildFacts],
    context: &Context<K>,
) -> BTreeMap<String, Seen> {
    let mut seen: BTreeMap<String, Seen> = children
        .iter()
        .map(|child| {
            let reports = (context.shared.reports)(&target.namespace, &child.job.name);
            let pods: Vec<&_> = child.pods.iter().collect();
            let refused = child.refused.as_deref();
            let rules = object.failure_rules();
            let state = observe::state(&child.job, &pods, &reports, refused, rules);
            let attempt = child.job.attempt;
            (child.job.key.clone(), Seen { attempt, state })
        })
        .collect();
    let uid = object.meta().uid.as_deref().unwrap_or_default();
    for ((key, attempt), state) in context.memory.obstacles(target, uid) {
        if seen.get(&key).is_none_or(|seen| seen.attempt < attempt) {
            seen.insert(key, Seen { attempt, state });
        }
    }
    seen
}

/// Returns the objects that an object refers to, and the one that refers to it.
fn observe_references<K: AgogeResource>(object: &K, target: &Target, shared: &Shared) -> Observed {
    let mut observed = Observed::default();
    match K::KIND {
        Kind::SynthesisJob => {
            observed.decision = Decision::of(object.annotations());
            let referrer = shared.references.first_referrer(target);
            observed.used_by = referrer.map(|suite| suite.name);
        }
        Kind::CheckerSuite => {
            let job = object
                .refers_to()
                .and_then(|to| get(&shared.stores.synthesis_jobs, &to));
            let readable = job.as_ref().and_then(|guard| guard.0.as_ref().ok());
            observed.synthesis = readable.map(SynthesisSeen::from);
        }
        Kind::GRPORun => {
            let suite = object
                .refers_to()
                .and_then(|to| get(&shared.stores.checker_suites, &to));
            let readable = suite.as_ref().and_then(|guard| guard.0.as_ref().ok());
            observed.suite = readable.map(SuiteSeen::from);
        }
    }
    observed
}

/// Resolves the names that a child uses, or returns the state that says which one cannot be resolved.
async fn resolve_names<K: AgogeResource>(
    object: &K,
    child: &Child,
    shared: &Shared,
) -> Result<Result<Site, ChildState>, ReconcileError> {
    let Some(authority) = (shared.authority)() else {
        let message = "the operator is still creating its certificate authority";
        return Ok(Err(pending("Starting", message)));
    };
    let site = shared
        .resolver
        .site(child, object.domain(), object.store(), &authority)
        .await;
    match site {
        Ok(site) => Ok(Ok(site)),
        Err(Unresolved::Missing(state)) => Ok(Err(state)),
        Err(Unresolved::Api(error)) => Err(ReconcileError::Resolve(error)),
    }
}
