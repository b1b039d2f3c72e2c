//! The memory of reconciles: facts about an object that are kept from one reconcile to the next. All of it can be lost without
//! harm: it saves writes, or delays them a little.
//!
//! Invariant: there are entries of existing objects only. [`Memory::forget`] drops those of a deleted object, and
//! [`Memory::retain`] those that a new list does not contain.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use agoge_plan::ChildState;
use kube::ResourceExt as _;
use parking_lot::Mutex;

use crate::kinds::AgogeResource;
use crate::names::Target;
use crate::observe::facts;

/// The key and the attempt of a child.
pub type Attempt = (String, u32);

/// The memory of all objects of a kind.
#[derive(Debug)]
pub struct Memory<K>(Mutex<HashMap<Target, ObjectMemory<K>>>);

/// The memory of one object.
#[derive(Debug)]
struct ObjectMemory<K> {
    /// The object's uid: a namesake that was created since starts without memory.
    uid: String,
    /// The object as this process wrote it last, until the watch shows it.
    written: Option<Arc<K>>,
    /// The time since which it waits for its first status.
    starting_since: Option<Instant>,
    /// The states of children that could not be started.
    obstacles: BTreeMap<Attempt, ChildState>,
    /// Failed reconciles in a row.
    failures: u32,
    /// The generation of an unreadable object that was last reported.
    reported_generation: Option<i64>,
}

impl<K> ObjectMemory<K> {
    fn new(uid: &str) -> Self {
        Self {
            uid: uid.to_owned(),
            written: None,
            starting_since: None,
            obstacles: BTreeMap::new(),
            failures: 0,
            reported_generation: None,
        }
    }

    fn is_empty(&self) -> bool {
        self.written.is_none()
            && self.starting_since.is_none()
            && self.obstacles.is_empty()
            && self.failures == 0
            && self.reported_generation.is_none()
    }
}

impl<K> Default for Memory<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

/// An object in the newest version that this process knows.
pub enum Newest<'a, K> {
    /// As the watch shows it.
    Watched(&'a K),
    /// As this process has written it since.
    Written(Arc<K>),
}

impl<K> std::ops::Deref for Newest<'_, K> {
    type Target = K;

    fn deref(&self) -> &K {
        match self {
            Self::Watched(object) => object,
            Self::Written(object) => object,
        }
    }
}

impl<K> Memory<K> {
    /// Changes the memory of an object; there is no entry as long as it is empty.
    fn update<R>(
        &self,
        target: &Target,
        uid: &str,
        change: impl FnOnce(&mut ObjectMemory<K>) -> R,
    ) -> R {
        let mut all = self.0.lock();
        let mut memory = all
            .remove(target)
            .filter(|memory| memory.uid == uid)
            .unwrap_or_else(|| ObjectMemory::new(uid));
        let result = change(&mut memory);
        if !memory.is_empty() {
            all.insert(target.clone(), memory);
        }
        result
    }

    /// Reads the memory of an object; `None` if there is none.
    fn read<R>(
        &self,
        target: &Target,
        uid: &str,
        read: impl FnOnce(&ObjectMemory<K>) -> R,
    ) -> Option<R> {
        let all = self.0.lock();
        all.get(target).filter(|memory| memory.uid == uid).map(read)
    }

    /// Drops the memory of a deleted object.
    pub fn forget(&self, target: &Target) {
        self.0.lock().remove(target);
    }

    /// Drops the memory of all objects that do not exist.
    pub fn retain(&self, exists: impl Fn(&Target) -> bool) {
        self.0.lock().retain(|target, _| exists(target));
    }

    /// Drops the memory of an object if the object does not exist: it was deleted while it was being reconciled.
    pub fn forget_unless(&self, target: &Target, exists: impl FnOnce() -> bool) {
        let mut all = self.0.lock();
        if all.contains_key(target) && !exists() {
            all.remove(target);
        }
    }

    /// Counts one more failure in a row, and returns how many there are.
    pub fn count_failure(&self, target: &Target, uid: &str) -> u32 {
        self.update(target, uid, |memory| {
            memory.failures = memory.failures.saturating_add(1);
            memory.failures
        })
    }

    /// Ends the row of failures.
    pub fn clear_failures(&self, target: &Target, uid: &str) {
        let failed = self.read(target, uid, |memory| memory.failures > 0);
        if failed == Some(true) {
            self.update(target, uid, |memory| memory.failures = 0);
        }
    }

    /// Records that an unreadable object is reported at this generation; returns false if it was reported before.
    pub fn begin_report(&self, target: &Target, uid: &str, generation: i64) -> bool {
        self.update(target, uid, |memory| {
            memory.reported_generation.replace(generation) != Some(generation)
        })
    }

    /// Takes back [`Memory::begin_report`] after a report that failed.
    pub fn report_failed(&self, target: &Target, uid: &str) {
        self.update(target, uid, |memory| memory.reported_generation = None);
    }

    /// Returns the time for which an object has waited for its first status; the first call starts the clock.
    pub fn starting_for(&self, target: &Target, uid: &str) -> Duration {
        self.update(target, uid, |memory| {
            memory
                .starting_since
                .get_or_insert_with(Instant::now)
                .elapsed()
        })
    }

    /// Records the state of a child that cannot be started; returns true if it was not blocked before.
    pub fn add_obstacle(
        &self,
        target: &Target,
        uid: &str,
        attempt: Attempt,
        state: ChildState,
    ) -> bool {
        self.update(target, uid, |memory| {
            memory.obstacles.insert(attempt, state).is_none()
        })
    }

    /// Drops the states of all children that could not be started: one of them was, or none is wanted any more.
    pub fn clear_obstacles(&self, target: &Target, uid: &str) {
        if self.has_obstacles(target, uid) {
            self.update(target, uid, |memory| memory.obstacles.clear());
        }
    }

    /// Returns true if a child could not be started.
    pub fn has_obstacles(&self, target: &Target, uid: &str) -> bool {
        self.read(target, uid, |memory| !memory.obstacles.is_empty()) == Some(true)
    }

    /// Returns the states of children that could not be started.
    pub fn obstacles(&self, target: &Target, uid: &str) -> BTreeMap<Attempt, ChildState> {
        self.read(target, uid, |memory| memory.obstacles.clone())
            .unwrap_or_default()
    }

    /// Returns the number of objects that something is remembered about.
    #[cfg(test)]
    pub fn entries(&self) -> usize {
        self.0.lock().len()
    }
}

impl<K: AgogeResource> Memory<K> {
    /// Returns the object in the newest version that is known: the watch's, or what this process has written since.
    pub fn newest<'a>(&self, target: &Target, watched: &'a K) -> Newest<'a, K> {
        let uid = watched.meta().uid.as_deref().unwrap_or_default();
        let written = self.read(target, uid, |memory| memory.written.clone());
        match written.flatten() {
            None => Newest::Watched(watched),
            Some(written) if facts::version(written.meta()) > facts::version(watched.meta()) => {
                Newest::Written(written)
            }
            Some(_) => {
                self.update(target, uid, |memory| memory.written = None);
                Newest::Watched(watched)
            }
        }
    }

    /// Records an object as this process has just written it. Its first status is written, so that it waits for none.
    pub fn wrote(&self, target: &Target, object: K) {
        let uid = object.uid().unwrap_or_default();
        self.update(target, &uid, |memory| {
            memory.starting_since = None;
            memory.written = Some(Arc::new(object));
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::Kind;

    fn target(name: &str) -> Target {
        Target {
            kind: Kind::GRPORun,
            namespace: "team".into(),
            name: name.into(),
        }
    }

    #[test]
    fn a_namesake_of_another_uid_starts_without_memory() {
        let memory = Memory::<agoge_crds::GRPORun>::default();
        assert_eq!(memory.count_failure(&target("a"), "1"), 1);
        assert_eq!(memory.count_failure(&target("a"), "1"), 2);
        assert_eq!(memory.count_failure(&target("a"), "2"), 1);
        memory.clear_failures(&target("a"), "2");
        assert_eq!(memory.entries(), 0, "an empty memory is no entry");
    }

    #[test]
    fn an_unreadable_object_is_reported_once_a_generation() {
        let memory = Memory::<agoge_crds::GRPORun>::default();
        let report = |generation| memory.begin_report(&target("a"), "1", generation);
        assert_eq!([1, 1, 2].map(report), [true, false, true]);
        memory.report_failed(&target("a"), "1");
        assert!(report(2));
    }

    #[test]
    fn an_object_that_went_while_it_was_reconciled_is_forgotten() {
        let memory = Memory::<agoge_crds::GRPORun>::default();
        memory.starting_for(&target("a"), "1");
        memory.forget_unless(&target("a"), || true);
        assert_eq!(memory.entries(), 1);
        memory.forget_unless(&target("a"), || false);
        assert_eq!(memory.entries(), 0);
    }
}
