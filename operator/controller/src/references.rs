//! Who refers to whom among our objects, so that a change of one has the other looked at.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use kube::core::DeserializeGuard;
use kube::runtime::watcher::Event;

use crate::index::Pokes;
use crate::kinds::Ours;
use crate::names::Target;

/// The references of all objects.
#[derive(Clone, Debug, Default)]
pub struct References(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    /// What an object refers to.
    to: HashMap<Target, Target>,
    /// Who refers to an object.
    by: HashMap<Target, BTreeSet<Target>>,
}

impl References {
    /// Takes in an event of a kind's watch; pokes those who refer to the object, and whom it newly refers to.
    pub fn see<K: Ours>(&self, event: &Event<DeserializeGuard<K>>, pokes: &Pokes) {
        let (object, gone) = match event {
            Event::Apply(guard) | Event::InitApply(guard) => (guard.0.as_ref().ok(), false),
            Event::Delete(guard) => (guard.0.as_ref().ok(), true),
            Event::Init | Event::InitDone => return,
        };
        let Some(object) = object else { return };
        let (target, to) = (object.target(), object.refers_to().filter(|_| !gone));
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let told: Vec<Target> = inner
            .relate(&target, to)
            .into_iter()
            .chain(inner.by.get(&target).into_iter().flatten().cloned())
            .collect();
        drop(inner);
        told.iter().for_each(|target| pokes.poke(target));
    }

    /// Who refers to an object: the first by name.
    #[must_use]
    pub fn first(&self, target: &Target) -> Option<Target> {
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.by.get(target)?.first().cloned()
    }
}

impl Inner {
    /// Notes what an object refers to now; whom that concerns.
    fn relate(&mut self, from: &Target, to: Option<Target>) -> Vec<Target> {
        let old = match &to {
            Some(to) => self.to.insert(from.clone(), to.clone()),
            None => self.to.remove(from),
        };
        if old == to {
            return vec![];
        }
        if let Some(old) = &old
            && let Some(by) = self.by.get_mut(old)
        {
            by.remove(from);
            if by.is_empty() {
                self.by.remove(old);
            }
        }
        if let Some(to) = &to {
            self.by.entry(to.clone()).or_default().insert(from.clone());
        }
        old.into_iter().chain(to).collect()
    }
}
