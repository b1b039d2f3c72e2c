//! One look at one object: observe, plan, write what differs.
//!
//! Expected flow:
//! 1. Take the newest there is of the object: the watch's, or what this process wrote since.
//! 2. Observe children ([`Index`]) and references; a child that could not be started last time counts as pending.
//! 3. Ask the plan. Resolve and render what should be started; what cannot be is observed as such, and the plan is asked again.
//! 4. Write the status if it differs: it says what children are made from (digests, attempts), and has to before they begin.
//!    Where children need nothing of it, they begin first. A few statuses are written at a time; one whose turn comes late
//!    is asked for again, so that under load several transitions are one write. That a new object starts is told ten
//!    seconds later: most run by then.
//! 5. Start children, stop what should not run, delete what has outlived its time.
//!
//! Guarantees: a replica that does not lead writes nothing. What exists is never changed. Nothing is written when nothing
//! changed. Every step may be the last one before a crash: the next look goes on from what there is.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use agoge_crds::{CheckerSuite, GRPORun, Phase, SynthesisJob, Timestamp, conditions};
use agoge_plan::{
    Child, ChildState, Decision, Observed, Plan, Seen, SuiteSeen, SynthesisSeen, events, sooner,
};
use kube::ResourceExt;
use kube::core::DeserializeGuard;
use kube::runtime::controller::Action;
use kube::runtime::reflector::{ObjectRef, Store};
use serde_json::Value;
use tokio::sync::Semaphore;
use tracing::Instrument as _;

use crate::index::{ChildFacts, Index};
use crate::kinds::Ours;
use crate::metrics::{Metrics, Milestone};
use crate::names::{Kind, Target};
use crate::observe::{self, facts, pending};
use crate::references::References;
use crate::render::{self, Rendered};
use crate::resolve::{Resolver, Unresolved};
use crate::write::{WriteError, Writer};

/// A kind's objects, the broken ones too.
pub type Guarded<K> = DeserializeGuard<K>;

/// Statuses that are written at a time, of all kinds. With more, under load, states are written that are over by then: 500
/// new objects took 839 writes until they ran with four at a time, 689 with two, 530 with one, which held them up.
pub const STATUSES: usize = 2;
/// How long it takes at most until a new object is told to be starting: most run by then, and say so at once.
const STARTING: Duration = Duration::from_secs(10);
/// When what stands in the way of a child is looked at again.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// What reconciles came to nothing for.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// A write.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// A look-up.
    #[error("cannot look a name up: {0}")]
    LookUp(#[source] Box<kube::Error>),
}

impl ReconcileError {
    /// One word for metrics and pauses.
    #[must_use]
    pub fn class(&self) -> &'static str {
        match self {
            Self::Write(error) => error.class(),
            Self::LookUp(_) => "LookUp",
        }
    }
}

/// The last reports of a child's shards.
pub type Reports = Arc<dyn Fn(&str, &str) -> BTreeMap<u32, Value> + Send + Sync>;
/// The certificate authority's bundle, once there is one.
pub type Bundle = Arc<dyn Fn() -> Option<String> + Send + Sync>;

/// The three kinds as the watches have them.
#[derive(Clone)]
pub struct Stores {
    /// SynthesisJobs.
    pub jobs: Store<Guarded<SynthesisJob>>,
    /// CheckerSuites.
    pub suites: Store<Guarded<CheckerSuite>>,
    /// GRPORuns.
    pub runs: Store<Guarded<GRPORun>>,
}

/// What all reconciles share.
pub struct Shared {
    /// The children.
    pub index: Index,
    /// The objects.
    pub stores: Stores,
    /// Who refers to whom.
    pub references: References,
    /// Names.
    pub resolver: Resolver,
    /// Writes.
    pub writer: Writer,
    /// Counters.
    pub metrics: Metrics,
    /// Progress.
    pub reports: Reports,
    /// The certificate authority.
    pub bundle: Bundle,
    /// Turns to write a status.
    pub statuses: Semaphore,
    /// Whether the first lists are there, and the authority had its time.
    pub warm: AtomicBool,
}

/// What the reconciles of one kind share.
pub struct Context<K: Ours> {
    /// With all kinds.
    pub shared: Arc<Shared>,
    /// Objects as this process wrote them last, by uid, until the watch has them.
    written: Mutex<HashMap<String, Arc<K>>>,
    /// Since when objects wait for their first status, by uid.
    starting: Mutex<HashMap<String, Instant>>,
    /// Why children could not be started, by owner's uid, key and attempt.
    obstacles: Mutex<HashMap<(String, String, u32), ChildState>>,
    /// Failures in a row, by object: the pause grows with them.
    failures: Mutex<HashMap<Target, u32>>,
    /// Broken objects that were told of, by uid and generation.
    told: Mutex<HashMap<String, i64>>,
}

impl<K: Ours> Context<K> {
    /// A context without memory.
    #[must_use]
    pub fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            written: Mutex::default(),
            starting: Mutex::default(),
            obstacles: Mutex::default(),
            failures: Mutex::default(),
            told: Mutex::default(),
        }
    }

    /// The object as it is known best.
    fn newest(&self, seen: &K) -> Arc<K> {
        let uid = seen.uid().unwrap_or_default();
        let mut written = lock(&self.written);
        match written.get(&uid) {
            Some(ours) if facts::version(ours.meta()) > facts::version(seen.meta()) => ours.clone(),
            Some(_) => {
                written.remove(&uid);
                Arc::new(seen.clone())
            }
            None => Arc::new(seen.clone()),
        }
    }
}

impl<K: Ours> Context<K> {
    /// How long the first status of an object may still wait, which says no more than that its children start.
    fn starting(&self, object: &K, plan: &Plan<K::Status>) -> Option<Duration> {
        let new = object
            .status()
            .is_none_or(|status| K::run(status).is_unseen());
        let run = K::run(&plan.status);
        let starts = run.phase == Phase::Pending
            && conditions::reason(&run.conditions, conditions::PROGRESSING)
                == Some(conditions::reason::STARTING);
        if !new || !starts || plan.status_first {
            return None;
        }
        let (uid, now) = (object.uid().unwrap_or_default(), Instant::now());
        let mut all = lock(&self.starting);
        let since = all.get(&uid).copied().unwrap_or_else(|| {
            all.retain(|_, since| now - *since < 2 * STARTING);
            all.insert(uid, now);
            now
        });
        STARTING
            .checked_sub(now - since)
            .filter(|left| !left.is_zero())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Looks at one object.
///
/// # Errors
/// [`ReconcileError`]; [`pause`] says when it is tried again.
pub async fn reconcile<K: Ours>(
    guard: Arc<Guarded<K>>,
    context: Arc<Context<K>>,
) -> Result<Action, ReconcileError> {
    let began = Instant::now();
    let target = Target {
        kind: K::KIND,
        namespace: guard.namespace().unwrap_or_default(),
        name: guard.name_any(),
    };
    let metrics = &context.shared.metrics;
    metrics.taken(&target);
    let span = tracing::info_span!("reconcile", kind = %target.kind, namespace = target.namespace, name = target.name);
    let result = async {
        match &guard.0 {
            Ok(object) => look(object, &context).await,
            Err(invalid) => {
                let again = refuse(&guard, &invalid.error, &context).await;
                let action = again.map_or_else(Action::await_change, Action::requeue);
                Ok((action, "invalid"))
            }
        }
    }
    .instrument(span)
    .await;
    let outcome = result.as_ref().map(|(_, what)| *what);
    metrics.reconciled(
        K::KIND,
        began.elapsed(),
        outcome.map_err(ReconcileError::class),
    );
    if result.is_ok() {
        lock(&context.failures).remove(&target);
    }
    result.map(|(action, _)| action)
}

/// When an object whose reconcile failed is looked at again: soon after a conflict, later and later after refusals.
pub fn pause<K: Ours>(
    guard: Arc<Guarded<K>>,
    error: &ReconcileError,
    context: Arc<Context<K>>,
) -> Action {
    let target = Target {
        kind: K::KIND,
        namespace: guard.namespace().unwrap_or_default(),
        name: guard.name_any(),
    };
    match error.class() {
        // The new leader looks at it; this replica is poked when it leads again.
        "NotLeading" => return Action::await_change(),
        // The watch brings what changed; this is for a watch that lags.
        "Conflict" => return Action::requeue(Duration::from_millis(200)),
        _ => {}
    }
    let mut failures = lock(&context.failures);
    let count = failures.entry(target.clone()).or_default();
    *count = count.saturating_add(1);
    let wait = Duration::from_millis(500 << (*count).min(9)).min(Duration::from_secs(120));
    tracing::warn!(kind = %target.kind, namespace = target.namespace, name = target.name, %error, ?wait, "reconcile failed");
    Action::requeue(wait)
}

async fn look<K: Ours>(
    seen: &K,
    context: &Context<K>,
) -> Result<(Action, &'static str), ReconcileError> {
    let shared = &context.shared;
    if !shared.writer.leads() || !shared.warm.load(Ordering::Relaxed) {
        return Ok((Action::await_change(), "standby"));
    }
    let object = context.newest(seen);
    let uid = object.uid().unwrap_or_default();
    if object.meta().deletion_timestamp.is_some() {
        // Its children go with it.
        return Ok((Action::await_change(), "deleting"));
    }
    let mut turn = None;
    let mut begun: Option<Begun> = None;
    let (asked, starting) = loop {
        let asked = ask(&*object, context).await?;
        if begun.is_none() && !asked.plan.status_first && !asked.ready.is_empty() {
            begun = Some(begin(&*object, &asked, context).await?);
            continue;
        }
        if turn.is_some() || object.status() == Some(&asked.plan.status) {
            break (asked, None);
        }
        let starting = context.starting(&*object, &asked.plan);
        if starting.is_some() {
            break (asked, starting);
        }
        if let Ok(free) = shared.statuses.try_acquire() {
            turn = Some(free);
            break (asked, None);
        }
        // Others are being written. What is there when its turn comes is what will be written.
        turn = shared.statuses.acquire().await.ok();
    };
    let (plan, children) = (&asked.plan, &asked.children);
    let mut result = "unchanged";
    if object.status() != Some(&plan.status) && starting.is_none() {
        result = "written";
        tell(&*object, &plan.status, context).await?;
    }
    drop(turn);
    let begun = match begun {
        // A refusal was told with the status.
        Some(early) => Begun {
            refused: false,
            ..early
        },
        None => begin(&*object, &asked, context).await?,
    };
    if begun.wrote {
        result = "written";
    }
    // A refusal is to be told at once; after that it is looked at now and then.
    let mut again = if begun.refused {
        Some(Duration::ZERO)
    } else {
        sooner(plan.requeue, starting)
    };
    for child in children {
        if runs(child) && !wanted(&plan.children, child) {
            result = "written";
            shared.writer.stop(&child.job).await?;
            shared.index.deleting(&child.job.uid);
        }
    }
    if plan.delete {
        shared.writer.delete(&*object).await?;
        return Ok((Action::await_change(), "deleted"));
    }
    if K::run(&plan.status).phase.is_terminal() {
        lock(&context.obstacles).retain(|(of, ..), _| *of != uid);
    }
    if lock(&context.obstacles).keys().any(|(of, ..)| *of == uid) {
        again = sooner(again, Some(LOOK_AGAIN));
    }
    let action = again.map_or_else(Action::await_change, Action::requeue);
    Ok((action, result))
}

/// What the plan says of what is there now.
struct Asked<S> {
    children: Vec<ChildFacts>,
    plan: Plan<S>,
    /// The children to start.
    ready: Vec<Rendered>,
}

/// Observes and asks the plan; asks it again where a child cannot be started.
async fn ask<K: Ours>(
    object: &K,
    context: &Context<K>,
) -> Result<Asked<K::Status>, ReconcileError> {
    let shared = &context.shared;
    let uid = object.uid().unwrap_or_default();
    let children = shared.index.children(&object.target(), &uid);
    let mut observed = references(object, shared);
    observed.children = states(object, &children, context);
    let now = Timestamp::now();
    let mut plan = object.plan(&observed, now);
    let mut ready: Vec<Rendered> = vec![];
    let mut blocked = vec![];
    for child in plan.children.iter().filter(|c| !exists(&children, c)) {
        match prepare(object, child, shared).await? {
            Ok(rendered) => ready.push(rendered),
            Err(state) => blocked.push((child.key.clone(), child.attempt, state)),
        }
    }
    if !blocked.is_empty() {
        let mut known = lock(&context.obstacles);
        for (key, attempt, state) in blocked {
            known.insert((uid.clone(), key.clone(), attempt), state.clone());
            observed.children.insert(key, Seen { attempt, state });
        }
        drop(known);
        plan = object.plan(&observed, now);
        // Asked again, the plan may want one no more.
        ready.retain(|r| plan.children.iter().any(|c| c.name == r.job.name_any()));
    }
    Ok(Asked {
        children,
        plan,
        ready,
    })
}

/// Writes a status, and tells what happened since the one before.
async fn tell<K: Ours>(
    object: &K,
    status: &K::Status,
    context: &Context<K>,
) -> Result<(), ReconcileError> {
    let shared = &context.shared;
    let before = object.status().cloned().unwrap_or_default();
    let written = shared.writer.status(object, status).await?;
    milestones::<K>(&written, &before, status, shared);
    lock(&context.written).insert(object.uid().unwrap_or_default(), Arc::new(written));
    let notes = events(K::run(&before), K::run(status))
        .into_iter()
        .filter(|note| !note.routine)
        .chain(K::notes(&before, status));
    for note in notes {
        shared.writer.tell(object, &note).await;
    }
    Ok(())
}

/// What came of starting children.
#[derive(Default)]
struct Begun {
    wrote: bool,
    /// Whether one was refused that was not refused before.
    refused: bool,
}

/// Starts the children that are ready.
async fn begin<K: Ours>(
    object: &K,
    asked: &Asked<K::Status>,
    context: &Context<K>,
) -> Result<Begun, ReconcileError> {
    let shared = &context.shared;
    let uid = object.uid().unwrap_or_default();
    let mut begun = Begun::default();
    for rendered in &asked.ready {
        match shared.writer.create(rendered).await {
            Ok(Some(job)) => {
                begun.wrote = true;
                shared.index.wrote(&job);
                lock(&context.obstacles).retain(|(of, ..), _| *of != uid);
                if let Some(age) = age(object) {
                    shared.metrics.reached(K::KIND, Milestone::Pods, age);
                }
            }
            Ok(None) => {}
            Err(error) => {
                let state = refused(&error).ok_or(error)?;
                let key = label(rendered, crate::names::KEY);
                let attempt = label(rendered, crate::names::ATTEMPT).parse().unwrap_or(0);
                let known = lock(&context.obstacles).insert((uid.clone(), key, attempt), state);
                begun.refused |= known.is_none();
            }
        }
    }
    Ok(begun)
}

/// The objects of a child, or why it cannot be started.
async fn prepare<K: Ours>(
    object: &K,
    child: &Child,
    shared: &Shared,
) -> Result<Result<Rendered, ChildState>, ReconcileError> {
    let Some(ca) = (shared.bundle)() else {
        let what = "the operator is still making its certificate authority";
        return Ok(Err(pending("Starting", what)));
    };
    let site = shared
        .resolver
        .site(child, object.domain(), object.store(), &ca)
        .await;
    let site = match site {
        Ok(site) => site,
        Err(Unresolved::Missing(state)) => return Ok(Err(state)),
        Err(Unresolved::Api(error)) => return Err(ReconcileError::LookUp(error)),
    };
    Ok(
        render::render(child, &site).map_err(|error| ChildState::Failed {
            exit_code: None,
            reason: "InvalidTemplate".into(),
            message: error.to_string(),
            retryable: false,
            disrupted: false,
        }),
    )
}

/// A refusal that concerns this child alone and is to be told: `None` for what concerns the API server or this replica.
fn refused(error: &WriteError) -> Option<ChildState> {
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

fn label(rendered: &Rendered, name: &str) -> String {
    rendered.job.labels().get(name).cloned().unwrap_or_default()
}

fn exists(children: &[ChildFacts], child: &Child) -> bool {
    children
        .iter()
        .any(|known| known.job.key == child.key && known.job.attempt >= child.attempt)
}

fn wanted(plan: &[Child], child: &ChildFacts) -> bool {
    plan.iter()
        .any(|wanted| wanted.key == child.job.key && wanted.attempt == child.job.attempt)
}

fn runs(child: &ChildFacts) -> bool {
    !child.job.complete && child.job.failed.is_none() && !child.job.deleting
}

/// The children of an object as the plan knows them.
fn states<K: Ours>(
    object: &K,
    children: &[ChildFacts],
    context: &Context<K>,
) -> BTreeMap<String, Seen> {
    let (namespace, uid) = (
        object.namespace().unwrap_or_default(),
        object.uid().unwrap_or_default(),
    );
    let mut seen: BTreeMap<String, Seen> = children
        .iter()
        .map(|child| {
            let reports = (context.shared.reports)(&namespace, &child.job.name);
            let pods: Vec<&_> = child.pods.iter().collect();
            let refused = child.refused.as_deref();
            let state = observe::state(&child.job, &pods, &reports, refused, object.rules());
            let attempt = child.job.attempt;
            (child.job.key.clone(), Seen { attempt, state })
        })
        .collect();
    for ((of, key, attempt), state) in lock(&context.obstacles).iter() {
        if *of == uid && seen.get(key).is_none_or(|seen| seen.attempt < *attempt) {
            let state = state.clone();
            seen.insert(
                key.clone(),
                Seen {
                    attempt: *attempt,
                    state,
                },
            );
        }
    }
    seen
}

/// What an object refers to, and who refers to it.
fn references<K: Ours>(object: &K, shared: &Shared) -> Observed {
    let mut observed = Observed::default();
    match K::KIND {
        Kind::SynthesisJob => {
            observed.decision = Decision::of(object.annotations());
            observed.used_by = shared.references.first(&object.target()).map(|by| by.name);
        }
        Kind::CheckerSuite => {
            observed.synthesis = object
                .refers_to()
                .and_then(|to| get(&shared.stores.jobs, &to))
                .map(|job| SynthesisSeen::from(&*job));
        }
        Kind::GRPORun => {
            observed.suite = object
                .refers_to()
                .and_then(|to| get(&shared.stores.suites, &to))
                .map(|suite| SuiteSeen::from(&*suite));
        }
    }
    observed
}

fn get<K: Ours>(store: &Store<Guarded<K>>, target: &Target) -> Option<Arc<K>> {
    let key = ObjectRef::<Guarded<K>>::new(&target.name).within(&target.namespace);
    let found = store.get(&key)?;
    found.0.as_ref().ok().map(|object| Arc::new(object.clone()))
}

fn age<K: Ours>(object: &K) -> Option<Duration> {
    let made = object.creation_timestamp()?;
    let age = Timestamp::now().as_millisecond() - made.0.as_millisecond();
    Some(Duration::from_millis(u64::try_from(age).unwrap_or(0)))
}

/// Times what happened for the first time, and counts what was made.
fn milestones<K: Ours>(object: &K, before: &K::Status, after: &K::Status, shared: &Shared) {
    let (was, is) = (K::run(before), K::run(after));
    if was.start_time.is_none()
        && is.start_time.is_some()
        && let Some(age) = age(object)
    {
        shared.metrics.reached(K::KIND, Milestone::Ready, age);
    }
    let (old, new) = (K::made(before), K::made(after));
    if old == (0, 0, 0)
        && new != old
        && let Some(age) = age(object)
    {
        shared.metrics.reached(K::KIND, Milestone::Step, age);
    }
    shared.metrics.made(
        new.0.saturating_sub(old.0),
        new.1.saturating_sub(old.1),
        new.2.saturating_sub(old.2),
    );
}

/// Says of an object that cannot be read that it cannot, once for each generation; when to try again where it could not.
async fn refuse<K: Ours>(
    guard: &Guarded<K>,
    error: &str,
    context: &Context<K>,
) -> Option<Duration> {
    let writer = &context.shared.writer;
    if !writer.leads() {
        return None;
    }
    let generation = guard.metadata_generation();
    let uid = guard.uid().unwrap_or_default();
    if lock(&context.told).insert(uid.clone(), generation) == Some(generation) {
        return None;
    }
    tracing::warn!(kind = %K::KIND, name = guard.name_any(), error, "an object cannot be read");
    let refused = writer.refuse::<K>(guard, error, generation).await;
    refused.err().map(|error| {
        tracing::warn!(%error, "its status was not written");
        lock(&context.told).remove(&uid);
        LOOK_AGAIN
    })
}

/// The generation of an object that may be broken.
trait Generation {
    fn metadata_generation(&self) -> i64;
}

impl<K: Ours> Generation for Guarded<K> {
    fn metadata_generation(&self) -> i64 {
        use kube::Resource as _;
        self.meta().generation.unwrap_or(0)
    }
}
