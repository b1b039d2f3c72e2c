//! The references between Agoge objects: a change of one requests a reconcile of those that refer to it.
//!
//! Invariant: the maps hold entries of existing objects only. An object that is deleted is dropped, also if the watch missed
//! the deletion and shows it only by a new list.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use kube::ResourceExt;
use kube::core::DeserializeGuard;
use kube::runtime::watcher::Event;
use parking_lot::Mutex;

use crate::kinds::AgogeResource;
use crate::names::Target;
use crate::requests::ReconcileRequests;

/// The references of all objects. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct References(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    /// The object that an object refers to.
    refers_to: HashMap<Target, Target>,
    /// The objects that refer to an object.
    referrers: HashMap<Target, BTreeSet<Target>>,
}

impl References {
    /// Updates the references from one event of a kind's watch, and requests reconciles of the objects it concerns: those
    /// that refer to the changed object, and those whose referrers changed. `exists` answers for objects of this kind, by
    /// the watch's store after the event.
    pub fn update<K: AgogeResource>(
        &self,
        event: &Event<DeserializeGuard<K>>,
        exists: impl Fn(&Target) -> bool,
        requests: &ReconcileRequests,
    ) {
        let concerned = match event {
            Event::Init => return,
            Event::InitDone => self.0.lock().drop_missing::<K>(exists),
            Event::Apply(guard) | Event::InitApply(guard) => {
                // The references of an object that cannot be read are unknown: the last known ones stay.
                let Ok(object) = &guard.0 else { return };
                self.0.lock().changed(&object.target(), object.refers_to())
            }
            Event::Delete(guard) => self.0.lock().changed(&target_of(guard), None),
        };
        requests.request_all(&concerned);
    }

    /// Returns the first object, by name, that refers to this one.
    #[must_use]
    pub fn first_referrer(&self, target: &Target) -> Option<Target> {
        self.0.lock().referrers.get(target)?.first().cloned()
    }

    /// Returns the number of entries in all maps.
    #[cfg(test)]
    pub(crate) fn entries(&self) -> usize {
        let inner = self.0.lock();
        inner.refers_to.len() + inner.referrers.len()
    }
}

/// Returns the target of an object that may be unreadable.
pub fn target_of<K: AgogeResource>(guard: &DeserializeGuard<K>) -> Target {
    Target {
        kind: K::KIND,
        namespace: guard.namespace().unwrap_or_default(),
        name: guard.name_any(),
    }
}

impl Inner {
    /// Notes the reference of a changed object; returns the objects that this concerns.
    fn changed(&mut self, object: &Target, refers_to: Option<Target>) -> Vec<Target> {
        let mut concerned = self.relate(object, refers_to);
        concerned.extend(self.referrers.get(object).into_iter().flatten().cloned());
        concerned
    }

    /// Drops the objects of a kind that a new list does not contain; returns the objects that this concerns.
    fn drop_missing<K: AgogeResource>(&mut self, exists: impl Fn(&Target) -> bool) -> Vec<Target> {
        let missing: BTreeSet<Target> = self
            .refers_to
            .keys()
            .chain(self.referrers.keys())
            .filter(|target| target.kind == K::KIND && !exists(target))
            .cloned()
            .collect();
        missing
            .iter()
            .flat_map(|target| self.changed(target, None))
            .collect()
    }

    /// Replaces the reference of an object; returns the old and the new referenced object if they differ.
    fn relate(&mut self, object: &Target, refers_to: Option<Target>) -> Vec<Target> {
        let old = match &refers_to {
            Some(to) => self.refers_to.insert(object.clone(), to.clone()),
            None => self.refers_to.remove(object),
        };
        if old == refers_to {
            return vec![];
        }
        if let Some(old) = &old
            && let Some(referrers) = self.referrers.get_mut(old)
        {
            referrers.remove(object);
            if referrers.is_empty() {
                self.referrers.remove(old);
            }
        }
        if let Some(to) = &refers_to {
            let referrers = self.referrers.entry(to.clone()).or_default();
            referrers.insert(object.clone());
        }
        old.into_iter().chain(refers_to).collect()
    }
}

#[cfg(test)]
mod tests {
    use agoge_crds::{CheckerSuite, SynthesisJob};
    use futures::channel::mpsc::UnboundedReceiver;
    use serde_json::json;

    use super::*;
    use crate::names::Kind;
    use crate::requests::RequestReceivers;

    fn target(kind: Kind, name: &str) -> Target {
        Target {
            kind,
            namespace: "team".into(),
            name: name.into(),
        }
    }

    fn suite(name: &str, job: &str) -> DeserializeGuard<CheckerSuite> {
        serde_json::from_value(json!({
            "apiVersion": "agoge.dev/v1alpha1", "kind": "CheckerSuite",
            "metadata": { "name": name, "namespace": "team", "uid": name },
            "spec": { "domain": "desk", "source": { "synthesisJob": job } },
        }))
        .unwrap()
    }

    fn job(name: &str) -> DeserializeGuard<SynthesisJob> {
        let unreadable = json!({
            "apiVersion": "agoge.dev/v1alpha1", "kind": "SynthesisJob",
            "metadata": { "name": name, "namespace": "team", "uid": name },
            "spec": 3,
        });
        serde_json::from_value(unreadable).unwrap()
    }

    fn requested(receiver: &mut UnboundedReceiver<Target>) -> Vec<String> {
        std::iter::from_fn(|| receiver.try_recv().ok())
            .map(|target| target.name)
            .collect()
    }

    fn all_exist(_: &Target) -> bool {
        true
    }

    struct Setup {
        references: References,
        requests: ReconcileRequests,
        receivers: RequestReceivers,
    }

    fn setup() -> Setup {
        let (requests, receivers) = ReconcileRequests::channels();
        Setup {
            references: References::default(),
            requests,
            receivers,
        }
    }

    #[test]
    fn a_new_reference_requests_the_referenced_object_and_a_change_requests_its_referrers() {
        let mut s = setup();
        let update = |event| s.references.update(&event, all_exist, &s.requests);
        update(Event::Apply(suite("b", "desk")));
        update(Event::Apply(suite("a", "desk")));
        update(Event::Apply(suite("a", "desk")));
        assert_eq!(requested(&mut s.receivers.synthesis_jobs), ["desk", "desk"]);
        let desk = target(Kind::SynthesisJob, "desk");
        assert_eq!(s.references.first_referrer(&desk).unwrap().name, "a");

        update(Event::Apply(suite("a", "other")));
        assert_eq!(
            requested(&mut s.receivers.synthesis_jobs),
            ["desk", "other"]
        );
        assert_eq!(s.references.first_referrer(&desk).unwrap().name, "b");

        // Also a referenced object that cannot be read any more, and is deleted.
        let deleted = Event::Delete(job("desk"));
        s.references.update(&deleted, all_exist, &s.requests);
        assert_eq!(requested(&mut s.receivers.checker_suites), ["b"]);
    }

    #[test]
    fn objects_that_are_deleted_or_missing_from_a_new_list_leave_nothing() {
        let mut s = setup();
        let update = |event| s.references.update(&event, all_exist, &s.requests);
        update(Event::Apply(suite("a", "desk")));
        update(Event::Apply(suite("b", "desk")));
        update(Event::Delete(suite("a", "desk")));
        requested(&mut s.receivers.synthesis_jobs);
        // The deletion of `b` was missed: the next list is without it.
        let listed = Event::<DeserializeGuard<CheckerSuite>>::InitDone;
        s.references.update(&listed, |_| false, &s.requests);
        assert_eq!(requested(&mut s.receivers.synthesis_jobs), ["desk"]);
        assert_eq!(s.references.entries(), 0);
    }
}
