//! The parts of the operator that reconciles share.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use agoge_crds::{CheckerSuite, GRPORun, SynthesisJob};
use kube::core::DeserializeGuard;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher::Event;
use serde_json::Value;
use tokio::sync::Semaphore;

use super::memory::Memory;
use crate::index::Index;
use crate::kinds::AgogeResource;
use crate::metrics::Metrics;
use crate::names::Target;
use crate::references::{References, target_of};
use crate::requests::ReconcileRequests;
use crate::resolve::Resolver;
use crate::write::Writer;

/// An object of a watch, which may be unreadable.
pub type Guarded<K> = DeserializeGuard<K>;

/// The statuses that are written at a time, of all kinds. Under load, more of them write states that are over by then: 500
/// new objects took 839 writes until they ran with four at a time, 689 with two, 530 with one, which delayed them.
pub const CONCURRENT_STATUS_WRITES: usize = 2;

/// Returns the last reports of a child's shards, by namespace and child.
pub type Reports = Arc<dyn Fn(&str, &str) -> BTreeMap<u32, Value> + Send + Sync>;
/// Returns the certificate authority of the progress server, PEM, once there is one.
pub type AuthorityBundle = Arc<dyn Fn() -> Option<String> + Send + Sync>;

/// The objects of the three kinds, as the watches show them.
#[derive(Clone)]
pub struct Stores {
    /// SynthesisJobs.
    pub synthesis_jobs: Store<Guarded<SynthesisJob>>,
    /// CheckerSuites.
    pub checker_suites: Store<Guarded<CheckerSuite>>,
    /// GRPORuns.
    pub grpo_runs: Store<Guarded<GRPORun>>,
}

/// The parts that reconciles of all kinds share.
pub struct Shared {
    /// The children.
    pub index: Index,
    /// The objects.
    pub stores: Stores,
    /// The references between objects.
    pub references: References,
    /// Resolves names in manifests.
    pub resolver: Resolver,
    /// Writes to the API server.
    pub writer: Writer,
    /// Counters.
    pub metrics: Metrics,
    /// The progress of children.
    pub reports: Reports,
    /// The certificate authority of the progress server.
    pub authority: AuthorityBundle,
    /// Limits concurrent writes of statuses.
    pub status_writes: Semaphore,
    /// True once the first lists are complete, and the certificate authority is there or had its time.
    pub warm: AtomicBool,
}

impl Shared {
    /// Returns true if reconciles may act.
    #[must_use]
    pub fn may_act(&self) -> bool {
        self.writer.leads() && self.warm.load(Ordering::Relaxed)
    }
}

/// The parts that reconciles of one kind share.
pub struct Context<K: AgogeResource> {
    /// The parts of all kinds.
    pub shared: Arc<Shared>,
    /// The objects of this kind.
    pub store: Store<Guarded<K>>,
    /// The memory of reconciles.
    pub memory: Memory<K>,
}

impl<K: AgogeResource> Context<K> {
    /// Creates a context without memory.
    #[must_use]
    pub fn new(shared: Arc<Shared>, store: Store<Guarded<K>>) -> Self {
        Self {
            shared,
            store,
            memory: Memory::default(),
        }
    }

    /// Returns true if the watch's store has this object.
    #[must_use]
    pub fn exists(&self, target: &Target) -> bool {
        get(&self.store, target).is_some()
    }

    /// Updates everything that is kept per object from one event of the kind's watch, after the store was updated.
    pub fn observe(&self, event: &Event<Guarded<K>>, requests: &ReconcileRequests) {
        let references = &self.shared.references;
        references.update(event, |target| self.exists(target), requests);
        match event {
            Event::Delete(guard) => self.memory.forget(&target_of(guard)),
            Event::InitDone => self.memory.retain(|target| self.exists(target)),
            Event::Init | Event::InitApply(_) | Event::Apply(_) => {}
        }
    }
}

/// Returns an object of a store.
pub fn get<K: AgogeResource>(
    store: &Store<Guarded<K>>,
    target: &Target,
) -> Option<Arc<Guarded<K>>> {
    store.get(&ObjectRef::new(&target.name).within(&target.namespace))
}
